import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosstune.recipe import Recipe
from crosstune.report.outputs import Outputs
from crosstune.report.scores import Scores, read_scores
from crosstune.report.tables.baselines import with_baselines
from crosstune.report.tables.build import further_tables, paper_tables
from crosstune.report.tables.cells import Column, Table, TableCell, TableRow, mark_best
from crosstune.report.tables.changes import change_table
from crosstune.report.tables.findings import best_per_column, findings
from crosstune.report.tables.significance import Comparison, Evidence, marked, signed_p_values
from crosstune.runs.folder import RunFolder
from crosstune.runs.records import Score
from tests.report.conftest import make_recipe, recipe_content, write_run


def a_score(system: str, task: str, value: float, **changes: Any) -> tuple[str, Score]:
    return system, replace(Score(task, "acc", value, value - 0.05, value + 0.05, 250, "v1"), **changes)


def as_scores(*scores: tuple[str, Score]) -> Scores:
    return {(system, score.task, score.metric): score for system, score in scores}


def column(table: Table, name: str) -> tuple[TableCell, ...]:
    index = [column.name for column in table.columns].index(name)
    return tuple(row.cells[index] for row in table.rows)


@pytest.mark.slow
def test_table_3_takes_its_columns_from_the_kinds_of_the_recipes_tasks_whatever_their_labels(
    recipe: Recipe, run: RunFolder
) -> None:
    table = paper_tables(recipe, read_scores(recipe, run))[0]
    assert table.name == "Table 3"
    assert [(column.task, column.heading) for column in table.columns] == [
        ("hella", "HellaSwag"),
        ("choice", "COPA"),
        ("movies", "NSMC, generated"),
    ]
    assert [row.system for row in table.rows] == ["llama", "lora", "continued", "ours", "bilingual"]


@pytest.mark.slow
def test_table_4_has_the_papers_four_cells_in_the_papers_order(recipe: Recipe, run: RunFolder) -> None:
    table = paper_tables(recipe, read_scores(recipe, run))[1]
    assert [column.task for column in table.columns] == [
        "pairs_ko_en_en",
        "pairs_en_ko_en",
        "pairs_ko_en_ko",
        "pairs_en_ko_ko",
    ]
    assert [column.name for column in table.columns][:2] == ["Ko→En, English instruction", "En→Ko, English instruction"]


def test_headings_above_columns_keep_the_order_of_the_columns(tmp_path: Path) -> None:
    task = {"task": "translation", "paths": ["t.json"], "directions": ["ko-en"], "instruction_languages": ["en", "ko"]}
    tasks = {"hella": {"task": "hellaswag", "paths": ["h"]}, "pairs": task}
    languages = {"source": "ko", "target": "en"}
    recipe = make_recipe(
        tmp_path,
        languages=languages,
        data={"sources": {}, "mixtures": {"paper": []}},
        evaluate={"reference_system": "llama", "tasks": tasks},
    )
    first, second = paper_tables(recipe, as_scores(a_score("llama", "hella", 0.5)))
    assert first.groups == []
    assert second.groups == [("Korean instruction", 1), ("English instruction", 1)]


def test_unseen_wordings_have_tables_of_their_own_and_the_rest_is_in_the_files(tmp_path: Path) -> None:
    task = {"task": "translation", "paths": ["t.json"], "directions": ["ko-en"], "instruction_languages": ["en"]}
    tasks = {"pairs": task, "robust": {**task, "wordings": "held_out"}}
    recipe = make_recipe(tmp_path, evaluate={"reference_system": "llama", "tasks": tasks})
    metrics = ("bleu", "chrf++", "bleu_char", "ter", "comet")
    cells = ("pairs_ko_en_en", *(f"robust_ko_en_en_w{number:02d}" for number in (1, 12)))
    scores = as_scores(
        *(a_score("llama", cell, 5.0, metric=metric) for cell in cells for metric in metrics),
        *(
            a_score("llama", "robust_ko_en_en", 4.0, metric=f"{metric}_{name}")
            for metric in metrics
            for name in ("best", "mean", "worst", "worst_to_best")
        ),
    )
    (table,) = paper_tables(recipe, scores)
    assert [column.task for column in table.columns] == ["pairs_ko_en_en"]
    only_unseen = make_recipe(tmp_path, evaluate={"reference_system": "lora", "tasks": {"robust": tasks["robust"]}})
    both = {**scores, **as_scores(a_score("lora", "robust_ko_en_en", 3.0, metric="bleu_mean"))}
    assert change_table(only_unseen, Evidence(both, Outputs(), {})) is None
    shown = {
        table.title: [(column.task, column.top) for column in table.columns] for table in further_tables(recipe, scores)
    }
    assert shown == {
        "Translation, chrF++": [("pairs_ko_en_en", 100)],
        **{
            f"Translation, {metric}, {name} of the unseen instructions": [("robust_ko_en_en", 100)]
            for metric in ("BLEU", "chrF++")
            for name in ("best", "mean", "worst")
        },
        **{
            f"Translation, {metric}, worst of the unseen instructions as a share of their best": [
                ("robust_ko_en_en", 1)
            ]
            for metric in ("BLEU", "chrF++")
        },
    }


@pytest.mark.slow
def test_every_score_stands_in_exactly_one_table(recipe: Recipe, run: RunFolder) -> None:
    scores = read_scores(recipe, run)
    tables = [*paper_tables(recipe, scores), *further_tables(recipe, scores)]
    shown = [(column.task, column.metric) for table in tables for column in table.columns]
    assert len(shown) == len(set(shown))
    assert set(shown) == {(task, metric) for _, task, metric in scores}


def test_a_score_of_a_task_that_the_recipe_no_longer_has_is_shown_too(recipe: Recipe) -> None:
    scores = as_scores(a_score("llama", "hella", 0.6), a_score("llama", "winogrande", 0.7))
    shown = [column.heading for table in further_tables(recipe, scores) for column in table.columns]
    assert shown == ["winogrande"]


def test_the_papers_bleu_is_shown_on_our_scale_and_its_dash_stays_a_dash(recipe: Recipe, run: RunFolder) -> None:
    table = paper_tables(recipe, read_scores(recipe, run))[1]
    figures = {
        row.system: [column.paper_text(figure) for column, figure in zip(table.columns, row.paper, strict=False)]
        for row in table.rows
    }
    assert figures["ours"] == ["5.7", "11.1", "5.5", "1.4"]
    assert figures["continued"] == ["1.2", "0.4", "–", "–"]
    assert figures["bilingual"] == []
    assert any("times 100" in note for note in table.notes)


def test_the_papers_figures_can_be_left_out(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, report={"paper_figures": False})
    tables = paper_tables(recipe, read_scores(recipe, write_run(recipe)))
    assert not any(row.paper or row.paper_label for table in tables for row in table.rows)


def test_the_best_of_a_column_is_marked_and_equal_prints_are_marked_alike(recipe: Recipe) -> None:
    scores = as_scores(
        a_score("llama", "hella", 0.70001), a_score("lora", "hella", 0.70002), a_score("ours", "hella", 0.6)
    )
    best = [cell.is_best for cell in column(paper_tables(recipe, scores)[0], "HellaSwag")]
    assert best == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("values", "floor", "best"),
    [
        ((0.4, 0.49), {"chance": 0.5}, None),
        ((0.4, 0.5), {"chance": 0.5}, None),
        ((0.4, 0.51), {"chance": 0.5}, 0.51),
        ((0.4, 0.51), {"chance": 0.5, "majority": 0.52}, None),
        ((0.2, 0.9), {"metric": "bleu", "top": 100.0}, None),
    ],
)
def test_nothing_is_best_that_is_not_above_guessing(
    values: tuple[float, float], floor: dict[str, Any], best: float | None
) -> None:
    column = Column(**{"task": "t", "metric": "acc", "heading": "T", **floor})
    rows = tuple(TableRow(str(value), str(value), (TableCell(value),)) for value in values)
    marked = mark_best(Table("", "", (column,), rows))
    assert [row.cells[0].value for row in marked.rows if row.cells[0].is_best] == ([] if best is None else [best])


def test_nobody_is_best_where_all_are_equal_or_alone(recipe: Recipe) -> None:
    for scores in (
        as_scores(a_score("llama", "hella", 0.5)),
        as_scores(a_score("llama", "hella", 0.5), a_score("ours", "hella", 0.5)),
    ):
        assert not any(cell.is_best for cell in column(paper_tables(recipe, scores)[0], "HellaSwag"))


def test_a_missing_score_is_a_dash(recipe: Recipe) -> None:
    table = paper_tables(recipe, as_scores(a_score("llama", "hella", 0.5)))[0]
    texts = [table.columns[0].text(cell.value) for cell in column(table, "HellaSwag")]
    assert texts == ["0.500", "–", "–", "–", "–"]


def test_two_tasks_of_one_kind_are_told_apart(tmp_path: Path) -> None:
    tasks = {
        "first": {"task": "hellaswag", "paths": ["a.jsonl"]},
        "second": {"task": "hellaswag", "paths": ["b.jsonl"]},
    }
    recipe = make_recipe(tmp_path, evaluate={"reference_system": "llama", "tasks": tasks})
    table = paper_tables(recipe, as_scores(a_score("llama", "first", 0.5)))[0]
    assert [column.heading for column in table.columns] == ["HellaSwag (first)", "HellaSwag (second)"]


def test_a_recipe_without_the_papers_tasks_has_no_paper_tables(tmp_path: Path) -> None:
    tasks = {"senti": {"task": "kobest_sentineg", "paths": ["s.tsv"]}}
    recipe = make_recipe(tmp_path, evaluate={"reference_system": "llama", "tasks": tasks})
    scores = as_scores(a_score("llama", "senti", 0.5))
    assert paper_tables(recipe, scores) == []
    assert [table.title for table in further_tables(recipe, scores)] == ["Korean understanding (KoBEST)"]


def test_the_sentence_says_who_is_best_and_by_the_test_better_than_whom(recipe: Recipe) -> None:
    scores = as_scores(
        a_score("llama", "hella", 0.70),
        a_score("ours", "hella", 0.68),
        a_score("llama", "movies", 0.1),
        a_score("ours", "movies", 0.7),
    )
    table = paper_tables(recipe, scores)[0]
    # Intervals that are far apart say nothing: the test does, as for the marks.
    alike = {("hella", "acc", "llama", "ours"): 0.05, ("movies", "acc", "ours", "llama"): 0.05}
    assert best_per_column(table, alike) == (
        "LLaMA (base) is best on HellaSwag (not distinguishable from LLaMA (ours, the paper's)); "
        "LLaMA (ours, the paper's) is best on NSMC, generated (not distinguishable from LLaMA (base))."
    )
    differ = dict.fromkeys(alike, 0.01)
    assert best_per_column(table, differ) == (
        "LLaMA (base) is best on HellaSwag (better than LLaMA (ours, the paper's)); "
        "LLaMA (ours, the paper's) is best on NSMC, generated (better than LLaMA (base))."
    )


@pytest.mark.parametrize(
    ("p", "said"),
    [
        ((0.01, 0.02), "better than every other system"),
        ((0.01, 0.06), "not distinguishable from LLaMA (Ko), LoRA"),
        ((0.9, 0.06), "not distinguishable from 2 others"),
        ((0.01, math.inf), "not tested against LLaMA (Ko), LoRA"),
    ],
)
def test_best_of_all_is_said_only_where_the_double_dagger_stands(
    recipe: Recipe, p: tuple[float, float], said: str
) -> None:
    scores = as_scores(*(a_score(system, "hella", n) for system, n in (("llama", 0.3), ("lora", 0.4), ("ours", 0.9))))
    comparisons = [
        Comparison("hella", "acc", "ours", other, 0.5, "mcnemar_exact", one, one, 2)
        for other, one in zip(("llama", "lora"), p, strict=True)
        if one < 1
    ]
    (table, *_) = marked(recipe, paper_tables(recipe, scores), comparisons)
    assert best_per_column(table, signed_p_values(comparisons)) == (
        f"LLaMA (ours, the paper's) is best on HellaSwag ({said})."
    )
    (ours,) = [row.cells[0].marks for row in table.rows if row.system == "ours"]
    assert ("‡" in ours) == said.startswith("better")


def test_nothing_is_best_that_is_not_above_what_the_training_rows_give_without_a_model(recipe: Recipe) -> None:
    scores = as_scores(
        *(a_score(name, "pairs_en_ko_en", n, metric="bleu") for name, n in (("llama", 0.1), ("ours", 2.2)))
    )
    memory = {"baseline": "translation memory", "task": "pairs_en_ko_en", "metric": "bleu", "low": 1.4, "high": 3.4}
    for value, best in ((2.4, []), (2.1, ["ours"])):
        tables = with_baselines(paper_tables(recipe, scores), [{**memory, "value": value}])
        (table,) = [one for one in tables if one.name == "Table 4"]
        assert [row.system for row in table.rows if row.cells[1].is_best] == best
        (won,) = findings(recipe, Evidence(scores, Outputs(), {}), tables, None, "")[0].lines
        assert ("no system is above translation memory without a model (2.4)" in won) == (not best)


def test_systems_that_print_the_same_best_number_are_named_together(recipe: Recipe) -> None:
    values = {"llama": 0.5, "ours": 1.0, "bilingual": 1.0}
    scores = as_scores(*(a_score(system, "movies", value) for system, value in values.items()))
    tables = paper_tables(recipe, scores)
    better = {("movies", "acc", system, "llama"): 0.01 for system in ("ours", "bilingual")}
    assert best_per_column(tables[0], better) == (
        "LLaMA (ours, the paper's) and LLaMA (bilingual) are best on NSMC, generated (better than LLaMA (base))."
    )
    won = findings(recipe, Evidence(scores, Outputs(), {}), tables, None, "")[0]
    assert won.title == "Best in Korean"
    assert won.lines == (
        "NSMC, generated: LLaMA (ours, the paper's) and LLaMA (bilingual), accuracy 1.000 [0.950, 1.050]; "
        "LLaMA (base) has 0.500, guessing gives 0.50.",
    )


@pytest.mark.slow
def test_the_sentence_says_when_one_system_is_best_everywhere(recipe: Recipe, run: RunFolder) -> None:
    table = paper_tables(recipe, read_scores(recipe, run))[1]
    others = [name for name in recipe.systems if name != "bilingual"]
    better = {(column.task, "bleu", "bilingual", other): 0.01 for column in table.columns for other in others}
    assert (
        best_per_column(table, better) == "LLaMA (bilingual) is best in every column (better than every other system)."
    )
    assert best_per_column(table, {}) == "LLaMA (bilingual) is best in every column."


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "+0.500"), (-0.0331, "−0.033"), (-0.0001, "0.000"), (0.0, "0.000"), (None, "–")]
)
def test_changes_carry_a_sign_and_no_minus_before_zero(recipe: Recipe, value: float | None, text: str) -> None:
    signed = replace(paper_tables(recipe, as_scores(a_score("llama", "hella", 0.5)))[0].columns[0], signed=True)
    assert signed.text(value) == text


def test_the_made_up_recipe_labels_differ_from_the_kinds() -> None:
    assert not {label for label in recipe_content()["evaluate"]["tasks"]} & {"hellaswag", "translation"}


@pytest.mark.slow
def test_what_a_change_of_the_instructions_language_costs_has_the_paired_interval(
    recipe: Recipe, run: RunFolder
) -> None:
    scores = read_scores(recipe, run)
    keys = [("ours", f"pairs_en_ko_{language}", "bleu") for language in ("ko", "en")]
    scores |= {key: replace(scores[key], items="1 2") for key in keys}
    start = np.linspace(0, 1, 1000)
    resamples = {keys[0]: start, keys[1]: start + np.linspace(30, 50, 1000)}

    def asked_in_korean() -> str:
        return findings(recipe, Evidence(scores, Outputs(), resamples), [], None, "")[-1].lines[0]

    assert "58.3 → 15.6, −42.7 [−49.5, −30.5], for LLaMA (ours, the paper's)" in asked_in_korean()
    # Other items are not paired, though they are as many.
    scores[keys[0]] = replace(scores[keys[0]], items="others")
    assert "58.3 → 15.6, −42.7, for LLaMA (ours, the paper's)" in asked_in_korean()
