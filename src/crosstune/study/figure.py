"""A study's figures: what every cell won in the new language against what it forgot in the known one."""

from collections.abc import Sequence
from dataclasses import replace

from crosstune.recipe import Recipe
from crosstune.report.scores import Scores
from crosstune.report.tables.build import label_of
from crosstune.report.tables.changes import FORGOTTEN, Change, figure_points, gain_titles
from crosstune.report.write import charts
from crosstune.report.write.charts import Series
from crosstune.study.comparison import SystemScore
from crosstune.study.settings import Study

_SIZE = (760, 520)


def figures(study: Study, recipe: Recipe, scores: Scores, findings: Sequence[SystemScore]) -> dict[str, str]:
    """Return title and SVG of each figure: means over the seeds, as changes against the model that all start from.

    A cell's systems are joined in the study's order. ``scores`` are those of one run, for the tasks that there are.
    """
    cells = {cell: _points(study, recipe, scores, findings, cell) for cell in study.cells}
    base = Series(label_of(recipe, recipe.evaluate.reference_system), [(0.0, 0.0)], 0)
    drawn = {}
    for number, (title, y_label) in enumerate(gain_titles(recipe)):
        series = [
            Series(cell, path, style)
            for style, (cell, points) in enumerate(cells.items(), start=1)
            if (path := [(one.source, gain) for one in points if (gain := one.gains[number]) is not None])
        ]
        if series:
            drawn[title] = charts.standalone(charts.scatter_chart([base, *series], _SIZE, (FORGOTTEN, y_label)))
    return drawn


def _points(study: Study, recipe: Recipe, scores: Scores, findings: Sequence[SystemScore], cell: str) -> list[Change]:
    """Return a cell's systems in the study's order, with the means of their scores."""
    base = recipe.evaluate.reference_system
    means = {
        (found.system, found.task, found.metric): found.mean
        for found in findings
        if found.cell == (study.reference if found.system == base else cell)
    }
    of_cell = {key: replace(scores[key], value=mean) for key, mean in means.items() if key in scores}
    points = {one.system: one for one in figure_points(recipe, of_cell)}
    return [points[system] for system in study.systems if system in points]
