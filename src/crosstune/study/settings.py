"""What a study file holds, and the recipe of each of its runs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from crosstune.errors import RecipeError
from crosstune.recipe import Recipe, Section, shipped, yaml_file
from crosstune.recipe.section import Name

Changes = dict[str, Any]
"""Settings of a recipe and their new values: ``section.key: value``, as on the command line."""


class Study(Section):
    """A grid of changes to one recipe."""

    name: Name
    description: str = ""
    recipe: Path = Field(description="the recipe that every cell changes, relative to this file")
    systems: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="the systems that are compared; others are made only where these start from them or are merged "
        "with them, once for all seeds"
    )
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = Field(
        (1,), description="of the compared systems' training: order of examples, new rows, adapters, dropout"
    )
    common: Changes = Field({}, description="changes of all cells")
    cells: Annotated[dict[Name, Changes], Field(min_length=1)]
    reference: Name = Field(description="the cell that the others are tested against")

    @model_validator(mode="after")
    def _reference_is_a_cell(self) -> Self:
        if self.reference not in self.cells:
            raise ValueError(f"`reference` {self.reference!r} is not a cell; the cells are {', '.join(self.cells)}")
        if len({*self.seeds}) < len(self.seeds):
            raise ValueError(f"`seeds` {list(self.seeds)} has a duplicate, which would count as two runs")
        return self


@dataclass(frozen=True)
class StudyRun:
    """One run of a study: a cell with one seed."""

    cell: str
    seed: int
    recipe: Recipe


def load_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        RecipeError: with every mistake and its path in the file.
    """
    return yaml_file.load_section(path, Study)


def load_studies(path: Path) -> dict[Path, Study]:
    """Read a study file, or all of a folder in the order of their file names; those of crosstune by their names, too.

    Raises:
        RecipeError: for a folder without studies, for two studies whose runs would share a folder, or as `load_study`.
    """
    path = shipped.find_study(path)
    if not path.exists():
        raise RecipeError(
            f"{path}: there is no such study. Give a file or a folder, or the name of a study included with "
            f"crosstune: {', '.join(shipped.studies())}"
        )
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    if not files:
        raise RecipeError(f"{path}: the folder has no study (.yaml) file; name one")
    studies = {file: load_study(file) for file in files}
    by_name: dict[str, Path] = {}
    for file, study in studies.items():
        if study.name in by_name:
            raise RecipeError(
                f"{file}: `name` {study.name!r} is also that of {by_name[study.name]}; their runs would share a "
                f"folder: give each study its own name"
            )
        by_name[study.name] = file
    return studies


def study_of_seeds(recipe: Recipe, path: Path) -> Study:
    """Return the study of one cell that a recipe with ``seeds`` is: its adapted systems, once with each.

    Raises:
        RecipeError: when it has none.
    """
    reference = recipe.evaluate.reference_system
    others = [name for name in recipe.systems if name != reference]
    adapted = tuple(name for name in others if _varies(recipe, name, others))
    if not adapted:
        raise RecipeError(
            f"{path}: `seeds` {list(recipe.seeds)} are for systems that are trained and compared with {reference}, and "
            f"there is none. Add one with `phases`, or remove `seeds`"
        )
    cells: dict[str, Changes] = {recipe.name: {}}
    return Study(
        name=recipe.name,
        description=recipe.description,
        recipe=path.resolve(),
        systems=adapted,
        seeds=recipe.seeds,
        cells=cells,
        reference=recipe.name,
    )


def runs_of(study: Study, path: Path, overrides: list[str], quick: bool) -> Iterator[StudyRun]:
    """Yield the runs: all cells with the first seed, then with the next.

    Their folders lie side by side in ``runs_root/study.name``. ``overrides`` replace settings of every cell; ``quick``
    takes the recipe's quick variant.

    Raises:
        RecipeError: when a cell's recipe has mistakes, or lacks a system that is compared.
    """
    for seed in study.seeds:
        for cell, changes in study.cells.items():
            seeds = {f"systems.{system}.seed": seed for system in study.systems}
            settings = [f"{key}={json.dumps(value)}" for key, value in {**study.common, **changes, **seeds}.items()]
            # The study's seeds take the place of the recipe's own.
            settings += [*overrides, "seeds=[]"]
            try:
                recipe = yaml_file.load_recipe(path.parent / study.recipe, settings, quick=quick)
            except RecipeError as error:
                raise RecipeError(f"{path}: cells.{cell}: {error}") from None
            _refuse_one_model_as_several(recipe, study, cell, seed)
            yield StudyRun(cell, seed, _only_what_is_compared(recipe, study, cell, seed))


def _varies(recipe: Recipe, name: str, compared: Sequence[str]) -> bool:
    """Return whether a system is another with another seed: by its own training, or by what it is made from."""
    own, start = recipe.systems[name], recipe.systems.get(recipe.systems[name].start)
    has_new_rows = own.tokenizer == "extended" and not (start and start.tokenizer == "extended")
    draws_rows = has_new_rows and (own.new_rows.noise > 0 or own.new_rows.method == "random")
    return (name in compared and (bool(own.phases) or draws_rows)) or any(
        _varies(recipe, other, compared)
        for other in recipe.needed_by(name)
        if other != recipe.evaluate.reference_system
    )


def _refuse_one_model_as_several(recipe: Recipe, study: Study, cell: str, seed: int) -> None:
    """Refuse what would make the same model with each seed, and count it as several that agree.

    Raises:
        RecipeError: with the system, and what to do.
    """
    if len(study.seeds) == 1:
        return
    for name in study.systems:
        if name not in recipe.systems or name == recipe.evaluate.reference_system:
            continue
        if recipe.seed_of(name) != seed:
            raise RecipeError(
                f"cells.{cell}: systems.{name}.seed is set to {recipe.seed_of(name)} for all runs, which would be the "
                f"same one {len(study.seeds)} times: leave it out; the study's own `seeds` are {list(study.seeds)}"
            )
        if not _varies(recipe, name, study.systems):
            made_from = ", ".join(recipe.needed_by(name)) or "nothing else"
            raise RecipeError(
                f"cells.{cell}: {name!r} would be the same model with each of the {len(study.seeds)} `seeds`: it is "
                f"not trained itself, and what it is made from ({made_from}) is made once. Add the trained ones of "
                f"them to `systems`, or give one seed"
            )


def _only_what_is_compared(recipe: Recipe, study: Study, cell: str, seed: int) -> Recipe:
    missing = [system for system in study.systems if system not in recipe.systems]
    if missing:
        raise RecipeError(f"cells.{cell}: systems {missing} are not in the recipe, which has {list(recipe.systems)}")
    base = recipe.evaluate.reference_system
    if base in study.systems:
        raise RecipeError(
            f"cells.{cell}: `systems` holds {base!r}, the recipe's evaluate.reference_system: all others are compared "
            f"with it, and it is one model, not trained with each seed. Remove it; the tables show it all the same"
        )
    needed = {base, *study.systems}
    for name in reversed(recipe.systems_in_order):
        if name in needed:
            needed |= {*recipe.needed_by(name)}
    systems = {name: system for name, system in recipe.systems.items() if name in needed}
    # Without the pairs of systems that are not made, which would make the run folder's recipe no valid one.
    mine = {name: pairs for name, pairs in recipe.mine.items() if pairs.system in systems}
    of_run = {"name": f"{cell}_seed_{seed}", "runs_root": recipe.runs_root / study.name}
    return recipe.model_copy(update={**of_run, "systems": systems, "mine": mine})
