import pytest

from crosstune.recipe import Recipe
from crosstune.report.outputs import read_outputs
from crosstune.report.tables.failures import CellFailures, figures, read_failures, to_csv, to_markdown
from crosstune.report.write.bars import fitted, pattern_definitions, stacked_bars
from crosstune.report.write.charts import NUM_STYLES
from crosstune.runs.files import read_jsonl, write_jsonl
from crosstune.runs.folder import RunFolder
from crosstune.tasks.diagnostics import FAILURES
from tests.report.conftest import CELLS, NUM_ITEMS, SYSTEMS

CELL = CellFailures("t", "En | Ko", (("ours", "Ours", 4, {"wrong language": 2, "no stop": 1}, {"wrong language": 2}),))


@pytest.mark.slow
def test_every_failure_is_counted_and_the_first_one_apart(recipe: Recipe, run: RunFolder) -> None:
    found = {cell.task: cell for cell in read_failures(recipe, read_outputs(recipe, run), {"movies": "NSMC"})}
    assert list(found) == ["movies", *(f"pairs_{cell}" for cell in CELLS)]
    assert found["movies"].label == "NSMC"
    assert [row[0] for row in found["movies"].rows] == list(SYSTEMS)
    _, label, n, every, first = found["pairs_en_ko_en"].rows[-1]
    assert (label, n) == ("LLaMA (bilingual)", NUM_ITEMS)
    assert every == {"empty": 1, "wrong language": 1, "no stop": 1}
    assert first == {"empty": 1, "wrong language": 1}


@pytest.mark.slow
def test_answers_that_were_never_judged_are_not_shown_as_right(recipe: Recipe, run: RunFolder) -> None:
    for system in SYSTEMS:
        path = run.system(system) / "evaluation" / "outputs.jsonl"
        write_jsonl(path, [{"task": row["task"], "id": row["id"]} for row in read_jsonl(path)])
    assert read_failures(recipe, read_outputs(recipe, run), {}) == []
    assert to_markdown([]) == ""


def test_the_table_and_the_file_count_an_answer_under_each_failure() -> None:
    lines = to_csv([CELL]).splitlines()
    assert lines[0] == "system,task,failure,count,n" and len(lines) == 1 + len(FAILURES)
    assert "ours,t,wrong language,2,4" in lines and "ours,t,no stop,1,4" in lines and "ours,t,empty,0,4" in lines
    assert to_markdown([CELL]).splitlines()[-1] == r"| En \| Ko | Ours | 4 | 0 | 0 | 2 | 0 | 0 | 0 | 1 | 0 | 0 |"


def test_a_bar_counts_an_answer_once_and_its_parts_stand_one_behind_the_other() -> None:
    ((label, chart),) = figures([CELL])
    assert label == "En | Ko"
    assert "50 %" in chart and chart.count('class="part') == 1
    drawn = stacked_bars([("<b>", [0.25, 0.0, 0.5])])
    assert "<b>" not in drawn and "75 %" in drawn
    assert 'x="170.0" y="4" width="74.5"' in drawn and 'x="244.5" y="4" width="149.0"' in drawn


def test_every_fill_has_its_own_pattern() -> None:
    patterns = pattern_definitions().split("<pattern ")[1:]
    assert len({pattern.partition("<path")[2] for pattern in patterns}) == len(patterns) == NUM_STYLES
    assert len(FAILURES) <= NUM_STYLES


def test_bars_of_systems_whose_names_begin_alike_are_told_apart() -> None:
    labels = [
        "continued pretraining on Korean",
        "continued pretraining on English",
        "한국어 지시문으로 학습한 모델",
        "ours",
    ]
    shown = [fitted(label, 158) for label in labels]
    assert shown == ["continued p…g on Korean", "continued p… on English", "한국어 지시문…학습한 모델", "ours"]
    drawn = stacked_bars([(label, [share]) for label, share in zip(labels, (0.0, 0.001, 0.999, 1.0), strict=True)])
    assert "<title>continued pretraining on English</title>" in drawn
    assert [text in drawn for text in (">0 %<", ">&lt; 1 %<", ">&gt; 99 %<", ">100 %<")] == [True] * 4
