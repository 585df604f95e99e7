from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.recipe import Recipe
from crosstune.report.outputs import Outputs, read_outputs
from crosstune.report.scores import Scores, read_resamples, read_scores
from crosstune.report.tables.build import further_tables
from crosstune.report.tables.changes import change_table, difference_interval, figure_points
from crosstune.report.tables.significance import Evidence, judged
from crosstune.runs.folder import RESAMPLES, RunFolder
from crosstune.runs.records import Score
from tests.report.conftest import make_recipe


@pytest.mark.slow
def test_the_change_is_adapted_minus_reference_with_an_interval_over_the_same_items(
    recipe: Recipe, run: RunFolder
) -> None:
    scores = read_scores(recipe, run)
    table = change_table(recipe, Evidence(scores, read_outputs(recipe, run), {}))
    assert table is not None
    assert [row.system for row in table.rows] == ["lora", "continued", "ours", "bilingual"]
    copa = [column.task for column in table.columns].index("choice")
    cell = table.rows[1].cells[copa]
    difference = scores["continued", "choice", "acc"].value - scores["llama", "choice", "acc"].value
    assert cell.value == difference
    assert cell.low is not None and cell.high is not None
    assert cell.low < difference < cell.high < 0
    assert table.columns[copa].marks(cell) == " ▼"


@pytest.mark.slow
def test_without_the_items_of_the_score_the_change_has_no_interval(recipe: Recipe, run: RunFolder) -> None:
    scores = read_scores(recipe, run)
    outputs = read_outputs(recipe, run)
    outputs.correct["ours", "hella"].popitem()
    table = change_table(recipe, Evidence(scores, outputs, {}))
    assert table is not None
    ours = table.rows[2].cells[0]
    assert ours.value is not None and ours.low is None


@pytest.mark.slow
def test_a_change_of_bleu_has_the_paired_bootstraps_interval(recipe: Recipe, run: RunFolder) -> None:
    base, ours = np.linspace(0, 1, 1000), np.linspace(0, 1, 1000) + np.linspace(5, 9, 1000)
    for system, values in (("llama", base), ("ours", ours)):
        np.savez(run.system(system) / "evaluation" / RESAMPLES, **{"pairs_en_ko_en/bleu": values})
    scores, resamples = read_scores(recipe, run), read_resamples(recipe, run)
    assert resamples.keys() == {("llama", "pairs_en_ko_en", "bleu"), ("ours", "pairs_en_ko_en", "bleu")}
    table = change_table(recipe, Evidence(scores, read_outputs(recipe, run), resamples))
    assert table is not None
    place = [(column.task, column.metric) for column in table.columns].index(("pairs_en_ko_en", "bleu"))
    cells = {row.system: row.cells[place] for row in table.rows}
    assert (cells["ours"].low, cells["ours"].high) == pytest.approx((5.1, 8.9))
    assert table.columns[place].marks(cells["ours"]) == " ▲"
    assert cells["bilingual"].value is not None and cells["bilingual"].low is None


@pytest.mark.slow
def test_held_out_text_is_compared_by_the_paired_bootstrap_and_its_least_is_best(run: RunFolder) -> None:
    tasks = {
        label: {"task": "bits_per_byte", "language": language, "paths": [f"{label}.txt"]}
        for label, language in (("english", "en"), ("korean", "ko"))
    }
    recipe = make_recipe(run.root.parent, evaluate={"reference_system": "llama", "tasks": tasks})
    scores: Scores = {}
    outputs = Outputs()
    resamples = {}
    for system, value in (("llama", 2.0), ("ours", 1.5), ("continued", 2.5)):
        key = (system, "korean", "bits_per_byte")
        scores[key] = Score(*key[1:], value, value - 0.1, value + 0.1, 2, "", items="1 2")
        resamples[key] = value + np.linspace(-0.1, 0.1, 100)
    table = change_table(recipe, Evidence(scores, outputs, resamples))
    assert table is not None
    assert [column.name for column in table.columns] == ["English text", "Korean text"]
    cells = {row.system: row.cells[1] for row in table.rows}
    assert (cells["ours"].value, cells["ours"].low, cells["ours"].high) == pytest.approx((-0.5, -0.5, -0.5))
    assert table.columns[1].marks(cells["ours"]) == " ▲"  # Better, though the number is below zero.
    [further] = further_tables(recipe, scores)
    assert further.title == "Held-out text"
    assert [row.system for row in further.rows if row.cells[0].is_best] == ["ours"]


@pytest.mark.slow
def test_resamples_of_other_items_or_of_another_number_are_not_paired(recipe: Recipe, run: RunFolder) -> None:
    for system, number in (("llama", 1000), ("ours", 1000), ("lora", 500)):
        np.savez(run.system(system) / "evaluation" / RESAMPLES, **{"pairs_en_ko_en/bleu": np.linspace(0, 1, number)})
    scores, resamples, outputs = read_scores(recipe, run), read_resamples(recipe, run), read_outputs(recipe, run)
    key = ("ours", "pairs_en_ko_en", "bleu")
    scores[key] = replace(scores[key], items="others, as many")
    table = change_table(recipe, Evidence(scores, outputs, resamples))
    assert table is not None
    place = [(column.task, column.metric) for column in table.columns].index(("pairs_en_ko_en", "bleu"))
    assert all(row.cells[place].low is None for row in table.rows)


@pytest.mark.parametrize(("p", "arrow"), [(0.049, " ▲"), (0.051, "")])
def test_an_arrow_needs_the_test_of_the_tables_of_scores_too(recipe: Recipe, p: float, arrow: str) -> None:
    scores: Scores = {}
    resamples = {}
    for system, value in (("llama", 0.1), ("ours", 2.2)):
        key = (system, "pairs_en_ko_en", "bleu")
        scores[key] = Score(*key[1:], value, value - 0.1, value + 0.1, 20, "", items="1 2")
        resamples[key] = np.full(100, value)
    table = change_table(recipe, Evidence(scores, Outputs(), resamples))
    assert table is not None
    table = judged(recipe, table, {("pairs_en_ko_en", "bleu", "ours", "llama"): p})
    place = [column.task for column in table.columns].index("pairs_en_ko_en")
    (cell,) = [row.cells[place] for row in table.rows if row.system == "ours"]
    assert cell.low is not None and cell.low > 0 and table.columns[place].marks(cell) == arrow
    assert "▲ is better, ▼ is worse" in table.notes[0]


def test_nothing_is_compared_without_the_reference_system(recipe: Recipe) -> None:
    scores: Scores = {("ours", "hella", "acc"): Score("hella", "acc", 0.5, 0.4, 0.6, 10, "")}
    assert change_table(recipe, Evidence(scores, Outputs(), {})) is None
    assert figure_points(recipe, scores) == []


@pytest.mark.slow
def test_the_figure_places_each_adapted_system_by_mean_changes_in_points(recipe: Recipe, run: RunFolder) -> None:
    points = {point.system: point for point in figure_points(recipe, read_scores(recipe, run))}
    assert list(points) == ["lora", "continued", "ours", "bilingual"]
    assert round(points["ours"].source, 2) == round(100 * ((41 - 42) + (54 - 56)) / 60 / 2, 2)
    into_korean, _ = points["ours"].gains
    assert into_korean is not None
    assert round(into_korean, 2) == round((58.2 + 15.5) / 2, 2)


def test_an_accuracy_that_is_a_mean_of_tasks_has_the_paired_bootstraps_interval(recipe: Recipe) -> None:
    scores: Scores = {}
    outputs, resamples = Outputs(), {}
    for system, value in (("llama", 0.8), ("ours", 0.5)):
        key = (system, "choice", "acc")
        # Half of the items are right, but those of small tasks count more.
        scores[key] = Score(*key[1:], value, value - 0.1, value + 0.1, 60, "", "bootstrap", "the same")
        outputs.correct[system, "choice"] = {str(item): item < 30 for item in range(60)}
        resamples[key] = value + np.linspace(0, 0.1, 1000) * (system == "ours")
    table = change_table(recipe, Evidence(scores, outputs, resamples))
    assert table is not None
    place = [column.task for column in table.columns].index("choice")
    (cell,) = [row.cells[place] for row in table.rows if row.system == "ours"]
    assert (cell.low, cell.high) == pytest.approx((-0.2975, -0.2025))


def test_two_systems_that_agree_on_a_few_items_are_not_equal_for_certain() -> None:
    low, high = difference_interval(0, 0, 10)
    assert low < 0 < high


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_swapping_two_systems_mirrors_the_interval(won: int, lost: int, equal: int) -> None:
    one, other = (difference_interval(*pair, won + lost + equal) for pair in ((won, lost), (lost, won)))
    assert one == pytest.approx((-other[1], -other[0]))
    assert -1 <= one[0] <= one[1] <= 1
