"""Three sentences that say what the tables say."""

from dataclasses import replace
from pathlib import Path

import pytest

from crosstune.report.outputs import Outputs, read_outputs
from crosstune.report.scores import read_resamples, read_scores
from crosstune.report.stage import task_labels
from crosstune.report.tables import failures
from crosstune.report.tables import significance as comparisons
from crosstune.report.tables.build import further_tables, paper_tables
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow
from crosstune.report.tables.changes import change_table, into_target_columns, known_columns
from crosstune.report.tables.summary import summary
from tests.report.conftest import make_recipe, write_run


@pytest.mark.slow
def test_the_summary_names_the_best_system_its_gain_what_it_forgot_and_how_it_fails(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    run = write_run(recipe)
    scores, outputs = read_scores(recipe, run), read_outputs(recipe, run)
    change = change_table(recipe, comparisons.Evidence(scores, outputs, read_resamples(recipe, run)))
    main = paper_tables(recipe, scores)
    labels = task_labels([*further_tables(recipe, scores), *main], outputs)
    failed = failures.read_failures(recipe, outputs, labels)
    told = summary(recipe, scores, main, change, failed)
    index, column = next((i, one) for i, one in enumerate(main[1].columns) if one.heading == "En→Ko")
    best = main[1].rows[-1].cells[index]
    assert told[0].startswith(f"LLaMA (bilingual) is best at {column.name}, BLEU {column.text(best.value)} [")
    assert told[0].endswith("where LLaMA (base) has 0.1: +96.7.")
    assert told[1].startswith("No significant loss of English on 2 measures; the widest interval is COPA, ")
    assert told[2] == f"Of its 60 answers at {column.name}, 2 failed (3.3 %): empty 1, wrong language 1."


def test_a_loss_is_named_and_without_a_winner_or_a_task_nothing_else_is_said(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    scores = read_scores(recipe, write_run(recipe))
    column = replace(known_columns(recipe, scores)[0], signed=True)
    (main,) = [table for table in paper_tables(recipe, scores) if table.name == "Table 4"]
    lost = Table("", "", (column,), (TableRow("bilingual", "LLaMA (bilingual)", (TableCell(-0.2, -0.3, -0.1),)),))
    _, forgot = summary(recipe, scores, [main], lost, [])
    said = f"significant loss on 1 of 1 measures: {column.heading} −0.200 [−0.300, −0.100]."
    assert forgot == f"It forgot some English: {said}"
    level = replace(main, rows=tuple(replace(row, cells=(TableCell(1.0),) * len(row.cells)) for row in main.rows))
    (nobody,) = summary(recipe, scores, [level], lost, [])
    first = into_target_columns(recipe, scores, "ko")[0]
    assert nobody == f"No adapted system is above LLaMA (base) at {first.name}."
    assert summary(recipe, scores, [], lost, []) == ()


def test_first_turns_and_wordings_are_called_after_their_task() -> None:
    titles = {"told": "Instructions, English", "translate_en_ko_ko": "En→Ko, Korean instruction"}
    table = Table("", "", tuple(Column(task, "acc", title) for task, title in titles.items()), ())
    outputs = Outputs(
        num_items={"told_first_turn": 2, "translate_en_ko_ko_w03": 2, "plain_wool": 2, "other_first_turn": 1}
    )
    assert task_labels([table], outputs) == titles | {
        "told_first_turn": "Instructions, English, first turn",
        "translate_en_ko_ko_w03": "En→Ko, Korean instruction, wording 3",
        "plain_wool": "plain_wool",
        "other_first_turn": "other, first turn",
    }
