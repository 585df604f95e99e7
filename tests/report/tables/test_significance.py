import csv
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control

from crosstune.recipe import Recipe
from crosstune.report import stage
from crosstune.report.outputs import Outputs, read_outputs
from crosstune.report.scores import read_resamples, read_scores
from crosstune.report.tables.build import paper_tables
from crosstune.report.tables.cells import Table
from crosstune.report.tables.significance import (
    Comparison,
    Evidence,
    compare,
    holm,
    marked,
    mcnemar,
    paired_bootstrap,
    to_csv,
)
from crosstune.runs.folder import RESAMPLES, RunFolder
from crosstune.runs.records import Score


def evidence_of(recipe: Recipe, run: RunFolder) -> Evidence:
    return Evidence(read_scores(recipe, run), read_outputs(recipe, run), read_resamples(recipe, run))


def tables_of(recipe: Recipe, evidence: Evidence, comparisons: list[Comparison]) -> list[Table]:
    return marked(recipe, paper_tables(recipe, evidence.scores), comparisons)


def test_mcnemar_by_hand() -> None:
    # Ten items that one alone got right, two that the other did: 2 * (1 + 12 + 66) / 4096.
    assert mcnemar(10, 2) == 158 / 4096
    assert mcnemar(0, 0) == mcnemar(1, 0) == mcnemar(3, 3) == 1


@pytest.mark.slow
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_two_sided_binomial_test(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost, 0.5).pvalue if won + lost else 1.0
    assert mcnemar(won, lost) == pytest.approx(float(expected), rel=1e-9)
    assert mcnemar(won, lost) == mcnemar(lost, won)


def test_mcnemar_of_all_of_hellaswag_is_no_overflow() -> None:
    assert mcnemar(5100, 4942) == pytest.approx(float(binomtest(4942, 10042, 0.5).pvalue), rel=1e-9)


def test_holm_by_hand() -> None:
    # The smallest times 4, the next times 3, and none below the one before.
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for p, found in zip(p_values, corrected, strict=True):
        assert p <= found <= min(1.0, p * len(p_values)) + 1e-12
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert [corrected[index] for index in order] == sorted(corrected)
    # Controlling the family's error is never less strict than controlling the share of false ones.
    assert all(np.asarray(corrected) >= false_discovery_control(p_values) - 1e-12)


@pytest.mark.slow
def test_the_bootstrap_test_rejects_one_in_twenty_where_there_is_no_difference() -> None:
    generator = np.random.default_rng(0)
    p_values = []
    for _ in range(400):
        items = generator.normal(size=80)
        draws = generator.multinomial(80, np.full(80, 1 / 80), size=300) / 80
        p_values.append(paired_bootstrap(float(items.mean()), draws @ items))
    assert 0.02 < np.mean(np.asarray(p_values) < 0.05) < 0.09
    assert 0.42 < np.mean(p_values) < 0.58


def test_the_bootstrap_test_is_symmetric_and_never_zero() -> None:
    resampled = np.linspace(4, 6, 999)
    assert paired_bootstrap(5.0, resampled) == paired_bootstrap(-5.0, -resampled) == 0.001
    assert paired_bootstrap(0.0, np.zeros(999)) == 1.0


@pytest.mark.slow
def test_accuracies_are_compared_item_by_item_and_bleu_by_resamples(recipe: Recipe, run: RunFolder) -> None:
    for system, shift in (("llama", 0.0), ("ours", 50.0)):
        values = np.random.default_rng(1).normal(size=1000) + shift
        np.savez(run.system(system) / "evaluation" / RESAMPLES, **{"pairs_en_ko_en/bleu": values})
    evidence = evidence_of(recipe, run)
    found = {(one.task, one.system, one.other): one for one in compare(evidence, list(recipe.systems))}
    choice = found["choice", "llama", "continued"]
    won, lost, num_items = evidence.won_and_lost(("llama", "continued"), "choice", "acc") or (0, 0, 0)
    assert (choice.test, choice.num_pairs, num_items) == ("mcnemar_exact", 10, 60)
    assert choice.difference == pytest.approx((won - lost) / 60)
    assert choice.p == mcnemar(won, lost) and choice.p_holm >= choice.p
    bleu = found["pairs_en_ko_en", "llama", "ours"]
    assert (bleu.test, bleu.num_pairs) == ("paired_bootstrap", 1)
    assert bleu.p == bleu.p_holm == 1 / 1001
    assert ("pairs_en_ko_en", "llama", "lora") not in found


@pytest.mark.slow
def test_answers_to_other_items_than_those_of_the_score_are_not_compared(recipe: Recipe, run: RunFolder) -> None:
    evidence = evidence_of(recipe, run)
    assert evidence.won_and_lost(("llama", "ours"), "choice", "acc")
    evidence.outputs.correct["ours", "choice"].popitem()
    assert evidence.won_and_lost(("llama", "ours"), "choice", "acc") is None
    score = evidence.scores["lora", "choice", "acc"]
    evidence.scores["lora", "choice", "acc"] = replace(score, value=score.value + 0.1)
    assert evidence.won_and_lost(("llama", "lora"), "choice", "acc") is None


@pytest.mark.slow
@pytest.mark.parametrize("of_ours", ["others, as many", ""])
def test_systems_that_answered_other_items_are_not_compared_by_resamples(
    recipe: Recipe, run: RunFolder, of_ours: str
) -> None:
    for system in ("llama", "ours"):
        values = np.random.default_rng(1).normal(size=1000)
        np.savez(run.system(system) / "evaluation" / RESAMPLES, **{"pairs_en_ko_en/bleu": values})
    evidence, key = evidence_of(recipe, run), ("ours", "pairs_en_ko_en", "bleu")
    pair = ("llama", "ours")
    assert evidence.resampled(pair, *key[1:]) is not None
    evidence.scores[key] = replace(evidence.scores[key], items=of_ours)
    assert evidence.resampled(pair, *key[1:]) is None
    assert not [one for one in compare(evidence, pair) if (one.task, one.metric) == key[1:]]


@pytest.mark.slow
def test_cells_are_marked_that_differ_from_the_reference_or_beat_all(recipe: Recipe, run: RunFolder) -> None:
    evidence = evidence_of(recipe, run)
    systems = list(recipe.systems)

    def marks(p_of: dict[tuple[str, str], float]) -> dict[str, str]:
        comparisons = [
            Comparison(
                "choice", "acc", first, second, difference, "mcnemar_exact", abs(difference), abs(difference), 10
            )
            for (first, second), difference in p_of.items()
        ]
        table = tables_of(recipe, evidence, comparisons)[0]
        place = [column.task for column in table.columns].index("choice")
        return {row.system: row.cells[place].marks for row in table.rows}

    # The sign of the number is the sign of the difference, its size the p-value.
    of_bilingual = {("bilingual", other): 0.01 for other in systems if other != "bilingual"}
    assert marks(of_bilingual) == {"llama": "", "lora": "", "continued": "", "ours": "", "bilingual": "†‡"}
    assert marks({**of_bilingual, ("bilingual", "lora"): 0.06})["bilingual"] == "†"
    assert marks({("llama", "lora"): 0.04})["lora"] == "†"
    assert marks({("llama", "lora"): math.nextafter(0.05, 1)})["lora"] == ""
    # The reference may beat all, and differs from itself in nothing.
    of_llama = {("llama", other): 0.01 for other in systems if other != "llama"}
    assert marks(of_llama)["llama"] == "‡"


@pytest.mark.slow
def test_translations_that_are_none_are_not_marked(recipe: Recipe, run: RunFolder) -> None:
    evidence = evidence_of(recipe, run)
    task = "pairs_ko_en_en"
    pairs = (("llama", "lora", -0.01), ("llama", "bilingual", -0.01))
    comparisons = [Comparison(task, "bleu", *pair, "paired_bootstrap", 0.01, 0.01, 2) for pair in pairs]
    table = tables_of(recipe, evidence, comparisons)[1]
    place = [column.task for column in table.columns].index(task)
    found = {row.system: row.cells[place].marks for row in table.rows}
    assert (found["lora"], found["bilingual"]) == ("", "†")


@pytest.mark.slow
def test_the_report_writes_all_comparisons_and_explains_the_marks(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    with (run.report / "comparisons.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["task"], row["metric"], row["num_pairs"]) for row in rows} >= {("choice", "acc", "10")}
    assert all(float(row["p"]) <= float(row["p_holm"]) <= 1 for row in rows)
    for name in ("report.html", "report.md", "tables.tex"):
        text = (run.report / name).read_text(encoding="utf-8")
        assert "Holm" in text and ("textdagger" if name == "tables.tex" else "†") in text
    assert to_csv([]).startswith("task,metric,system,other,difference,test,p,p_holm,num_pairs")


def evidence_by_hand(of_other: str = "all", num_items: int = 100) -> Evidence:
    """Return two systems that answered the items 0, 1, ... and have a BLEU on equal resamples."""
    outputs, scores, resamples = Outputs(), {}, {}
    for system, right, items in (("one", 90, "all"), ("other", 60, of_other)):
        outputs.correct[system, "task"] = {str(index): index < right for index in range(100)}
        scores[system, "task", "acc"] = Score("task", "acc", right / 100, 0, 1, 100, "", "wilson", items)
        scores[system, "task", "bleu"] = Score("task", "bleu", right, 0, 100, num_items, "", "bootstrap", items)
        resamples[system, "task", "bleu"] = np.full(999, float(right))
    return Evidence(scores, outputs, resamples)


def test_answers_to_other_questions_under_the_same_numbers_are_not_compared() -> None:
    assert [one.test for one in compare(evidence_by_hand(), ["one", "other"])] == ["mcnemar_exact", "paired_bootstrap"]
    assert compare(evidence_by_hand(of_other="others"), ["one", "other"]) == []


@pytest.mark.parametrize(("num_items", "p"), [(1, 1.0), (2, 0.5), (4, 0.125), (100, 0.001)])
def test_no_test_of_few_items_says_more_than_their_number_allows(num_items: int, p: float) -> None:
    [_, bleu] = compare(evidence_by_hand(num_items=num_items), ["one", "other"])
    assert bleu.p == p


def test_the_worse_of_two_is_never_marked_as_better_however_small_p_is(recipe: Recipe) -> None:
    scores, outputs = {}, Outputs()
    for system, right in (("llama", 0), ("lora", 2000), ("ours", 4000)):
        outputs.correct[system, "movies"] = {str(index): index < right for index in range(4000)}
        share = right / 4000
        scores[system, "movies", "acc"] = Score("movies", "acc", share, share, share, 4000, "", "wilson", "all")
    comparisons = compare(Evidence(scores, outputs, {}), list(recipe.systems))
    # 2 ** -1999 is less than a float can hold.
    assert [one.p > 0 for one in comparisons] == [True] * 3
    [table] = marked(recipe, paper_tables(recipe, scores)[:1], comparisons)
    place = [column.task for column in table.columns].index("movies")
    marks = {row.system: row.cells[place].marks for row in table.rows}
    assert marks == {"llama": "", "lora": "†", "continued": "", "ours": "†‡", "bilingual": ""}


def test_a_metric_that_is_undefined_on_a_resample_is_not_tested() -> None:
    evidence = evidence_by_hand()
    evidence.resamples["other", "task", "bleu"][3] = math.nan
    assert [one.metric for one in compare(evidence, ["one", "other"])] == ["acc"]
