"""The stage answers and scores every task of every system once, and goes on where it was interrupted."""

import copy
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from crosstune.errors import BadInputError, RunFolderError
from crosstune.evaluate import scoring, stage
from crosstune.evaluate.generate.generation import Generated
from crosstune.evaluate.harness import generated_tasks
from crosstune.evaluate.intervals import wilson
from crosstune.evaluate.suite import Suite
from crosstune.evaluate.systems import find_system, load_system
from crosstune.recipe import Recipe
from crosstune.runs import workers as side_by_side
from crosstune.runs.files import read_json, read_jsonl, write_json, write_jsonl
from crosstune.runs.folder import RESAMPLES, RunFolder, whole_folder
from crosstune.terminal.output import console

ITEMS: dict[str, list[dict[str, Any]]] = {
    "story": [
        {
            "id": f"h{index}",
            "activity_label": "Baking",
            "ctx_a": "A boy mixes flour.",
            "ctx_b": "he",
            "endings": ["mixes.", "opens.", "broke.", "came."],
            "label": index,
        }
        for index in range(4)
    ],
    "nsmc": [
        {"id": "n1", "document": "이 영화는 정말 재미있다", "label": 1},
        {"id": "n2", "document": "연기가 별로다 {input}", "label": 0},
        {"id": "n3", "document": "좋았다", "label": 1},
    ],
    "translate": [
        {"id": "t1", "en": "The wind came.", "ko": "바람이 왔다."},
        {"id": "t2", "en": "The boy mixes flour.", "ko": "소년은 밀가루를 섞는다."},
    ],
}
TASKS = {
    "translate": {
        "task": "translation",
        "paths": ["t.json"],
        "directions": ["ko-en", "en-ko"],
        "instruction_languages": ["en", "ko"],
        "max_new_tokens": 6,
    },
    "story": {"task": "hellaswag", "paths": ["h.jsonl"]},
    "nsmc": {"task": "nsmc_generate", "paths": ["n.txt"], "max_new_tokens": 6},
}
COMET_COMMAND = f"""#!{sys.executable}
import json
json.dump({{"output": [{{"COMET": 0.25}}, {{"COMET": 0.75}}]}}, open("scores.json", "w"))
"""
CELLS = ["translate_ko_en_en", "translate_ko_en_ko", "translate_en_ko_en", "translate_en_ko_ko"]


@pytest.fixture
def recipe(recipe_content: dict[str, Any]) -> Recipe:
    content = copy.deepcopy(recipe_content)
    content["evaluate"] = {"reference_system": "base", "tasks": TASKS, "num_bootstrap": 100}
    return Recipe.model_validate_json(json.dumps(content))


@pytest.fixture
def run(tmp_path: Path, model_folder: Path) -> RunFolder:
    """A run whose data and systems are there: both systems are the same tiny model."""
    run = RunFolder(tmp_path / "small")
    for label, items in ITEMS.items():
        with whole_folder(run.evaluation_set(label), f"items of {label}", {}) as folder:
            write_jsonl(folder / "items.jsonl", [{**item, "origin": "file:1"} for item in items])
    for name in ("base", "ours"):
        facts = {"model": str(model_folder), "revision": None, "tokenizer": str(model_folder), "fingerprint": name}
        facts["files"] = {}
        write_json(run.system(name) / "system.json", facts)
    return run


def rewrite(run: RunFolder, label: str, items: list[Any]) -> Path:
    with whole_folder(run.evaluation_set(label), f"items of {label}", {}) as folder:
        write_jsonl(folder / "items.jsonl", items)
    return run.evaluation_set(label) / "items.jsonl"


@pytest.mark.xdist_group("side_by_side")
def test_systems_side_by_side_get_the_same_scores(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "num_cores", lambda: 2)
    found = []
    for number in (1, 2):
        stage.run(recipe.model_copy(update={"systems_at_once": number}), run)
        found.append({name: read_json(run.system(name) / "evaluation" / "scores.json") for name in ("base", "ours")})
        for name in ("base", "ours"):
            shutil.rmtree(run.system(name) / "evaluation")
    assert found[0] == found[1]


@pytest.mark.slow
def test_scored_beside_the_training_it_is_as_scored_by_the_stage(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "quiet", False)
    with monkeypatch.context() as patch:
        patch.setattr(Suite, "of", lambda recipe, run: 1 / 0)
        stage.score_ahead(recipe, run, "ours")
    assert not (run.system("ours") / "evaluation").exists()
    assert "ours: not scored beside the training (ZeroDivisionError)" in capfd.readouterr().err
    stage.score_ahead(recipe, run, "ours")
    ahead = read_json(run.system("ours") / "evaluation" / "scores.json")
    stage.run(recipe, run)
    told = capfd.readouterr().err
    assert "ours: scored already" in told and "base: scored already" not in told
    shutil.rmtree(run.system("ours") / "evaluation")
    stage.run(recipe, run)
    assert read_json(run.system("ours") / "evaluation" / "scores.json") == ahead


@pytest.mark.slow
def test_every_system_gets_scores_and_answers(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    for name in ("base", "ours"):
        folder = run.system(name) / "evaluation"
        rows, scores = read_jsonl(folder / "outputs.jsonl"), read_json(folder / "scores.json")["scores"]
        with np.load(folder / RESAMPLES) as resamples:
            for score in scores:
                values = resamples[f"{score['task']}/{score['metric']}"]
                assert values.shape == (100,) and score["items"]
                expected = np.percentile(values, 2.5)
                if score["interval"] == "wilson":
                    expected = wilson(round(score["value"] * score["n"]), score["n"])[0]
                assert score["low"] == pytest.approx(expected)
        assert list(dict.fromkeys(row["task"] for row in rows)) == [*CELLS, "story", "nsmc"]
        assert len(rows) == 4 * 2 + 4 + 3
        metrics = {(score["task"], score["metric"]) for score in scores}
        expected = {("story", "acc"), ("story", "acc_norm")}
        expected |= {("nsmc", metric) for metric in ("acc", "answered", "both_keywords")}
        assert metrics - {("nsmc", "acc_answered")} == expected | {
            (cell, metric) for cell in CELLS for metric in ("bleu", "chrf++", "bleu_char", "ter")
        }
        assert all(score["low"] <= score["value"] <= score["high"] for score in scores if score["metric"] == "acc")
        assert read_json(folder / "manifest.json")["items"] == {"translate": 2, "story": 4, "nsmc": 3}
        assert not list(run.system(name).glob(".evaluation*"))


@pytest.mark.whole
def test_unseen_wordings_several_references_and_comet_are_scored(
    recipe: Recipe, run: RunFolder, tmp_path: Path
) -> None:
    command, checkpoint = tmp_path / "comet-score", tmp_path / "model.ckpt"
    command.write_text(COMET_COMMAND, encoding="utf-8")
    command.chmod(0o755)
    checkpoint.touch()
    rewrite(run, "translate", [*ITEMS["translate"], {"id": "t3", "en": "The wind came.", "ko": "찬 바람이 왔다."}])
    settings = {"wordings": "held_out", "references": "several", "directions": ("en-ko",)}
    task = recipe.evaluate.tasks["translate"].model_copy(update=settings)
    changes = {"tasks": {"translate": task}, "comet_checkpoint": checkpoint, "comet_command": str(command)}
    stage.run(recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update=changes)}), run)
    folder = run.system("ours") / "evaluation"
    rows, scores = read_jsonl(folder / "outputs.jsonl"), read_json(folder / "scores.json")["scores"]
    assert len(rows) == 2 * 10 * 2 and {row["wordings_of"] for row in rows} == {CELLS[2], CELLS[3]}
    assert rows[0]["references"] == ["바람이 왔다.", "찬 바람이 왔다."] and "references" not in rows[1]
    assert rows[0]["task"].startswith(f"{CELLS[2]}_w") and rows[0]["reference"] == "바람이 왔다."
    metrics = ("bleu", "chrf++", "bleu_char", "ter", "comet")
    over = [(score["task"], score["metric"]) for score in scores if score["task"] in CELLS]
    ways = ("best", "mean", "worst", "worst_to_best")
    names = [f"{metric}_{way}" for metric in metrics for way in ways[: 3 if metric == "ter" else 4]]
    assert over == [(cell, name) for cell in CELLS[2:] for name in names]
    each = [
        score["value"] for score in scores if score["task"].startswith(f"{CELLS[2]}_w") and score["metric"] == "ter"
    ]
    found = {score["metric"]: score["value"] for score in scores if score["task"] == CELLS[2]}
    assert len(each) == 10 and (found["ter_worst"], found["comet_mean"]) == (max(each), 0.5)


@pytest.mark.slow
def test_prompts_are_those_of_training(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    rows = {(row["task"], row["id"]): row for row in read_jsonl(run.system("ours") / "evaluation" / "outputs.jsonl")}
    assert rows["nsmc", "n2"]["prompt"] == (
        "### Instruction:\n다음 문장은 긍정일까요 부정일까요?\n연기가 별로다 {input}\n### Response:"
    )
    assert rows["nsmc", "n2"]["reference"] == "부정"
    cell = rows["translate_en_ko_en", "t1"]
    assert cell["prompt"] == (
        "### Instruction:\nTranslate the following sentences from English to Korean\nThe wind came.\n### Response:"
    )
    assert (cell["reference"], cell["correct"]) == ("바람이 왔다.", None)
    assert rows["translate_ko_en_ko", "t1"]["reference"] == "The wind came."


def test_each_system_brings_the_chat_template_that_it_was_trained_with(
    run: RunFolder, model_folder: Path, tmp_path: Path
) -> None:
    own = run.system("ours") / "model"
    shutil.copytree(model_folder, own)
    facts = read_json(run.system("ours") / "system.json")
    write_json(run.system("ours") / "system.json", {**facts, "model": run.name_inside(own)})
    for folder, template in ((model_folder, "of the base"), (own, "of training")):
        (folder / "chat_template.jinja").write_text(template)
    try:
        found = {name: load_system(find_system(run, name), "float32")[1].chat_template for name in ("base", "ours")}
    finally:
        (model_folder / "chat_template.jinja").unlink()
    assert found == {"base": "of the base", "ours": "of training"}


@pytest.mark.slow
def test_another_option_or_date_of_the_base_s_template_scores_it_again(
    recipe: Recipe, run: RunFolder, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "given"
    shutil.copytree(model_folder, folder)
    template = (
        "{{ strftime_now('%d %b') }} {{ thinks }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    content = json.loads(recipe.model_dump_json())
    content["tokenizer"]["base"] = {"kind": "given", "path": str(folder)}
    content["evaluate"]["tasks"] = {"nsmc": TASKS["nsmc"]}
    content["data"]["prompt"] = "chat"
    evaluated: list[str] = []

    def note(*given: Any) -> None:
        evaluated.append(given[3].name)
        with whole_folder(run.system(given[3].name) / "evaluation", given[4].scores, {}):
            pass

    monkeypatch.setattr(stage, "evaluate_system", note)
    for data in ({}, {}, {"template_options": {"thinks": True}}, {"template_date": "2026-01-02"}):
        content["data"] |= data
        stage.run(Recipe.model_validate_json(json.dumps(content)), run)
    assert evaluated == ["base", "ours"] * 3


@pytest.mark.slow
def test_a_scored_system_is_skipped_until_something_that_matters_changes(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(recipe, run)
    evaluated: list[str] = []
    monkeypatch.setattr(stage, "evaluate_system", lambda *given: evaluated.append(given[3].name))
    faster = recipe.evaluate.model_copy(update={"batch_tokens": 99, "max_batch_rows": 3})
    stage.run(recipe.model_copy(update={"evaluate": faster}), run)
    assert evaluated == []
    facts = read_json(run.system("ours") / "system.json")
    write_json(run.system("ours") / "system.json", {**facts, "fingerprint": "trained again"})
    stage.run(recipe, run)
    assert evaluated == ["ours"]
    with whole_folder(run.evaluation_set("nsmc"), "other items", {}) as folder:
        write_jsonl(folder / "items.jsonl", ITEMS["nsmc"])
    stage.run(recipe, run)
    assert evaluated == ["ours", "base", "ours"]


@pytest.mark.slow
def test_an_interrupted_evaluation_goes_on_and_gives_the_same(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(recipe, run)
    whole = (run.system("base") / "evaluation" / "outputs.jsonl").read_bytes()
    again = RunFolder(run.root.with_name("again"))
    run.root.rename(again.root)
    for name in ("base", "ours"):
        (again.system(name) / "evaluation" / "manifest.json").unlink()
    generated: list[int] = []
    generate = generated_tasks.generate

    def interrupted(*arguments: Any) -> Any:
        for answer in generate(*arguments):
            if len(generated) == 5:
                raise KeyboardInterrupt
            generated.append(answer[0])
            yield answer

    monkeypatch.setattr(generated_tasks, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage.run(recipe, again)
    partial = again.system("base") / ".evaluation.partial.jsonl"
    assert sum('"output"' in line for line in partial.read_text(encoding="utf-8").splitlines()) == 5
    with partial.open("a", encoding="utf-8") as file:
        file.write('{"task": "nsmc", "id": "n1", "outp')  # what a kill leaves
    monkeypatch.setattr(generated_tasks, "generate", generate)
    stage.run(recipe, again)
    assert (again.system("base") / "evaluation" / "outputs.jsonl").read_bytes() == whole
    assert not partial.exists()


HOSTILE = "<script>alert('x')</script>\x00\x1b[31m\u2028\u202e{{ 긍정 }}\r\n\ttab"


@pytest.mark.slow
def test_control_characters_and_html_are_kept_as_written_and_scored(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch, tokenizer: PreTrainedTokenizerFast
) -> None:
    """The log that a resumed evaluation reads, and the outputs, hold what the model wrote, one row per line."""
    answered: list[int] = []

    def generate(_: Any, prompts: Any, *__: Any) -> Any:
        for index in range(len(prompts)):
            if len(answered) == 3:
                answered.append(-1)
                raise KeyboardInterrupt
            answered.append(index)
            yield index, Generated((7,), True)

    monkeypatch.setattr(generated_tasks, "generate", generate)
    monkeypatch.setattr(type(tokenizer), "decode", lambda *_, **__: f"\n{HOSTILE}")
    with pytest.raises(KeyboardInterrupt):
        stage.run(recipe, run)
    stage.run(recipe, run)
    assert answered.count(-1) == 1 and len(answered) == 1 + 2 * (4 * 2 + 3)
    rows = read_jsonl(run.system("base") / "evaluation" / "outputs.jsonl")
    assert [row["output"] for row in rows if row["task"] != "story"] == [HOSTILE] * 11
    scores = read_json(run.system("base") / "evaluation" / "scores.json")["scores"]
    found = {(score["task"], score["metric"]): score["value"] for score in scores}
    assert found["nsmc", "acc"] == pytest.approx(2 / 3) and found["nsmc", "answered"] == 1
    assert all(0 <= found[cell, "chrf++"] < 10 for cell in CELLS)


def test_an_untrained_system_is_named(recipe: Recipe, run: RunFolder) -> None:
    (run.system("ours") / "system.json").unlink()
    with pytest.raises(
        RunFolderError, match=r"system 'ours' cannot be evaluated: .*Trained so far: base\. Run `crosst"
    ):
        stage.run(recipe, run)


def test_a_missing_evaluation_set_is_named(recipe: Recipe, run: RunFolder) -> None:
    (run.evaluation_set("nsmc") / "items.jsonl").unlink()
    with pytest.raises(RunFolderError, match=r"nsmc/items\.jsonl is missing: run `crosstune data` first"):
        stage.run(recipe, run)


def test_a_tokenizer_without_eos_is_refused(
    recipe: Recipe, run: RunFolder, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = None
    endless.save_pretrained(tmp_path / "endless")
    facts = read_json(run.system("base") / "system.json")
    write_json(run.system("base") / "system.json", {**facts, "tokenizer": str(tmp_path / "endless")})
    with pytest.raises(BadInputError, match="has no EOS token, so a model could never stop"):
        stage.run(recipe, run)


@pytest.mark.parametrize(
    ("label", "change", "message"),
    [
        ("story", {"label": 4}, r"items\.jsonl, row 2: label 4 lies outside 0 to 3\. An item of hellaswag has"),
        ("story", {"endings": ["a", "b", "c"]}, "row 2: `endings` does not hold 4 texts"),
        ("story", {"endings": ["a", "b", "c", " "]}, "row 2: `endings` does not hold 4 texts"),
        ("nsmc", {"label": -1}, "row 2: label -1 lies outside 0 to 1"),
        ("nsmc", {"label": "1"}, "row 2: label '1' lies outside 0 to 1"),
        ("nsmc", {"document": " "}, r"row 2: no text under document\. .* Found: .*n2.* run `crosstune data` again"),
        ("translate", {"ko": None}, "row 2: `ko` is not a text"),
        ("translate", {"id": "t1"}, "row 2: id 't1' occurs twice"),
    ],
)
def test_a_bad_item_is_named_before_a_model_is_loaded(
    recipe: Recipe, run: RunFolder, label: str, change: dict[str, Any], message: str
) -> None:
    items = copy.deepcopy(ITEMS[label])
    items[1].update(change)
    rewrite(run, label, items)
    with pytest.raises(BadInputError, match=message):
        stage.run(recipe, run)


def test_items_that_are_no_objects_and_empty_sets_are_refused(recipe: Recipe, run: RunFolder) -> None:
    rewrite(run, "nsmc", [["n1"]])
    with pytest.raises(BadInputError, match="row 1: not a JSON object"):
        stage.run(recipe, run)
    rewrite(run, "nsmc", [])
    with pytest.raises(
        BadInputError, match=r"holds no items, so nsmc_generate cannot be scored: see its dropped\.jsonl"
    ):
        stage.run(recipe, run)


@pytest.mark.slow
def test_only_the_completion_prefix_is_taken_off_an_answer(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch, tokenizer: PreTrainedTokenizerFast
) -> None:
    words = tokenizer("\n 긍정\n", add_special_tokens=False)["input_ids"]
    written = Generated(tuple(words), True)
    monkeypatch.setattr(
        generated_tasks, "generate", lambda _, prompts, *__: ((i, written) for i in range(len(prompts)))
    )
    stage.run(recipe, run)
    rows = [row for row in read_jsonl(run.system("base") / "evaluation" / "outputs.jsonl") if row["task"] == "nsmc"]
    assert [row["output"] for row in rows] == [" 긍정\n"] * 3
    assert [row["correct"] for row in rows] == [True, False, True]
    assert all(row["finished"] for row in rows)
    scores = read_json(run.system("base") / "evaluation" / "scores.json")["scores"]
    found = {score["metric"]: score["value"] for score in scores if score["task"] == "nsmc"}
    assert found == pytest.approx({"acc": 2 / 3, "answered": 1, "both_keywords": 0, "acc_answered": 2 / 3})


def test_a_kobest_question_of_the_wrong_language_is_refused(recipe: Recipe, run: RunFolder) -> None:
    from crosstune.evaluate.items import read_items
    from crosstune.tasks.registry import all_tasks

    item = {"id": "k", "premise": "가", "question": "cause", "alternative_1": "나", "alternative_2": "다", "label": 0}
    path = run.root / "items.jsonl"
    write_jsonl(path, [item])
    with pytest.raises(BadInputError, match="row 1: question 'cause' is not one of 원인, 결과"):
        read_items(path, all_tasks()["kobest_copa"], ("en", "ko"))


@pytest.mark.slow
def test_prompts_that_fill_the_model_stay_unanswered_and_are_counted(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = copy.deepcopy(ITEMS["nsmc"])
    items[1]["document"] = "정말 재미있다 " * 60
    rewrite(run, "nsmc", items)
    notes: list[str] = []
    monkeypatch.setattr(generated_tasks, "note", notes.append)
    stage.run(recipe, run)
    rows = [row for row in read_jsonl(run.system("base") / "evaluation" / "outputs.jsonl") if row["task"] == "nsmc"]
    assert (rows[1]["output"], rows[1]["correct"], rows[1]["finished"]) == ("", False, False)
    assert notes == ["nsmc: 1 prompts fill the whole context of 256 tokens and get no answer"] * 2


@pytest.mark.slow
def test_answers_in_words_carry_their_failures_and_chosen_ones_none(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    rows = read_jsonl(run.system("base") / "evaluation" / "outputs.jsonl")
    assert all(("failures" in row) == (row["task"] != "story") for row in rows)
    judged = [row for row in rows if "failures" in row]
    assert judged and all(("no stop" in row["failures"]) == (not row["finished"]) for row in judged)
    assert any("no stop" in row["failures"] for row in judged)


@pytest.mark.slow
def test_interrupted_multiple_choice_goes_on_behind_what_was_scored(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"batch_tokens": 24})})
    rewrite(run, "story", [{**item, "ctx_a": f"{item['id']}: a boy mixes flour."} for item in ITEMS["story"]])
    stage.run(few, run)
    folder = run.system("base") / "evaluation"
    whole = {name: (folder / name).read_bytes() for name in ("outputs.jsonl", "scores.json")}
    (folder / "manifest.json").unlink()
    real, scored = scoring.score_pairs, 0

    def score(model: Any, pairs: Any, max_length: int) -> Any:
        nonlocal scored
        if scored and not is_second_try:
            raise KeyboardInterrupt
        scored += len(pairs)
        return real(model, pairs, max_length)

    monkeypatch.setattr(scoring, "score_pairs", score)
    is_second_try = False
    with pytest.raises(KeyboardInterrupt):
        stage.run(few, run)
    assert 0 < scored < 16
    is_second_try = True
    stage.run(few, run)
    # Each of the sixteen endings once, and none of those that were there.
    assert scored == 16
    assert {name: (folder / name).read_bytes() for name in whole} == whole
    assert not list(run.system("base").glob(".evaluation*"))
