"""What the report says of systems unlike the paper's: other seeds, items, scales, versions, and a later reference."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosstune.recipe import Recipe
from crosstune.report.outputs import Outputs
from crosstune.report.page import bar
from crosstune.report.run_facts import read_run_facts
from crosstune.report.scores import Scores, to_csv, to_json
from crosstune.report.tables.build import build_table, further_tables
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow
from crosstune.report.tables.changes import change_table, figure_points, of_adapted
from crosstune.report.tables.columns import column_of
from crosstune.report.tables.scored_alike import scored_otherwise
from crosstune.report.tables.significance import Comparison, Evidence, marked
from crosstune.report.tables.summary import summary
from crosstune.report.write.markdown import table_to_markdown
from crosstune.report.write.model_card import model_card
from crosstune.report.write.provenance import seeds
from crosstune.runs.folder import RunFolder
from crosstune.runs.records import Score
from tests.report.conftest import STAGE, make_recipe, recipe_content


def scores_of(task: str, metric: str, values: dict[str, float], **changes: Any) -> Scores:
    return {
        (system, task, metric): replace(Score(task, metric, value, value, value, 250, "v1", items="i"), **changes)
        for system, value in values.items()
    }


def test_what_the_reference_was_made_from_stands_neither_among_gains_nor_in_their_figure(tmp_path: Path) -> None:
    evaluate = {**recipe_content()["evaluate"], "reference_system": "lora"}
    recipe = make_recipe(tmp_path, evaluate=evaluate)
    values = {"llama": 0.7, "lora": 0.6, "ours": 0.65}
    scores = {**scores_of("hella", "acc", values), **scores_of("choice", "acc", values)}
    assert [point.system for point in figure_points(recipe, scores)] == ["ours"]
    changes = change_table(recipe, Evidence(scores, Outputs(), {}))
    shown = of_adapted(recipe, changes)
    assert changes and shown and [row.system for row in shown.rows] == ["ours"]
    del scores["ours", "hella", "acc"], scores["ours", "choice", "acc"]
    assert of_adapted(recipe, change_table(recipe, Evidence(scores, Outputs(), {}))) is None


def test_each_score_is_told_with_the_seed_of_its_system(tmp_path: Path) -> None:
    systems = recipe_content()["systems"]
    systems["ours"]["seed"] = 8
    recipe = make_recipe(tmp_path, systems=systems)
    scores = scores_of("hella", "acc", {"llama": 0.7, "ours": 0.65})
    lines = to_csv(recipe, scores).splitlines()[1:]
    assert [line.rpartition(",")[2] for line in lines] == ["3", "8"]
    assert '"seed": 8' in to_json(recipe, scores)
    assert seeds(recipe) == "3; LLaMA (ours, the paper's): 8" and seeds(make_recipe(tmp_path)) == "3"


def test_no_bar_is_drawn_on_a_scale_without_an_end() -> None:
    cell = TableCell(1.4, 1.3, 1.5)
    known = Column("t", "acc", "T")
    assert bar(known, TableCell(0.4, 0.3, 0.5))
    assert not bar(replace(known, metric="bits_per_byte"), cell)
    assert not bar(replace(known, metric="perplexity", is_scale_known=False), cell)


def test_nobody_is_best_by_a_mean_over_items_of_its_own(recipe: Recipe) -> None:
    scores = scores_of("movies", "acc_answered", {"llama": 1.0, "ours": 0.8})
    key = ("llama", "movies", "acc_answered")
    few = {**scores, key: replace(scores[key], n=3, items="three of them")}
    for found, best in ((scores, ["llama"]), (few, [])):
        table = build_table(recipe, found, "", "", [column_of(recipe, found, "movies", "acc_answered")])
        assert [row.system for row in table.rows if row.cells[0].is_best] == best
    assert table.columns[0].detail.endswith("n\u00a0=\u00a03 to 250, of each system's own items: no best")
    # As many, but others.
    others = {**scores, key: replace(scores[key], items="others")}
    assert not column_of(recipe, others, "movies", "acc_answered").is_of_same_items


def test_wordings_that_all_translate_nothing_are_neither_best_nor_alike(tmp_path: Path) -> None:
    tasks = recipe_content()["evaluate"]["tasks"]
    tasks["pairs"] |= {"wordings": "held_out", "directions": ["en-ko"]}
    recipe = make_recipe(tmp_path, evaluate={"reference_system": "llama", "tasks": {"pairs": tasks["pairs"]}})
    scores: Scores = {}
    for metric, nothing, ours in (("best", 0.3, 20.0), ("worst", 0.29, 12.0), ("worst_to_best", 0.97, 0.6)):
        scores |= scores_of("pairs_en_ko_en", f"bleu_{metric}", {"llama": nothing, "lora": nothing, "ours": ours})
    p_values = [
        Comparison("pairs_en_ko_en", "bleu_worst_to_best", "llama", other, 0.37, "paired_bootstrap", 0.01, 0.01, 3)
        for other in ("lora", "ours")
    ]
    for table in marked(recipe, further_tables(recipe, scores), p_values):
        shown = {row.system: row.cells[0] for row in table.rows}
        assert not shown["llama"].is_best and not shown["llama"].marks
        if table.columns[0].metric == "bleu_worst_to_best":
            assert (shown["llama"].value, shown["ours"].value) == (None, 0.6)
    only_nothing = {key: score for key, score in scores.items() if key[0] != "ours"}
    raised = {key: replace(score, value=score.value + 0.1 * (key[0] == "lora")) for key, score in only_nothing.items()}
    for table in further_tables(recipe, raised):
        assert not any(row.cells[0].is_best for row in table.rows)


def test_scores_by_another_version_are_told(recipe: Recipe) -> None:
    scores = scores_of("hella", "acc", {"llama": 0.7, "ours": 0.65}, signature="harness:0.4|shots:0|ci:wilson")
    assert scored_otherwise(recipe, scores, {}) == []
    key = ("ours", "hella", "acc")
    # The interval of a mean that is no share is another, of the same score.
    assert (
        scored_otherwise(recipe, {**scores, key: replace(scores[key], signature="harness:0.4|shots:0|bs:9")}, {}) == []
    )
    scores[key] = replace(scores[key], signature="harness:0.5|shots:0|ci:wilson")
    [group] = scored_otherwise(recipe, scores, {"hella": "HellaSwag"})
    assert group.title == "Not scored alike"
    assert group.lines[0].startswith(
        "HellaSwag: LLaMA (base) harness:0.4; LLaMA (ours, the paper's) harness:0.5. A difference"
    )


def test_a_card_says_whether_the_form_of_its_prompts_was_learnt(tmp_path: Path) -> None:
    content = recipe_content()
    content["data"]["sources"]["news"] = {"kind": "text", "language": "ko", "paths": ["news.txt"]}
    content["data"]["mixtures"]["news"] = [{"source": "news"}]
    content["systems"]["llama"]["phases"] = [{"mixture": "news", **STAGE}]
    content["systems"]["continued"]["phases"] = [{"mixture": "news", **STAGE}]
    recipe = make_recipe(tmp_path, **{name: content[name] for name in ("data", "systems")})
    run = RunFolder(tmp_path / "made_up")
    cards = {name: model_card(recipe, run, name, [], read_run_facts(recipe, run), {}) for name in ("continued", "ours")}
    assert "It was trained on prompts of this form" in cards["ours"]
    assert "trained on prompts" not in cards["continued"]
    assert "It was trained on plain text alone, and learnt no form of question here." in cards["continued"]


def test_metrics_of_others_that_begin_like_ours_keep_their_scale() -> None:
    recipe = make_recipe(Path("runs"))
    scores = scores_of("truth", "bleu_acc", {"llama": 0.312, "ours": 0.341})
    column = column_of(recipe, scores, "truth", "bleu_acc")
    assert (column.top, column.floor, column.text(0.312)) == (1.0, None, "0.312")
    for metric in ("bleu", "bleu_best", "bleu_mean", "bleu_worst", "chrf++", "chrf++_worst", "bleu_char_best"):
        assert column_of(recipe, scores, "truth", metric).top == 100


def test_a_label_cannot_open_a_column_or_emphasis_in_markdown() -> None:
    rows = tuple(TableRow(label, label, (TableCell(0.5),)) for label in ("*ours | best*", "| a"))
    printed = table_to_markdown(Table("", "T", (Column("t", "acc", "T"),), rows)).splitlines()
    assert "| \\*ours \\| best\\* | 0.500 |" in printed and "| \\| a | 0.500 |" in printed


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        (
            1.9,
            "LLaMA (ours, the paper's) has 1.900 [1.900, 1.900] bits per byte (lower is better) at Korean text, where "
            "LLaMA (base) has 2.900: −1.000 [−1.000, −1.000], significant.",
        ),
        (3.0, "No adapted system is below LLaMA (base) at Korean text (bits per byte, lower is better)."),
    ],
)
def test_a_suite_of_texts_alone_has_its_gain_in_the_summary_as_well_as_its_loss(
    tmp_path: Path, ours: float, told: str
) -> None:
    tasks = {code: {"task": "bits_per_byte", "language": code, "paths": [code]} for code in ("en", "ko")}
    recipe = make_recipe(tmp_path, evaluate={"reference_system": "llama", "tasks": tasks})
    scores = scores_of("en", "bits_per_byte", {"llama": 1.4, "ours": 1.6, "lora": 1.6})
    scores |= scores_of("ko", "bits_per_byte", {"llama": 2.9, "ours": ours, "lora": 3.1})
    resamples = {key: np.full(100, score.value) for key, score in scores.items()}
    changes = change_table(recipe, Evidence(scores, Outputs(), resamples))
    assert summary(recipe, scores, further_tables(recipe, scores), changes, [])[0] == told
