"""The HTML page: one self-contained file that asks no network for anything."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from crosstune.languages.registry import language_name, language_names
from crosstune.recipe import Recipe
from crosstune.report.outputs import ITEMS_PER_TASK, Outputs
from crosstune.report.run_facts import RunFacts
from crosstune.report.scores import Scores
from crosstune.report.tables import failures
from crosstune.report.tables.build import label_of
from crosstune.report.tables.cells import Column, Table, TableCell
from crosstune.report.tables.changes import (
    FORGOTTEN,
    Change,
    gain_titles,
    into_target_columns,
    source_columns,
    target_columns,
)
from crosstune.report.tables.failures import CellFailures
from crosstune.report.tables.findings import FindingGroup
from crosstune.report.training import Curves, evaluated_as
from crosstune.report.write import bars, charts
from crosstune.report.write.charts import Series
from crosstune.report.write.provenance import public_recipe, seeds
from crosstune.runs.records import FIRST_TURN, Score
from crosstune.tasks.diagnostics import FAILURES

_TEMPLATES = Path(__file__).parent / "template"
_SCRIPTS = ("explorer.js", "charts.js", "tables.js")


@dataclass(frozen=True)
class Page:
    """What the page shows."""

    title: str
    summary: Sequence[str]
    findings: Sequence[FindingGroup]
    main_tables: Sequence[Table]
    changes: Table | None
    further_tables: Sequence[Table]
    figure: Sequence[Change]
    curves: Sequence[Curves]
    outputs: Outputs
    failures: Sequence[CellFailures]
    facts: RunFacts
    signatures: Sequence[tuple[str, str, str]]


def render(recipe: Recipe, page: Page) -> str:
    """Return the page as HTML; everything that comes from data is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=_count, duration=_duration, percent=_percent, parity="{:.2f}".format)
    environment.globals.update(bar=bar, legend_mark=charts.legend_mark, fill_mark=bars.fill_mark)
    script = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    return environment.get_template("page.html.j2").render(
        recipe=recipe,
        page=page,
        facts=page.facts,
        reference=label_of(recipe, recipe.evaluate.reference_system),
        recipe_text=public_recipe(recipe),
        seeds=seeds(recipe),
        styles=Markup(charts.styles() + (_TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        gain_figures=gain_figures(recipe, page.figure),
        overview=overview_figure(recipe, page.curves),
        validation_figures=validation_figures(recipe, page.curves),
        score_figures=score_figures(recipe, page.curves),
        scored_items=sorted({number for curve in page.curves for number in curve.scored_items}),
        changed=[name for name in ("validation", "scores") if len(evaluated_as(page.curves, name)) > 1],
        unscored=[curve.label for curve in page.curves if not any(curve.scores)],
        system_figures=system_figures(page.curves),
        failure_figures=failures.figures(page.failures),
        failure_names=FAILURES,
        pattern_definitions=bars.pattern_definitions(),
        explorer=explorer_data(recipe, page),
        tasks_with_items=page.outputs.num_items,
        items_per_task=ITEMS_PER_TASK,
    )


def gain_figures(recipe: Recipe, changes: Sequence[Change]) -> list[tuple[str, Markup]]:
    """Draw what was won in each target language against what was forgotten in the source language."""
    styles, reference = _styles(recipe), recipe.evaluate.reference_system
    figures = []
    for number, (title, y_label) in enumerate(gain_titles(recipe)):
        points = [
            Series(change.label, [(change.source, gain)], styles[change.system])
            for change in changes
            if (gain := change.gains[number]) is not None
        ]
        if points:
            points.insert(0, Series(label_of(recipe, reference), [(0.0, 0.0)], styles[reference]))
            figures.append((title, charts.scatter_chart(points, (520, 360), (FORGOTTEN, y_label))))
    return figures


def overview_figure(recipe: Recipe, curves: Sequence[Curves]) -> tuple[Markup, list[tuple[str, int]]] | None:
    """Draw all systems' loss in bits per byte (or by token, where there is no such row); with its legend."""
    styles = _styles(recipe)
    has_bits = any(curve.loss_bits_per_byte for curve in curves)
    series = [
        Series(curve.label, points, styles[curve.system])
        for curve in curves
        if (points := curve.loss_bits_per_byte if has_bits else curve.loss)
    ]
    if not series:
        return None
    labels = ("optimizer step", "loss, bits per supervised byte" if has_bits else "loss, nats per supervised token")
    return charts.line_chart(series, (860, 330), labels), [(one.label, one.style) for one in series]


def validation_figures(recipe: Recipe, curves: Sequence[Curves]) -> list[tuple[str, Markup]]:
    """Draw every system's bits per byte on held-out text, one chart a language: forgetting and gain as they happen."""
    styles = _styles(recipe)
    figures = []
    for language in recipe.languages.codes:
        series = [
            Series(curve.label, points[language], styles[curve.system])
            for curve in curves
            for points in curve.validation
            if language in points
        ]
        if series:
            name = language_name(language, "en")
            figures.append((name, charts.line_chart(series, (520, 300), ("optimizer step", "bits per byte"))))
    return figures


def score_figures(recipe: Recipe, curves: Sequence[Curves]) -> list[tuple[str, Markup]]:
    """Draw every system's scores along training, one chart a group of tasks: their mean, of systems with all of them.

    The groups are those of the figures of gain and forgetting: tasks in the known language, tasks in each new one,
    translation into it.
    """
    # The tasks that are scored now: others may have been before.
    last = {curve.system: curve.scores[-1] for curve in curves if curve.scores}
    scored = {(system, *key): points for system, scores in last.items() for key, points in scores.items()}
    found: Scores = {key: Score(*key[1:], points[-1][1], None, None, 0, "") for key, points in scored.items()}
    name = language_names("en").get
    groups = [(f"{name(recipe.languages.source)} tasks", "accuracy", source_columns(recipe, found))]
    for target in recipe.languages.targets:
        groups += [
            (f"{name(target)} tasks", "accuracy", target_columns(recipe, found, target)),
            (f"Translation into {name(target)}", "BLEU", into_target_columns(recipe, found, target)),
        ]
    styles, figures = _styles(recipe), []
    for title, y_label, columns in groups:
        keys = [key for column in columns if (key := (column.task, column.metric)) in {key[1:] for key in scored}]
        series = [
            Series(curve.label, means([dict(scores[key]) for key in keys]), styles[curve.system])
            for curve in curves
            for scores in curve.scores
            if keys and all(key in scores for key in keys)
        ]
        if series:
            figures.append((title, charts.line_chart(series, (520, 300), ("optimizer step", y_label))))
    return figures


def means(lines: Sequence[Mapping[float, float]]) -> list[tuple[float, float]]:
    """Return the mean of several lines at the steps that all of them have."""
    common = sorted(set.intersection(*(set(line) for line in lines)))
    return [(step, sum(line[step] for line in lines) / len(lines)) for step in common]


def system_figures(curves: Sequence[Curves]) -> list[dict[str, Any]]:
    """Draw each system's loss, and the loss by source and by language, on one y axis for all systems."""
    names = language_names("en")
    # A source and a language look alike in every chart.
    parts = sorted({(False, name) for curve in curves for name in curve.sources})
    parts += sorted({(True, code) for curve in curves for code in curve.languages})
    styles = {part: style for style, part in enumerate(parts)}
    drawn = []
    for curve in curves:
        lines = {(False, name): points for name, points in curve.sources.items() if len(curve.sources) > 1}
        lines |= {(True, code): points for code, points in curve.languages.items() if len(curve.languages) > 1}
        series = [
            Series(f"all {names.get(name, name)}" if is_language else name, lines[is_language, name], style)
            for (is_language, name), style in styles.items()
            if (is_language, name) in lines
        ]
        drawn.append((curve, [*series, Series("all", curve.loss, 0, is_bold=True)]))
    if not drawn:
        return []
    y_range = charts.range_of([one for _, series in drawn for one in series])
    return [
        {
            "label": curve.label,
            "chart": charts.line_chart(series, (420, 250), ("optimizer step", "loss"), y_range, curve.phase_starts),
            "legend": [(one.label, one.style, one.is_bold) for one in reversed(series)],
        }
        for curve, series in drawn
    ]


def explorer_data(recipe: Recipe, page: Page) -> dict[str, Any]:
    """Return what the explorer's script shows: systems, tasks and items with every system's answer."""
    systems = [{"name": name, "label": label_of(recipe, name)} for name in recipe.systems]
    outputs = page.outputs
    labels = task_labels([*page.further_tables, *page.main_tables], outputs)
    counts = outputs.num_items.items()
    tasks = [{"name": name, "label": labels[name], "num_items": count} for name, count in counts]
    # Translations into a new language tell most at a glance.
    into = [column for target in recipe.languages.targets for column in into_target_columns(recipe, {}, target)]
    telling = [column.task for column in into if column.task in outputs.num_items]
    first = next(iter([*telling, *outputs.num_items]), "")
    seen = {name for answers in outputs.failures.values() for one in answers for name in one}
    return {
        "systems": systems,
        "reference": recipe.evaluate.reference_system,
        "tasks": tasks,
        "first_task": first,
        "failures": [name for name in FAILURES if name in seen],
        "items": list(outputs.items.values()),
    }


def task_labels(tables: Sequence[Table], outputs: Outputs) -> dict[str, str]:
    """Return how tables call their tasks, and of all that was answered: by its task, with its turn or its wording."""
    labels = {column.task: column.name for table in tables for column in table.columns}

    def label_of_part(name: str) -> str:
        if name.endswith(FIRST_TURN):
            task = name.removesuffix(FIRST_TURN)
            return f"{labels.get(task, task)}, first turn"
        cell, mark, number = name.rpartition("_w")
        return f"{labels[cell]}, wording {int(number)}" if mark and number.isdecimal() and cell in labels else name

    answered = (*outputs.num_items, *(task for _, task in outputs.failures))
    return {**{name: label_of_part(name) for name in answered}, **labels}


def bar(column: Column, cell: TableCell) -> Markup:
    """Draw a cell's value and interval on the column's scale, with a tick at the chance level.

    Nothing for a change, nor where the scale has no end: 1.5 and 3 bits per byte would both fill it.
    """
    if cell.value is None or column.signed or not column.is_bounded:
        return Markup("")

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, value / column.top)), 1)

    low = place(cell.low if cell.low is not None else cell.value)
    high = place(cell.high if cell.high is not None else cell.value)
    chance = "" if column.chance is None else f'<path class="chance" d="M{place(column.chance)} 0V10"/>'
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="track" d="M0 5H100"/>{chance}<path class="span" d="M{low} 5H{high}"/>'
        f'<path class="value" d="M{place(cell.value)} 1V9"/></svg>'
    )


def _styles(recipe: Recipe) -> dict[str, int]:
    """Give every system the colour, dash and marker that it has in all figures."""
    return {system: index for index, system in enumerate(recipe.systems)}


def _count(number: float | None) -> str:
    """Write a count for people: 924, 12,345, 2.3 M."""
    if number is None:
        return "–"
    for size, unit in ((1e9, "B"), (1e6, "M")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:,.0f}"


def _duration(seconds: float) -> str:
    """Write a duration for people: 42 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _percent(part: float | None, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if part is not None and whole else "–"
