"""The tables on the terminal: nothing is cut, and every number has its name."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from crosstune.recipe import Recipe
from crosstune.report.scores import read_scores
from crosstune.report.tables.build import paper_tables
from crosstune.report.tables.cells import Table
from crosstune.report.write import terminal as module
from crosstune.report.write.terminal import print_tables
from crosstune.runs.folder import RunFolder


def printed(table: Table, width: int, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> str:
    stream = io.StringIO()
    monkeypatch.setattr(module, "results", Console(file=stream, width=width, highlight=False))
    print_tables([table], run.report / "report.html")
    return stream.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 300])
def test_a_table_wider_than_the_terminal_is_printed_in_pieces_with_every_number(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    table = paper_tables(recipe, read_scores(recipe, run))[0]
    rows = (replace(row, cells=row.cells * 2, paper=row.paper * 2) for row in table.rows)
    wide = replace(table, columns=table.columns * 2, rows=tuple(rows))
    text = printed(wide, width, run, monkeypatch)
    assert "…" not in text and (f"{table.title}, continued" in " ".join(text.split())) == (width < 300)
    for row in wide.rows:
        found = [
            number
            for line in text.splitlines()
            if row.label in line
            for number in re.findall(r"\d\.\d{3}(?= \[\d\.\d{3}, \d\.\d{3}\])", line)
        ]
        assert found == [
            column.text(cell.value)
            for column, cell in zip(wide.columns, row.cells, strict=True)
            if cell.value is not None
        ]


@pytest.mark.slow
def test_columns_called_alike_name_their_metrics_and_items_stand_below(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = paper_tables(recipe, read_scores(recipe, run))[0]
    first = table.columns[0]
    alike = replace(
        table, columns=(first, replace(first, detail=first.detail.replace("accuracy", "F1")), table.columns[2])
    )
    text = printed(alike, 120, run, monkeypatch)
    assert any(re.search(r"\saccuracy\s+F1\s", line) for line in text.splitlines())
    assert f"{first.name}: {first.detail}, {first.levels}\n" in text
