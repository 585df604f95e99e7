"""A system that gives one answer to all items of a task is said to, where the right answers differ."""

import json
from collections import Counter

import pytest

from crosstune.recipe import Recipe
from crosstune.report import stage
from crosstune.report.outputs import GivenAnswers, Outputs, read_outputs
from crosstune.report.tables.one_answer import one_answer
from crosstune.runs.files import read_jsonl
from crosstune.runs.folder import RunFolder

BALANCED = Counter({"부정": 30, "긍정": 30})


def told(recipe: Recipe, given: Counter[str], right: Counter[str] = BALANCED) -> tuple[str, ...]:
    outputs = Outputs(answers={("ours", "senti"): GivenAnswers(given, right)})
    groups = one_answer(recipe, outputs, {"senti": "KoBEST SentiNeg"})
    return groups[0].lines if groups else ()


def test_one_answer_to_nearly_all_items_is_told(recipe: Recipe) -> None:
    (line,) = told(recipe, Counter({"긍정": 58, "부정": 2}))
    assert line.startswith("KoBEST SentiNeg: LLaMA (ours, the paper's) answers “긍정” to 58 of 60 items.")


def test_answers_that_differ_or_should_not_are_not_told(recipe: Recipe) -> None:
    assert told(recipe, Counter({"긍정": 50, "부정": 10})) == ()
    assert told(recipe, Counter({"긍정": 60}), Counter({"긍정": 59, "부정": 1})) == ()
    assert told(recipe, Counter({"긍정": 60}), Counter({"긍정": 60})) == ()
    assert told(recipe, Counter({"a": 60}), Counter(f"answer {number}" for number in range(60))) == ()
    assert told(recipe, Counter({"긍정": 10}), Counter({"긍정": 5, "부정": 5})) == ()
    assert told(recipe, Counter({"": 60})) == ()


@pytest.mark.slow
def test_the_page_and_its_markdown_say_so(recipe: Recipe, run: RunFolder) -> None:
    path = run.system("llama") / "evaluation" / "outputs.jsonl"
    rows = [{**row, "output": " 긍정 "} if row["task"] == "movies" else row for row in read_jsonl(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert [key for key in read_outputs(recipe, run).closed_answers() if key[0] == "llama"] == [("llama", "movies")]
    stage.run(recipe, run)
    for name in ("report.html", "report.md"):
        assert "LLaMA (base) answers “긍정” to 60 of 60 items" in (run.report / name).read_text("utf-8")
