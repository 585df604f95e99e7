"""`crosstune study`: runs, comparison, report."""

from pathlib import Path

from crosstune.artifacts import commit, write_text
from crosstune.recipe import Recipe
from crosstune.report.print_tables import print_tables
from crosstune.report.scores import read_scores
from crosstune.study.comparison import compare, to_csv
from crosstune.study.run import folder_of, run_all
from crosstune.study.settings import Study, load_study, runs_of, study_of_seeds
from crosstune.study.tables import tables_of, to_markdown
from crosstune.terminal import note


def run(path: Path, overrides: list[str], quick: bool, dry_run: bool, command: str) -> None:
    """Run a study file's grid and write ``study.md`` and ``study.csv`` beside its runs.

    Raises:
        RecipeError: when the study or one of its cells has mistakes; all are checked before the first is run.
    """
    _run(load_study(path), path, (overrides, quick, dry_run), command)


def run_seeds(recipe: Recipe, path: Path, overrides: list[str], quick: bool, command: str) -> None:
    """Run a recipe once with each of its ``seeds``, and write ``study.md`` and ``study.csv`` beside the runs."""
    _run(study_of_seeds(recipe, path), path, (overrides, quick, False), command)


def _run(study: Study, path: Path, options: tuple[list[str], bool, bool], command: str) -> None:
    overrides, quick, dry_run = options
    runs = list(runs_of(study, path, overrides, quick))
    if dry_run:
        for one in runs:
            note(f"{one.cell}, seed {one.seed}: {', '.join(one.recipe.systems)} -> {folder_of(one).root}")
        return
    run_all(runs, command)
    recipe = runs[0].recipe
    findings = compare(study, runs)
    tables = tables_of(study, recipe, read_scores(recipe, folder_of(runs[0])), findings)
    write_text(recipe.runs_root / "study.csv", to_csv(findings))
    write_text(recipe.runs_root / "study.md", to_markdown(study, tables, command, commit()))
    print_tables(tables, recipe.runs_root / "study.md")
