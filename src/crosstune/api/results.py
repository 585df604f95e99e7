"""What a run found: its report, the numbers of its training, and drawings of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.api.arguments import several
from crosstune.runs.folder import RunFolder


@dataclass(frozen=True)
class Report:
    """What a run found.

    Attributes:
        scores: a row for each score: system, task, metric, value, low, high, n, seed.
        forgetting: a row for each system and source-language task, where the recipe sets ``max_forgetting``.
        markdown: the report as text.
        html: the page, one file.
    """

    scores: list[dict[str, Any]]
    forgetting: list[dict[str, Any]]
    markdown: str
    html: Path


def read_report(run: RunFolder | str | Path) -> Report:
    """Read the report of a finished run.

    Raises:
        CrosstuneError: when the folder holds none, or one of what was there before.
    """
    from crosstune.recipe import yaml_file
    from crosstune.report.scores import to_rows
    from crosstune.runs.files import read_json
    from crosstune.runs.notes import refuse_outdated_report

    folder = _folder(run)
    refuse_outdated_report(folder)
    rows = to_rows(yaml_file.load_recipe(folder.recipe), folder)
    page, markdown = folder.report / "report.html", folder.report / "report.md"
    return Report(rows, read_json(folder.report / "forgetting.json"), markdown.read_text(encoding="utf-8"), page)


def read_metrics(run: RunFolder | str | Path, system: str) -> list[dict[str, Any]]:
    """Return what ``metrics.jsonl`` says of a system's training: a row for each logged step, with its loss."""
    from crosstune.runs.files import read_jsonl

    return read_jsonl(_folder(run).system(system) / "metrics.jsonl")


def _folder(run: RunFolder | str | Path) -> RunFolder:
    from crosstune.errors import RunFolderError

    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    if not (folder.report / "forgetting.json").is_file() and not folder.recipe.is_file():
        raise RunFolderError(f"{folder.root} is not a run folder: it has no recipe.yaml. Give the folder of a run")
    return folder


@dataclass(frozen=True)
class Picture:
    """A drawing; a notebook shows it where it is a cell's value.

    Attributes:
        svg: the drawing as SVG, with its styles.
    """

    svg: str

    def save(self, path: str | Path) -> None:
        """Write it as an .svg file."""
        Path(path).write_text(self.svg, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg


def plot_metrics(run: RunFolder | str | Path, systems: Sequence[str], metric: str = "loss") -> Picture:
    """Draw a number of ``metrics.jsonl`` by training step, a line for each system; phases follow one another.

    Raises:
        CrosstuneError: when a system's rows lack the number.
    """
    from crosstune.report.write.charts import Series, line_chart, standalone

    series = [
        Series(system, _by_step(read_metrics(run, system), metric, system), style)
        for style, system in enumerate(several("systems", systems))
    ]
    return Picture(standalone(line_chart(series, (720, 360), ("step", metric.replace("_", " "))), series))


def _by_step(rows: Sequence[dict[str, Any]], metric: str, system: str) -> list[tuple[float, float]]:
    """Return a metric by the step, counted on over the phases: not every step need have a row."""
    from crosstune.errors import BadInputError

    points, before, last = [], 0, (0, 0)
    for row in rows:
        if not isinstance(row.get(metric), int | float):
            known = ", ".join(name for name, value in row.items() if isinstance(value, int | float))
            raise BadInputError(f"{system}: metrics.jsonl has no number {metric!r}; choose one of {known}")
        if row["phase"] != last[0]:
            before += last[1]
        last = row["phase"], row["step"]
        # A diverged step has NaN, which no drawing can show.
        if math.isfinite(row[metric]):
            points.append((float(before + row["step"]), float(row[metric])))
    return points
