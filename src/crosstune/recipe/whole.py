"""A whole recipe."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from crosstune.recipe.data import Data, Source, World
from crosstune.recipe.evaluate import Evaluate, EvaluationTask, ReportSettings
from crosstune.recipe.languages import Languages, RecipeLanguages
from crosstune.recipe.preference import Mine
from crosstune.recipe.section import Name, Section
from crosstune.recipe.systems import System
from crosstune.recipe.tokenizer import Tokenizer
from crosstune.recipe.train import Train


class Recipe(Section):
    """A whole run."""

    name: Name = Field(description="name of the run; its folder is runs_root/name")
    description: str = Field("", description="one line for `crosstune recipes list` and the report")
    seed: int = Field(
        description="seed of everything random: mixtures, new rows, order of examples, dropout, sampled items"
    )
    seeds: tuple[int, ...] = Field(
        (), description="`crosstune run` trains and scores every adapted system once per seed and shows the spread"
    )
    runs_root: Path = Field(Path("runs"), description="parent folder of run folders")
    data_root: Path | None = Field(None, description="folder that source and task paths are relative to")
    world: World | None = Field(None, description="write the miniature world and use it as data_root")
    languages: RecipeLanguages = Field(description="source and target language, or several targets")
    data: Data = Field(description="corpora and mixtures")
    tokenizer: Tokenizer = Field(description="the base tokenizer and its extension")
    systems: Annotated[dict[Name, System], Field(min_length=1)] = Field(description="the models that are compared")
    mine: dict[Name, Mine] = Field(
        {}, description="pairs of answers, collected from a system's failures for phases of method preference"
    )
    systems_at_once: int = Field(
        1,
        ge=1,
        description="without a GPU: number of systems trained or scored at the same time, each in its own process "
        "with a share of the cores",
    )
    train: Train = Field(Train(), description="how training runs on the machine")
    evaluate: Evaluate = Field(description="the tasks, and the system that forgetting is measured against")
    report: ReportSettings = Field(ReportSettings(), description="what the report shows")

    @model_validator(mode="after")
    def _seeds_count_once(self) -> Self:
        if len({*self.seeds}) < len(self.seeds):
            raise ValueError(f"`seeds` {list(self.seeds)} has a duplicate, which would count as two runs")
        own = [name for name, system in self.systems.items() if system.seed is not None]
        if self.seeds and own:
            raise ValueError(f"`seeds` are those of all adapted systems: remove `seed` of {', '.join(own)}")
        return self

    @model_validator(mode="after")
    def _limit_of_forgetting_has_tasks(self) -> Self:
        known = [one for one in self.evaluate.tasks.values() if one.items_language == self.languages.source]
        if self.evaluate.max_forgetting is not None and not known:
            raise ValueError(
                f"`evaluate.max_forgetting` is set, but no task of evaluate.tasks is in the source language "
                f"{self.languages.source!r}, so nothing could be checked: add one, or remove the limit"
            )
        return self

    @model_validator(mode="after")
    def _no_system_hides_a_folder(self) -> Self:
        root = self.data_root or Path()
        for name, system in self.systems.items():
            is_taken = system.start in self.systems or system.start == "scratch"
            if is_taken and (root / system.start / "config.json").is_file():
                other = "from scratch" if system.start == "scratch" else f"the system {system.start!r}"
                raise ValueError(
                    f"systems.{name}.start: {system.start!r} may be {other}, or the model in {root / system.start}. "
                    f"For the folder write ./{system.start}; else rename the folder or the system"
                )
        return self

    @model_validator(mode="after")
    def _base_weights_stay(self) -> Self:
        kind = self.train.base_weights
        moving = [
            f"systems.{name}.phases.{index} ({phase.title})"
            for name, system in self.systems.items()
            for index, phase in enumerate(system.phases)
            if phase.moves_all_layers
        ]
        if kind != "float32" and moving:
            raise ValueError(
                f"`train.base_weights: {kind}` is for frozen weights, but {', '.join(moving)} trains all "
                "layers: use method lora, new rows or top_layers there, set base_weights to float32, or give these "
                "systems their own recipe"
            )
        if kind != "float32" and self.train.precision == "fp8":
            raise ValueError(
                f"`train.base_weights: {kind}` needs `precision` float32 or bf16; found fp8, which packs layers "
                f"differently"
            )
        return self

    @model_validator(mode="after")
    def _half_weights_all_move(self) -> Self:
        if self.train.weights == "float32":
            return self
        faults = [
            f"systems.{name}.phases.{index} ({phase.title}{'; l2_to_start' if phase.l2_to_start else ''})"
            for name, system in self.systems.items()
            for index, phase in enumerate(system.phases)
            if phase.title != "full" or phase.l2_to_start
        ]
        if faults:
            raise ValueError(
                f"`train.weights: bf16` is for `method: full` with all weights trained, without `l2_to_start`, whose "
                f"small pulls would be rounded away; found {', '.join(faults)}: set it to float32 (base_weights is "
                f"for frozen weights), or give these systems their own recipe"
            )
        if self.train.precision == "fp8":
            raise ValueError("`train.weights: bf16` needs `precision` float32 or bf16; found fp8")
        return self

    def languages_of(self, part: Source | EvaluationTask) -> Languages:
        """Return the two languages of a parallel source or a translation task, that of its first file or side first.

        Of anything else, which has one language of its own, they are the source and the first target.
        """
        if isinstance(part, EvaluationTask):
            return self.languages.between(part.directions[0]) if part.directions else self.languages.pairs[0]
        if part.languages is None:
            return self.languages.pairs[0]
        first, second = part.languages
        return Languages(source=first, target=second)

    def seed_of(self, system: str) -> int:
        """Return the seed of a system's training."""
        own = self.systems[system].seed
        return self.seed if own is None else own

    def needed_by(self, system: str) -> list[str]:
        """Return the systems that have to be there before one is trained: its start, and those it is merged with."""
        settings = self.systems[system]
        others = settings.merge.others().values() if settings.merge else ()
        return [name for name in dict.fromkeys((settings.start, *others)) if name in self.systems]

    @property
    def adapted_systems(self) -> list[str]:
        """Return the systems that gain or forget against the reference: all but it and those that it was made from."""
        others, waiting = dict.fromkeys(self.systems), [self.evaluate.reference_system]
        while waiting:
            name = waiting.pop()
            if name in others:
                del others[name]
                waiting += self.needed_by(name)
        return [*others]

    @property
    def systems_in_order(self) -> list[str]:
        """Return the names of the systems, each after those it needs."""
        ordered: list[str] = []

        def place(name: str) -> None:
            if name in ordered:
                return
            for other in self.needed_by(name):
                place(other)
            ordered.append(name)

        for name in self.systems:
            place(name)
        return ordered
