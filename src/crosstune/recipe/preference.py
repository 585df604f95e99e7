"""The section ``mine`` and a phase's ``preference``: a system's failed answers, and how a system learns from them."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from crosstune.recipe.section import Count, Name, Section
from crosstune.tasks.diagnostics import FAILURES

ObjectiveName = Literal["dpo", "cpo", "simpo", "nll"]
# What the authors use, or begin their searches with.
_DEFAULTS: dict[str, dict[str, float]] = {
    "dpo": {},
    "cpo": {"nll_weight": 1.0},
    "simpo": {"beta": 2.0, "margin": 1.0},
    "nll": {"nll_weight": 1.0},
}


class Mine(Section):
    """Pairs of a better and a failed answer, from a system's own answers to training prompts."""

    system: Name = Field(description="the system that answers; one that learns from the pairs must come from it")
    mixture: Name = Field(description="training mixture whose prompts it answers; plain text has none")
    max_prompts: Count | None = Field(None, description="number of prompts, drawn by the recipe's seed [all]")
    max_new_tokens: Count = Field(256, description="length limit of an answer; a longer one counts as `no stop`")
    failures: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        FAILURES, description="failures to collect, by the names of docs/diagnostics.md"
    )
    max_pairs_per_failure: Count | None = Field(
        None, description="limit for each failure, so that a common one does not crowd out the others [all]"
    )
    chosen: Literal["reference", "own"] = Field(
        "reference",
        description="the better answer: the reference, or the system's own unflagged answer to the same row in another "
        "wording, nearest to the reference by chrF (the reference where there is none)",
    )

    @field_validator("failures")
    @classmethod
    def _known(cls, failures: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in failures if name not in FAILURES]
        if unknown or len({*failures}) < len(failures):
            raise ValueError(
                f"`failures` names {', '.join(unknown) or 'one twice'}; each of these at most once: "
                f"{', '.join(FAILURES)}"
            )
        return failures


class Preference(Section):
    """What a phase of ``method: preference`` makes of pairs of a chosen and a rejected answer."""

    objective: ObjectiveName = Field(
        description="dpo: against the start of the phase; cpo: without it, with the chosen answer's cross-entropy; "
        "simpo: without it, per token; nll: the chosen answer's cross-entropy alone, to see what the pairs add"
    )
    beta: Annotated[float, Field(gt=0)] = Field(
        0.1, description="scale of the rewards: higher follows the pairs less far [2.0 for simpo]"
    )
    margin: Annotated[float, Field(ge=0)] = Field(
        0.0, description="by how much the chosen answer's reward should be larger [1.0 for simpo]"
    )
    nll_weight: Annotated[float, Field(ge=0)] = Field(
        0.0, description="weight of the chosen answer's cross-entropy per token [1.0 for cpo and nll]"
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_its_objective(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return {**_DEFAULTS.get(str(content.get("objective")), {}), **content}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.objective == "nll" and (not self.nll_weight or self.margin):
            raise ValueError("`objective: nll` is the cross-entropy alone: it needs `nll_weight` and has no `margin`")
        return self

    @property
    def needs_start(self) -> bool:
        """Return whether the log-probabilities at the start of the phase are part of the loss."""
        return self.objective == "dpo"


class Replay(Section):
    """Rows that a phase learns beside its mixture: what the start of the system itself answers to prompts."""

    by: Literal["start"] = Field("start", description="start: the system that this one starts from answers, greedily")
    prompts: Name = Field(description="mixture whose prompts are answered; its own answers are not used")
    tokens: Count = Field(description="as many tokens of answers, as long as there are prompts; drawn by the seed")
    max_new_tokens: Count = Field(256, description="length limit of an answer; longer ones are dropped")

    def folder_of(self, start: str) -> str:
        """Return what the answers' folder is called, beside the mixtures; no mixture has a dot in its name."""
        return f"replay.{start}.{self.prompts}.{self.tokens}.{self.max_new_tokens}"


OBJECTIVE_NAMES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)
