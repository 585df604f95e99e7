"""Three sentences that say what the tables say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosstune.report.outputs import Outputs, read_outputs
from crosstune.report.scores import read_resamples, read_scores
from crosstune.report.stage import task_labels
from crosstune.report.tables import failures
from crosstune.report.tables import significance as comparisons
from crosstune.report.tables.baselines import with_baselines
from crosstune.report.tables.build import further_tables, paper_tables
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow
from crosstune.report.tables.changes import change_table, into_target_columns, known_columns
from crosstune.report.tables.findings import findings
from crosstune.report.tables.summary import summary
from crosstune.runs.records import Score
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
    assert told[0].startswith(f"LLaMA (bilingual) has BLEU {column.text(best.value)} [")
    assert told[0].endswith("where LLaMA (base) has 0.1: +96.7, not tested.")
    gained = "at NSMC, generated (accuracy 0.000 → 0.767)."
    assert told[1] == f"LLaMA (bilingual) is significantly better than LLaMA (base) {gained}"
    assert told[2].startswith(
        "LLaMA (bilingual) has no significant loss of English on 2 measures; the widest interval is COPA, "
    )
    # As the table of failures counts them, and as many of each.
    several = "some in several ways: empty 1, wrong language 1, no stop 1"
    assert told[3] == f"Of its 60 answers at {column.name}, 2 failed (3.3 %), {several}."


def test_a_loss_is_named_and_without_a_winner_or_a_task_nothing_else_is_said(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    scores = read_scores(recipe, write_run(recipe))
    column = replace(known_columns(recipe, scores)[0], signed=True)
    (main,) = [table for table in paper_tables(recipe, scores) if table.name == "Table 4"]
    lost = Table("", "", (column,), (TableRow("bilingual", "LLaMA (bilingual)", (TableCell(-0.2, -0.3, -0.1),)),))
    _, forgot = summary(recipe, scores, [main], lost, [])
    said = f"significant loss on 1 of 1 measures: {column.heading} −0.200 [−0.300, −0.100]."
    assert forgot == f"LLaMA (bilingual) forgot some English: {said}"
    barely = replace(
        main,
        rows=tuple(
            replace(row, cells=(TableCell(0.1 * at, 0.0, 1.0),) * len(row.cells)) for at, row in enumerate(main.rows)
        ),
    )
    assert "below 1 BLEU nothing is translated" in summary(recipe, scores, [barely], lost, [])[0]
    level = replace(main, rows=tuple(replace(row, cells=(TableCell(1.0),) * len(row.cells)) for row in main.rows))
    (nobody,) = summary(recipe, scores, [level], lost, [])
    first = into_target_columns(recipe, scores, "ko")[0]
    assert nobody == f"No adapted system is above LLaMA (base) at {first.name}."
    assert summary(recipe, scores, [], lost, []) == ()


def test_the_cost_of_the_instructions_language_is_told_for_each_test_set_by_itself(tmp_path: Path) -> None:
    both = {"task": "translation", "paths": ["a.json"], "directions": ["en-ko"], "instruction_languages": ["en", "ko"]}
    only_english = {**both, "instruction_languages": ["en"]}

    def told(tasks: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        recipe = make_recipe(tmp_path, evaluate={"reference_system": "llama", "tasks": tasks})
        values = {"news_en_ko_en": 20.0, "news_en_ko_ko": 15.0, "talks_en_ko_en": 40.0, "talks_en_ko_ko": 30.0}
        scores = {("ours", task, "bleu"): Score(task, "bleu", value, 0, 99, 9, "") for task, value in values.items()}
        found = findings(recipe, comparisons.Evidence(scores, Outputs(), {}), [], None, "")
        return {group.title: group.lines for group in found}

    said = "English instruction → Korean instruction: {}, for LLaMA (ours, the paper's)."
    alone = f"En→Ko BLEU, {said.format('20.0 → 15.0, −5.0')}"
    # Not from 40.0, which is of other sentences.
    assert told({"news": both}) == told({"news": both, "talks": only_english}) == {"Asked in Korean": (alone,)}
    assert told({"news": both, "talks": both})["Asked in Korean"] == (
        f"En→Ko BLEU (news), {said.format('20.0 → 15.0, −5.0')}",
        f"En→Ko BLEU (talks), {said.format('40.0 → 30.0, −10.0')}",
    )


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


def test_a_gain_is_what_the_test_finds_above_the_baseline_and_losses_in_the_target_are_named(tmp_path: Path) -> None:
    pairs: dict[str, Any] = {"task": "translation", "paths": ["t.json"], "directions": ["en-ko", "ko-en"]}
    pairs["instruction_languages"] = ["en"]
    tasks = {
        "pairs": pairs,
        "senti": {"task": "kobest_sentineg", "paths": ["s.tsv"]},
        "text_ko": {"task": "bits_per_byte", "language": "ko", "paths": ["k.txt"]},
        "text_en": {"task": "bits_per_byte", "language": "en", "paths": ["e.txt"]},
    }
    recipe = make_recipe(tmp_path, evaluate={"reference_system": "llama", "tasks": tasks})
    # Task, metric, the reference's score, ours, the corrected p.
    measured = [
        ("pairs_en_ko_en", "bleu", 0.1, 2.2, 0.051),
        ("pairs_ko_en_en", "bleu", 1.5, 3.8, 0.025),
        ("senti", "acc", 0.49, 0.294, 0.006),
        ("text_ko", "bits_per_byte", 2.644, 2.341, 0.027),
        ("text_en", "bits_per_byte", 1.233, 1.336, 0.001),
    ]
    scores, resamples, by_pair = {}, {}, {}
    for task, metric, theirs, ours, p in measured:
        for system, value in (("llama", theirs), ("ours", ours)):
            scores[system, task, metric] = Score(task, metric, value, value, value, 20, "", items="1")
            resamples[system, task, metric] = np.full(100, value)
        by_pair[task, metric, "ours", "llama"] = p if ours > theirs else -p
    outputs = Outputs()
    for system, right in (("llama", 490), ("ours", 294)):
        outputs.correct[system, "senti"] = {str(item): item < right for item in range(1000)}
        score = scores[system, "senti", "acc"]
        scores[system, "senti", "acc"] = replace(score, n=1000)
    evidence = comparisons.Evidence(scores, outputs, resamples)
    change = change_table(recipe, evidence)
    assert change is not None
    change = comparisons.judged(recipe, change, by_pair)
    row = {"baseline": "translation memory", "task": "pairs_en_ko_en", "metric": "bleu", "low": 1.4, "high": 3.4}
    tables = with_baselines([*paper_tables(recipe, scores), *further_tables(recipe, scores)], [{**row, "value": 2.4}])
    assert summary(recipe, scores, tables, change, []) == (
        "LLaMA (ours, the paper's) has BLEU 2.2 [2.2, 2.2] at En→Ko, English instruction, where LLaMA (base) has 0.1: "
        "+2.1 [+2.1, +2.1], not distinguishable from LLaMA (base), no better than translation memory without a model "
        "(2.4).",
        "LLaMA (ours, the paper's) is significantly better than LLaMA (base) at Ko→En, English instruction "
        "(BLEU 1.5 → 3.8); Korean text (bits per byte 2.644 → 2.341, lower is better); it is significantly worse than "
        "LLaMA (base) at KoBEST SentiNeg (accuracy 0.490 → 0.294).",
        "LLaMA (ours, the paper's) forgot some English: significant loss on 1 of 1 measures: English text "
        "+0.103 [+0.103, +0.103] bits per byte, lower is better.",
    )
    found = {group.title: group.lines for group in findings(recipe, evidence, tables, change, "")}
    assert found["Korean lost"] == ("Significant loss: LLaMA (ours, the paper's) (KoBEST SentiNeg −0.196).",)
