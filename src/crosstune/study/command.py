"""`crosstune study`: runs, comparison, report."""

from collections.abc import Sequence
from pathlib import Path

from crosstune.errors import BadInputError
from crosstune.recipe import Recipe
from crosstune.report.scores import read_scores
from crosstune.report.write.terminal import print_tables
from crosstune.runs.files import write_text
from crosstune.runs.lock import only_process_in
from crosstune.runs.pipeline import check_inputs
from crosstune.runs.provenance import commit
from crosstune.study.comparison import compare, of_all_runs, to_csv
from crosstune.study.figure import figures
from crosstune.study.run import folder_of, run_all
from crosstune.study.settings import Study, StudyRun, load_studies, runs_of, study_of_seeds
from crosstune.study.tables import tables_of, to_markdown
from crosstune.terminal.output import heading, note

Grid = tuple[Study, Sequence[StudyRun]]
"""A study and its runs."""


def run(path: Path, overrides: list[str], quick: bool, dry_run: bool, command: str) -> None:
    """Run a study file's grid, or those of all files of a folder, and write their reports beside the runs.

    Raises:
        RecipeError: when a study or one of its cells has mistakes; all are checked before the first is run.
        BadInputError: when a cell starts from what cannot be used.
    """
    studies = {file: _apart(study, quick) for file, study in load_studies(path).items()}
    grids = [(study, list(runs_of(study, file, overrides, quick))) for file, study in studies.items()]
    _check_inputs([one for _, runs in grids for one in runs])
    if dry_run:
        _list_runs(grids)
        return
    for number, (study, runs) in enumerate(grids, start=1):
        if len(grids) > 1:
            heading(f"study [{number}/{len(grids)}]: {study.name}")
        _run(study, runs, command)


def _apart(study: Study, quick: bool) -> Study:
    """Return a quick study under a name, and so in a folder, of its own: it would replace what took hours."""
    return study.model_copy(update={"name": f"{study.name}_quick"}) if quick else study


def run_seeds(recipe: Recipe, path: Path, overrides: list[str], quick: bool, command: str) -> None:
    """Run a recipe once with each of its ``seeds``, and write the report beside the runs."""
    study = study_of_seeds(recipe, path)
    runs = list(runs_of(study, path, overrides, quick))
    _check_inputs(runs)
    _run(study, runs, command)


def _check_inputs(runs: Sequence[StudyRun]) -> None:
    """Look at what every cell starts from before the first is run; cells that start from the same are looked at once.

    Raises:
        BadInputError: with the cell, and what is wrong with each of its starts.
    """
    seen = set()
    for run in runs:
        recipe = run.recipe
        starts = [(system.start, system.revision) for system in recipe.systems.values()]
        prompt = (recipe.data.prompt, recipe.data.template_options, recipe.data.template_date)
        key = repr((recipe.data_root, starts, recipe.tokenizer.base, prompt))
        if key not in seen:
            seen.add(key)
            try:
                check_inputs(recipe)
            except BadInputError as error:
                raise BadInputError(f"cell {run.cell}:\n{error}") from None


def _list_runs(grids: Sequence[Grid]) -> None:
    for study, runs in grids:
        for one in runs:
            note(f"{study.name}: {one.cell}, seed {one.seed}: {', '.join(one.recipe.systems)} -> {folder_of(one).root}")


def _run(study: Study, runs: Sequence[StudyRun], command: str) -> None:
    recipe = runs[0].recipe
    with only_process_in(recipe.runs_root, "give this study its own folder (runs_root=other)"):
        run_all(runs, command)
        _report(study, runs, command)


def _report(study: Study, runs: Sequence[StudyRun], command: str) -> None:
    findings = compare(study, runs)
    recipe, scores = of_all_runs(runs)
    tables = tables_of(study, recipe, scores, findings)
    drawn = {}
    # A point is the mean over all tasks of a kind: one that not all cells have would leave the others out.
    shared = runs[0].recipe, read_scores(runs[0].recipe, folder_of(runs[0]))
    for number, (title, svg) in enumerate(figures(study, *shared, findings).items(), start=1):
        drawn[title] = f"gain_{number}.svg"
        write_text(recipe.runs_root / drawn[title], svg)
    write_text(recipe.runs_root / "study.csv", to_csv(findings))
    write_text(recipe.runs_root / "study.md", to_markdown(study, tables, drawn, command, commit()))
    print_tables(tables, recipe.runs_root / "study.md")
