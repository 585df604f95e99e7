import pytest

from crosstune.recipe import Recipe
from crosstune.report import stage
from crosstune.runs.files import read_json, write_json, write_jsonl
from crosstune.runs.folder import RunFolder


@pytest.mark.slow
def test_the_most_frequent_answer_of_a_tasks_own_items_stands_beside_guessing(recipe: Recipe, run: RunFolder) -> None:
    labels = {"hella": [0, 3, 3, 1, 3], "choice": [1, 0, 1, 1]}
    for task, found in labels.items():
        write_jsonl(run.evaluation_set(task) / "items.jsonl", [{"id": str(i), "label": n} for i, n in enumerate(found)])
    write_jsonl(run.evaluation_set("pairs") / "items.jsonl", [{"id": "1", "en": "Yes.", "ko": "네."}])
    stage.run(recipe, run)
    assert read_json(run.report / "levels.json") == {
        "hella": {"chance": 0.25, "majority": 0.6, "n": 5},
        "choice": {"chance": 0.5, "majority": 0.75, "n": 4},
    }
    for name in ("report.html", "report.md"):
        text = (run.report / name).read_text(encoding="utf-8")
        assert "guessing\u00a00.25, majority\u00a00.60" in text
        assert "guessing\u00a00.50, majority\u00a00.75" in text


@pytest.mark.slow
def test_without_items_only_guessing_is_shown(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    assert read_json(run.report / "levels.json") == {}
    text = (run.report / "report.md").read_text(encoding="utf-8")
    assert "guessing\u00a00.25" in text and "majority" not in text


@pytest.mark.slow
def test_what_the_training_rows_give_without_a_model_stands_below_its_table(recipe: Recipe, run: RunFolder) -> None:
    score = {"metric": "bleu", "value": 45.04, "low": 40.0, "high": 50.0}
    scores = [
        {"baseline": "translation memory", "task": "pairs_en_ko_en", **score},
        {"baseline": "naive Bayes", "task": "movies", "metric": "acc", "value": 1.0, "low": 0.9398, "high": 1.0},
    ]
    write_json(run.root / "baselines.json", {"fingerprint": "x", "scores": scores})
    stage.run(recipe, run)
    for name in ("report.html", "report.md"):
        text = (run.report / name).read_text(encoding="utf-8")
        assert "translation memory (translation of the training sentence" in text
        assert "reaches: En→Ko, English instruction 45.0" in text and "reaches: NSMC, generated 1.000" in text
