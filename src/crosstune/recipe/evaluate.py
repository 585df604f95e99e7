"""The sections ``evaluate`` and ``report``: which tasks are scored, and what is shown."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crosstune.recipe.section import Count, Direction, Language, Name, Paths, Section

TaskName = Literal[
    "hellaswag",
    "copa_2011_test",
    "copa_2011_test_v04",
    "copa_superglue_val",
    "copa_superglue_val_v04",
    "nsmc_generate",
    "kobest_copa",
    "kobest_hellaswag",
    "kobest_sentineg",
    "translation",
]


class EvaluationTask(Section):
    """One evaluation set: the task and its file (relative to data_root)."""

    task: TaskName
    paths: Paths
    max_items: Count | None = None
    sample_seed: int = Field(1234, description="which items are drawn when there are more than max_items")
    directions: tuple[Direction, ...] = ()
    instruction_languages: tuple[Language, ...] = ()
    max_new_tokens: Count = 256

    @model_validator(mode="after")
    def _translation_cells(self) -> Self:
        cells = (self.directions, self.instruction_languages)
        if not all(cells) if self.task == "translation" else any(cells):
            raise ValueError("`directions` and `instruction_languages` go with `task: translation`, and only with it")
        return self


class Evaluate(Section):
    """Which tasks are scored, and against which system gain and forgetting are measured."""

    reference_system: Name
    tasks: dict[Name, EvaluationTask]
    precision: Literal["float32", "bf16"] = "float32"
    batch_tokens: Count = Field(8192, description="tokens per forward pass")
    max_batch_rows: Count = Field(128, description="rows generated side by side")
    num_bootstrap: Annotated[int, Field(ge=100)] = 1000


class Report(Section):
    """What the report shows besides the run's own numbers."""

    title: str = ""
    paper_figures: bool = Field(True, description="print the paper's own figures beside ours")
    model_license: str = Field("", description="for the model cards: the hub's name of a licence, as apache-2.0")
