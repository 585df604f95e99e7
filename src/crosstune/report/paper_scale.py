"""Table 4 once more as the paper prints it: BLEU from 0 to 1."""

from dataclasses import replace

from crosstune.report.tables.cells import Cell, Column, Table


def on_paper_scale(table: Table) -> Table:
    """Return a table of BLEU from 0 to 100 with all of its numbers, the paper's among them, divided by 100."""
    notes = [note for note in table.notes if not note.startswith("Below a system")]
    if any(row.paper for row in table.rows):
        notes.insert(
            1, "Below a system: the paper's figure for it, as printed, LLaMA-2-7B on the paper's own test sets."
        )
    return replace(
        table,
        name=f"{table.name}, in the paper's unit",
        title="Translation, BLEU from 0 to 1",
        columns=tuple(_column(column) for column in table.columns),
        rows=tuple(
            replace(row, cells=tuple(map(_cell, row.cells)), paper=tuple(map(_hundredth, row.paper)))
            for row in table.rows
        ),
        sentence="",
        notes=tuple(notes),
    )


def _column(column: Column) -> Column:
    return replace(column, detail=column.detail.replace("BLEU", "BLEU from 0 to 1", 1), top=1.0, paper_decimals=3)


def _cell(cell: Cell) -> Cell:
    return replace(cell, value=_hundredth(cell.value), low=_hundredth(cell.low), high=_hundredth(cell.high))


def _hundredth(number: float | None) -> float | None:
    return None if number is None else number / 100
