"""Training through the phase: what each method moves, what is skipped, what comes out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from crosstune.errors import BadInputError, CrosstuneError
from crosstune.evaluate.systems import find_system
from crosstune.runs import workers as side_by_side
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.serve.export import export
from crosstune.train import stage as train_stage
from tests.train.conftest import MakeRun, losses, metrics, phase, scratch


def weights(run: RunFolder, name: str) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(run.system(name) / "model").state_dict())


def test_a_system_from_scratch_learns_and_loads_in_plain_transformers(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=30)])})
    train_stage.run(recipe, run)
    rows = metrics(run, "base")
    assert [row["step"] for row in rows] == list(range(1, 31))
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert set(rows[0]["sources"]) <= {"pairs", "alpaca"}
    assert rows[0]["loss_bits_per_byte"] > 0 and rows[-1]["learning_rate"] < rows[5]["learning_rate"]
    folder = run.system("base") / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert AutoModelForCausalLM.from_pretrained(folder).config.vocab_size == len(tokenizer)
    facts = read_json(run.system("base") / "system.json")
    assert run.locate(facts["model"]) == str(folder) and facts["phases"][0]["steps"] == 30
    assert not (run.system("base") / "checkpoints").exists()
    assert all(path.suffix in {".json", ".safetensors", ".jinja"} for path in folder.iterdir())


def test_a_sentencepiece_model_of_the_tokenizer_goes_into_the_model_folder(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)])})
    (run.tokenizer("base") / "tokenizer.model").write_bytes(b"as the tokenizer stage wrote it")
    train_stage.run(recipe, run)
    folder = run.system("base") / "model"
    assert (folder / "tokenizer.model").read_bytes() == b"as the tokenizer stage wrote it"
    assert AutoTokenizer.from_pretrained(folder).encode("a") == AutoTokenizer.from_pretrained(
        run.tokenizer("base")
    ).encode("a")


def test_finished_systems_are_skipped_and_changed_ones_trained_again(make_run: MakeRun, tmp_path: Path) -> None:
    recipe, run = make_run({"base": scratch()})
    train_stage.run(recipe, run)
    model = run.system("base") / "model" / "model.safetensors"
    before = model.stat().st_mtime_ns
    train_stage.run(recipe, run)
    assert model.stat().st_mtime_ns == before
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=2)])})
    train_stage.run(recipe, run)
    assert model.stat().st_mtime_ns != before and len(metrics(run, "base")) == 2


def test_the_same_seed_gives_the_same_weights(make_run: MakeRun, tmp_path: Path) -> None:
    found = []
    for folder in ("one", "two"):
        recipe, run = make_run({"base": scratch()}, root=tmp_path / folder)
        train_stage.run(recipe, run)
        found.append(weights(run, "base"))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_lora_is_merged_and_moves_only_its_targets(make_run: MakeRun) -> None:
    adapters = {"rank": 4, "alpha": 8, "dropout": 0.1, "targets": ["q_proj", "v_proj"]}
    lora = {"start": "base", "tokenizer": "base", "phases": [phase(method="lora", lora=adapters)]}
    recipe, run = make_run({"base": scratch(), "lora": lora})
    train_stage.run(recipe, run)
    before, after = weights(run, "base"), weights(run, "lora")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all("q_proj" in name or "v_proj" in name for name in moved)


def test_adapters_are_kept_unmerged_when_asked_and_give_the_merged_model(make_run: MakeRun, tmp_path: Path) -> None:
    adapters = {"rank": 2, "alpha": 4, "dropout": 0.0, "targets": ["q_proj", "down_proj"], "keep_adapter": True}
    lora = {"start": "base", "tokenizer": "base", "phases": [phase(method="lora", lora=adapters)]}
    recipe, run = make_run({"base": scratch(), "lora": lora})
    train_stage.run(recipe, run)
    folder = run.system("lora") / "adapter"
    files = sorted(path.name for path in folder.iterdir())
    assert files[:2] == ["adapter_config.json", "adapter_model.safetensors"] and "tokenizer.json" in files
    export(str(folder), tmp_path / "exported", "float32", "1GB", "paper-v1")
    merged, again = weights(run, "lora"), load_file(tmp_path / "exported" / "model.safetensors")
    assert merged.keys() == again.keys()
    assert all(torch.allclose(merged[name], again[name], atol=1e-6) for name in merged)


# peft 0.21 reads an attribute that transformers 5.23 has renamed.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("tied", [True, False])
def test_an_extended_model_loads_generates_and_round_trips_through_peft(make_run: MakeRun, tied: bool) -> None:
    """In plain transformers and peft: nothing of ours after training."""
    base = scratch(phases=[phase(num_steps=1)])
    base["architecture"]["tie_embeddings"] = tied
    adapters = {"rank": 2, "targets": ["q_proj", "down_proj"], "train_new_rows": True, "keep_adapter": True}
    ours = {"start": "base", "tokenizer": "extended", "phases": [phase("korean", num_steps=2)]}
    adapted = {"start": "ours", "tokenizer": "extended", "phases": [phase("pairs", method="lora", lora=adapters)]}
    recipe, run = make_run({"base": base, "ours": ours, "adapted": adapted})
    train_stage.run(recipe, run)
    start, merged = weights(run, "ours"), weights(run, "adapted")
    whole = AutoModelForCausalLM.from_pretrained(run.system("ours") / "model")
    again = PeftModel.from_pretrained(whole, run.system("adapted") / "adapter").merge_and_unload().state_dict()
    assert all(torch.allclose(merged[name], again[name], atol=1e-6) for name in merged)
    rows = "model.embed_tokens.weight"
    assert torch.equal(merged[rows][:400], start[rows][:400])
    assert (merged[rows][400:] != start[rows][400:]).any()
    folder = run.system("adapted") / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer) > 400
    ids = tokenizer("선생님은 책을", return_tensors="pt").input_ids
    answer = model.generate(ids, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    assert answer.shape == (1, ids.shape[1] + 5)
    assert tokenizer.decode(answer[0][1 : ids.shape[1]]) == "선생님은 책을"


def test_adapters_alone_are_refused_where_the_model_gets_new_rows(make_run: MakeRun) -> None:
    adapters = {"rank": 2, "targets": ["q_proj"], "keep_adapter": True}
    lora = {"start": "base", "tokenizer": "extended", "phases": [phase(method="lora", lora=adapters)]}
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)]), "lora": lora})
    with pytest.raises(BadInputError, match=r"systems\.lora\.phases\.0\.lora\.keep_adapter: adapters alone fit"):
        train_stage.run(recipe, run)


def test_unknown_lora_targets_are_named_with_the_models_layers(make_run: MakeRun) -> None:
    adapters = {"targets": ["query_key_value"]}
    lora = {"start": "base", "tokenizer": "base", "phases": [phase(method="lora", lora=adapters)]}
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)]), "lora": lora})
    with pytest.raises(BadInputError, match=r"query_key_value.*down_proj.*q_proj"):
        train_stage.run(recipe, run)


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_alone_move_even_with_weight_decay(make_run: MakeRun, tied: bool) -> None:
    base = scratch()
    base["architecture"]["tie_embeddings"] = tied
    only_new = phase("pairs", trains=["new_input_rows", "new_output_rows"], weight_decay=0.1)
    ours = {"start": "base", "tokenizer": "extended", "phases": [only_new]}
    recipe, run = make_run({"base": base, "ours": ours})
    train_stage.run(recipe, run)
    before, after = weights(run, "base"), weights(run, "ours")
    for name, old in before.items():
        assert torch.equal(old, after[name][: old.shape[0]])
    rows = after["model.embed_tokens.weight"]
    size = before["model.embed_tokens.weight"].shape[0]
    expected = before["model.embed_tokens.weight"][[3, 4]].mean(dim=0)
    assert rows.shape[0] > size and not torch.allclose(rows[size], expected)


def test_new_rows_start_as_the_mean_of_their_subwords(make_run: MakeRun) -> None:
    ours = {"start": "base", "tokenizer": "extended", "new_rows": {"noise": 0}}
    recipe, run = make_run({"base": scratch(), "ours": ours})
    train_stage.run(recipe, run)
    before, after = weights(run, "base"), weights(run, "ours")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        old, new = before[name], after[name]
        assert torch.equal(old, new[: old.shape[0]])
        assert torch.allclose(new[old.shape[0] + 2], old[[5, 6]].mean(dim=0))
        assert torch.allclose(new[-1], old.mean(dim=0), atol=1e-6)


def test_stages_follow_each_other(make_run: MakeRun) -> None:
    phases = [phase("korean", num_steps=3), phase("paper", num_steps=4)]
    recipe, run = make_run({"base": scratch(phases=phases)})
    train_stage.run(recipe, run)
    assert [(row["phase"], row["step"]) for row in metrics(run, "base")] == [(0, 1), (0, 2), (0, 3)] + [
        (1, step) for step in range(1, 5)
    ]
    assert [done["mixture"] for done in read_json(run.system("base") / "system.json")["phases"]] == ["korean", "paper"]
    assert sorted(path.name for path in run.system("base").iterdir()) == [
        "metrics.jsonl",
        "model",
        "system.json",
    ]


def test_a_system_without_training_points_at_its_start(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch(), "same": {"start": "base", "tokenizer": "base"}})
    train_stage.run(recipe, run)
    assert run.locate(read_json(run.system("same") / "system.json")["model"]) == str(run.system("base") / "model")
    assert not (run.system("same") / "model").exists()


def test_a_run_folder_that_was_moved_is_still_whole(make_run: MakeRun, tmp_path: Path) -> None:
    systems = {"base": scratch(), "same": {"start": "base", "tokenizer": "base"}}
    recipe, run = make_run(systems)
    train_stage.run(recipe, run)
    before = {name: (run.system(name) / "system.json").stat().st_mtime_ns for name in ("base", "same")}
    moved = RunFolder(tmp_path / "elsewhere")
    run.root.rename(moved.root)
    # What starts from the model is trained, what is there is not.
    recipe = recipe.model_copy(
        update={
            "systems": recipe.systems
            | {"more": recipe.systems["base"].model_copy(update={"start": "base", "architecture": None})}
        }
    )
    train_stage.run(recipe, moved)
    assert (moved.system("more") / "model").is_dir()
    assert (moved.system("base") / "system.json").stat().st_mtime_ns == before["base"]
    assert find_system(moved, "same").model == str(moved.system("base") / "model")


def test_bf16_keeps_float32_weights_and_leaves_the_next_run_of_the_process_its_own_precision(
    make_run: MakeRun, tmp_path: Path
) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=2)])}
    found = {}
    for name, precision in (("first", "float32"), ("half", "bf16"), ("second", "float32")):
        recipe, found[name] = make_run(systems, root=tmp_path / name, precision=precision)
        train_stage.run(recipe, found[name])
    assert all(weight.dtype == torch.float32 for weight in weights(found["half"], "base").values())
    assert losses(found["first"], "base") == losses(found["second"], "base") != losses(found["half"], "base")


def test_a_start_that_is_nothing_says_what_it_may_be(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": {"start": "no/such-model", "tokenizer": "base"}})
    with pytest.raises(
        BadInputError, match=r"'no/such-model' is not a system.*also set systems.base.revision to a commit"
    ):
        train_stage.run(recipe, run)


def test_a_model_of_another_tokenizer_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)])}, root=tmp_path / "one")
    train_stage.run(recipe, run)
    model = AutoModelForCausalLM.from_pretrained(run.system("base") / "model")
    model.resize_token_embeddings(100)
    model.save_pretrained(tmp_path / "smaller")
    recipe, run = make_run({"base": {"start": str(tmp_path / "smaller"), "tokenizer": "base", "phases": [phase()]}})
    with pytest.raises(BadInputError, match="has 100 embedding rows"):
        train_stage.run(recipe, run)


def test_a_loss_that_is_no_number_stops_with_the_rows(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=4, learning_rate=1e30)])})
    with pytest.raises(
        CrosstuneError,
        match=r"step \d gave no finite number in the loss of these rows: (p|a):\d.*[Tt]he last checkpoint is .*kept",
    ):
        train_stage.run(recipe, run)


def test_a_start_that_computes_no_numbers_is_refused_before_training(make_run: MakeRun, tmp_path: Path) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)])}, root=tmp_path / "one")
    train_stage.run(recipe, run)
    model = AutoModelForCausalLM.from_pretrained(run.system("base") / "model")
    with torch.no_grad():
        # Finite, as weights that load are, but no product with it is.
        model.lm_head.weight[5] = 3e38
    model.save_pretrained(tmp_path / "broken")
    recipe, run = make_run({"base": {"start": str(tmp_path / "broken"), "tokenizer": "base", "phases": [phase()]}})
    with pytest.raises(CrosstuneError, match="cannot be trained or scored: plain transformers computes no numbers"):
        train_stage.run(recipe, run)


def test_each_system_may_be_scored_once_it_is_trained_and_no_other_waits(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: dict[str, Any] = {}

    def note_work(names: Any, after: Any, call_of: Any, limit: int, fillers: Any) -> None:
        handed.update(names=names, after=after, work={filler: call_of(filler) for filler in fillers})

    monkeypatch.setattr(train_stage, "run_side_by_side", note_work)
    scored: list[str] = []
    systems = {
        "base": scratch(phases=[phase()]),
        "pairs": {"start": "base", "tokenizer": "extended", "phases": [phase()]},
    }
    recipe, run = make_run(systems)
    train_stage.run(recipe, run, score=lambda recipe, run, name: scored.append(name))
    assert sorted(handed["names"]) == ["base", "pairs"]
    for work in handed["work"].values():
        work()
    assert sorted(scored) == ["base", "pairs"]
    assert [handed["after"][filler] for filler in handed["work"]] == [["base"], ["pairs"]]
    train_stage.run(recipe, run)
    assert not handed["work"]


@pytest.mark.xdist_group("side_by_side")  # the process that loads the libraries for both is started once
def test_systems_side_by_side_are_those_that_come_one_after_another(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "num_cores", lambda: 2)
    # Small beside the tolerance: where a gradient is next to nothing, AdamW turns rounding into whole steps.
    small = {"learning_rate": 1e-3}
    systems = {
        "base": scratch(phases=[phase(num_steps=4, **small)]),
        "korean": {"start": "base", "tokenizer": "extended", "phases": [phase("korean", num_steps=4, **small)]},
        "pairs": {"start": "base", "tokenizer": "extended", "phases": [phase("pairs", num_steps=9, **small)]},
    }
    found = []
    for number in (1, 2):
        recipe, run = make_run(systems, root=tmp_path / str(number))
        train_stage.run(recipe.model_copy(update={"systems_at_once": number}), run)
        found.append({name: (weights(run, name), metrics(run, name)) for name in systems})
    for name in systems:
        (alone, steps), (beside, other_steps) = found[0][name], found[1][name]
        assert [row["step"] for row in steps] == [row["step"] for row in other_steps]
        for weight, values in alone.items():
            # The base has both cores here: sums of other halves, and AdamW divides by small moments.
            torch.testing.assert_close(beside[weight], values, rtol=1e-4, atol=1e-5)
