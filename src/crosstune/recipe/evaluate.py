"""The sections ``evaluate`` and ``report``: which tasks are scored, and what is shown."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crosstune.prompts.wordings import Wording
from crosstune.recipe.section import Count, Direction, Language, Name, Section, Share

TaskName = Literal[
    "hellaswag",
    "copa_2011_test",
    "copa_2011_test_v04",
    "copa_superglue_val",
    "copa_superglue_val_v04",
    "nsmc_generate",
    "nsmc_likelihood",
    "kobest_boolq",
    "kobest_copa",
    "kobest_hellaswag",
    "kobest_sentineg",
    "bits_per_byte",
    "translation",
    "harness",
]


class EvaluationTask(Section):
    """One evaluation set: the task and its file (relative to data_root)."""

    task: TaskName
    paths: tuple[str, ...] = ()
    name: str = Field("", description="harness: the name of a task of lm-evaluation-harness, as arc_easy")
    include_path: Path | None = Field(None, description="harness: a folder with further task files (YAML)")
    language: Language | None = Field(None, description="bits_per_byte: of the text")
    max_items: Count | None = None
    sample_seed: int = Field(1234, description="which items are drawn when there are more than max_items")
    directions: tuple[Direction, ...] = ()
    instruction_languages: tuple[Language, ...] = ()
    wordings: Literal["paper", "held_out"] | dict[Language, tuple[Wording, ...]] = Field(
        "paper",
        description="translation: the paper's instruction; or ten that no training used, for mean and worst; or your "
        "own, by the language they are in",
    )
    references: Literal["one", "several"] = Field(
        "one", description="translation; several: a sentence that occurs in many items is asked once, for all of theirs"
    )
    max_new_tokens: Count = 256

    @model_validator(mode="after")
    def _own_files_or_the_harnesss(self) -> Self:
        if self.task == "harness":
            if not self.name or self.paths:
                raise ValueError("`task: harness` needs `name`, a task of lm-evaluation-harness, and no `paths`")
        elif not self.paths:
            raise ValueError(f"`task: {self.task}` needs `paths`, its files")
        elif self.name or self.include_path:
            raise ValueError("`name` and `include_path` go with `task: harness`, and only with it")
        return self

    @model_validator(mode="after")
    def _language_of_text(self) -> Self:
        if (self.task == "bits_per_byte") != (self.language is not None):
            raise ValueError("`task: bits_per_byte` needs the `language` of its text, and no other task takes one")
        return self

    @model_validator(mode="after")
    def _translation_cells(self) -> Self:
        cells = (self.directions, self.instruction_languages)
        if not all(cells) if self.task == "translation" else any(cells):
            raise ValueError("`directions` and `instruction_languages` go with `task: translation`, and only with it")
        if self.task != "translation" and (self.wordings, self.references) != ("paper", "one"):
            raise ValueError("`wordings` and `references` go with `task: translation`, and only with it")
        if not isinstance(self.wordings, str):
            given = {language for language, wordings in self.wordings.items() if wordings}
            if given != {*self.instruction_languages}:
                raise ValueError(
                    f"`wordings` are in {', '.join(sorted(given)) or 'no language'}, but `instruction_languages` are "
                    f"{', '.join(sorted(self.instruction_languages))}: give some in each of these and in no other"
                )
        return self

    def wordings_in(self, language: str) -> Literal["paper", "held_out"] | tuple[str, ...]:
        """Return how a translation is asked for in a language: the name of a set of the bank, or the recipe's own."""
        return self.wordings if isinstance(self.wordings, str) else self.wordings[language]


class Evaluate(Section):
    """Which tasks are scored, and against which system gain and forgetting are measured."""

    reference_system: Name
    tasks: dict[Name, EvaluationTask]
    precision: Literal["float32", "bf16"] = "float32"
    engine: Literal["transformers", "vllm"] = Field(
        "transformers", description="what generates answers; vllm is an extra, for a GPU"
    )
    batch_tokens: Count = Field(8192, description="tokens per forward pass")
    max_batch_rows: Count = Field(128, description="rows generated side by side")
    comet_checkpoint: Path | None = Field(None, description="also score translations with COMET: its .ckpt file")
    comet_command: str = Field("comet-score", description="of unbabel-comet, in an environment of its own")
    max_forgetting: Share | None = Field(
        None,
        description="how much accuracy an adapted system may lose against reference_system, as 0.03; it passes when "
        "the whole paired interval is above that, and fails when all of it is below",
    )
    num_bootstrap: Annotated[int, Field(ge=100)] = 1000

    @property
    def tasks_with_files(self) -> dict[str, EvaluationTask]:
        """Return the tasks whose items the data stage reads; the others bring their own."""
        return {label: task for label, task in self.tasks.items() if task.task != "harness"}


class Report(Section):
    """What the report shows besides the run's own numbers."""

    title: str = ""
    paper_figures: bool = Field(True, description="print the paper's own figures beside ours")
    model_license: str = Field("", description="for the model cards: the hub's name of a licence, as apache-2.0")
