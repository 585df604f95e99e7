"""What a difference means: for the better or the worse, or nothing."""

from dataclasses import replace

import numpy as np
import pytest

from crosstune.recipe import Recipe
from crosstune.report.outputs import Outputs, read_outputs
from crosstune.report.scores import read_resamples, read_scores
from crosstune.report.tables.cells import TableCell
from crosstune.report.tables.changes import change_table
from crosstune.report.tables.significance import Evidence
from crosstune.runs.folder import RESAMPLES, RunFolder


@pytest.mark.slow
def test_a_change_of_bleu_where_nothing_is_translated_has_no_interval_and_a_note_says_so(
    recipe: Recipe, run: RunFolder
) -> None:
    for system, shift in (("llama", 0.0), ("lora", 0.5)):
        values = np.linspace(0, 0.1, 1000) + shift
        np.savez(run.system(system) / "evaluation" / RESAMPLES, **{"pairs_en_ko_en/bleu": values})
    table = change_table(
        recipe, Evidence(read_scores(recipe, run), read_outputs(recipe, run), read_resamples(recipe, run))
    )
    assert table is not None
    place = [column.task for column in table.columns].index("pairs_en_ko_en")
    lora = table.rows[0].cells[place]
    assert lora.value is not None and lora.low is None and table.columns[place].marks(lora) == ""
    assert "nothing is translated" in table.notes[-1]


@pytest.mark.slow
def test_less_of_what_should_be_little_is_better(recipe: Recipe, run: RunFolder) -> None:
    table = change_table(recipe, Evidence(read_scores(recipe, run), Outputs(), {}))
    assert table is not None
    column, fallen = table.columns[0], TableCell(-0.1, -0.2, -0.05)
    assert (column.judgement(fallen), column.judgement(TableCell(0.1, -0.1, 0.3))) == ("worse", "")
    assert replace(column, less_is_better=True).judgement(fallen) == "better"
