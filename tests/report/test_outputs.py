import json

import pytest

from crosstune.errors import RunFolderError
from crosstune.recipe import Recipe
from crosstune.report.outputs import ITEMS_PER_TASK, MAX_CHARACTERS, read_outputs
from crosstune.runs.files import write_json, write_text
from crosstune.runs.folder import RunFolder
from tests.report.conftest import NUM_ITEMS, SYSTEMS


@pytest.mark.slow
def test_the_same_first_items_of_each_task_are_kept_for_all_systems(recipe: Recipe, run: RunFolder) -> None:
    outputs = read_outputs(recipe, run)
    assert outputs.num_items["hella"] == NUM_ITEMS
    kept = [item for item in outputs.items.values() if item["task"] == "hella"]
    assert [item["id"] for item in kept] == [f"hella-{number}" for number in range(ITEMS_PER_TASK)]
    assert all(list(item["answers"]) == list(SYSTEMS) for item in kept)


@pytest.mark.slow
def test_right_and_wrong_are_known_for_all_items_not_only_for_the_kept_ones(recipe: Recipe, run: RunFolder) -> None:
    correct = read_outputs(recipe, run).correct
    assert len(correct["ours", "hella"]) == NUM_ITEMS
    assert ("ours", "pairs_en_ko_en") not in correct


@pytest.mark.slow
def test_long_answers_are_cut_and_say_so(recipe: Recipe, run: RunFolder) -> None:
    text = read_outputs(recipe, run).items["pairs_en_ko_en", "pairs_en_ko_en-2"]["answers"]["ours"]["text"]
    assert text[:MAX_CHARACTERS] == ("아주 긴 답 " * 1700)[:MAX_CHARACTERS]
    assert text.endswith("more characters in outputs.jsonl)")


@pytest.mark.slow
def test_half_a_surrogate_pair_can_be_written(recipe: Recipe, run: RunFolder) -> None:
    text = read_outputs(recipe, run).items["pairs_en_ko_en", "pairs_en_ko_en-4"]["answers"]["ours"]["text"]
    assert text.encode("utf-8").startswith(b"half a pair ?")


@pytest.mark.slow
@pytest.mark.parametrize("line", ["not json", "[]", '{"task": "hella"}'])
def test_a_broken_line_is_named_with_what_to_do(recipe: Recipe, run: RunFolder, line: str) -> None:
    good = json.dumps({"task": "hella", "id": "1"})
    write_text(run.system("ours") / "evaluation" / "outputs.jsonl", f"{good}\n{line}\n")
    with pytest.raises(
        RunFolderError, match=r"outputs.jsonl:2: expected .* found .*; delete .* `crosstune evaluate RECIPE`"
    ):
        read_outputs(recipe, run)


@pytest.mark.parametrize("token", ["<|im_start|>", {"content": "<|im_start|>"}])
def test_prompts_are_shown_with_the_bos_that_the_model_reads_before_them(
    recipe: Recipe, run: RunFolder, token: object
) -> None:
    prompts = {key: item["prompt"] for key, item in read_outputs(recipe, run).items.items()}
    write_json(run.tokenizer("base") / "tokenizer_config.json", {"bos_token": token})
    shown = {key: item["prompt"] for key, item in read_outputs(recipe, run).items.items()}
    assert shown == {key: f"<|im_start|>{prompt}" for key, prompt in prompts.items()}


def test_each_system_is_shown_with_the_question_that_it_was_asked(recipe: Recipe, run: RunFolder) -> None:
    for system, earlier in (("llama", "One."), ("lora", "One."), ("ours", "Two.")):
        row = {"task": "orders", "id": "1", "prompt": f"Say it. {earlier} Say it again.", "output": earlier}
        write_text(run.system(system) / "evaluation" / "outputs.jsonl", json.dumps(row) + "\n")
    item = read_outputs(recipe, run).items["orders", "1"]
    assert item["prompt"] == "Say it. One. Say it again."
    own = {system: answer.get("prompt") for system, answer in item["answers"].items()}
    assert own == {"llama": None, "lora": None, "ours": "Say it. Two. Say it again."}
