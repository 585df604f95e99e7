"""Frozen weights in fewer bits: training as with float32 but for their rounding, merged exactly, resumed exactly."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig, PreTrainedTokenizerFast

from crosstune.cli import inputs
from crosstune.errors import BadInputError, RecipeError
from crosstune.models.frozen import FrozenLinear, Kind
from crosstune.recipe import Recipe, Train
from crosstune.runs.folder import RunFolder
from crosstune.train import stage as train_stage
from crosstune.train.methods import base_weights
from crosstune.train.methods.base_weights import launch_here, narrow_weights
from crosstune.train.methods.trainable import Trainable
from tests.train.conftest import Interrupted, MakeRun, a_run, broken_off_after, forget_training, phase, scratch

LORA = phase(method="lora", lora={"rank": 2, "dropout": 0.1, "targets": "all-linear"})
NEW_ROWS = {**LORA, "lora": {**LORA["lora"], "train_new_rows": True}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, tokenizers: dict[str, PreTrainedTokenizerFast]) -> Path:
    forget_training()
    recipe, run = a_run(tokenizers, tmp_path_factory.mktemp("base"), {"base": scratch()})
    train_stage.run(recipe, run)
    return run.system("base") / "model"


def adapted(base: Path, *phases: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"ours": {"start": str(base), "tokenizer": "extended", "phases": list(phases), **changes}}


def weights(run: RunFolder) -> dict[str, Tensor]:
    return load_file(run.system("ours") / "model" / "model.safetensors")


def losses(run: RunFolder) -> list[float]:
    return [json.loads(line)["loss"] for line in (run.system("ours") / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("kind", "tolerance"), [("bf16", 1e-3), ("int8", 4e-3), ("nf4", 4e-2)])
def test_losses_are_those_of_the_float32_base_within_the_rounding(
    make_run: MakeRun, base: Path, tmp_path: Path, kind: Kind, tolerance: float
) -> None:
    found: list[list[float]] = []
    for where, chosen in (("plain", "float32"), ("packed", kind)):
        recipe, run = make_run(adapted(base, NEW_ROWS), root=tmp_path / where, base_weights=chosen)
        train_stage.run(recipe, run)
        found.append(losses(run))
    assert found[0] != found[1]
    assert found[1] == pytest.approx(found[0], rel=tolerance)
    reading = json.loads((run.system("ours") / "system.json").read_text())["phases"][0]["reading"]
    assert reading["way"] == "packed"  # No kernel had to step aside.


@pytest.mark.parametrize(("kind", "checkpointing"), [("bf16", False), ("nf4", True), ("int8", True)])
def test_adapters_are_merged_into_the_float32_weights_of_the_start(
    make_run: MakeRun, base: Path, tmp_path: Path, kind: Kind, checkpointing: bool
) -> None:
    lora = {**phase(method="lora"), "lora": {"rank": 2, "targets": ["q_proj"], "train_new_rows": True}}
    recipe, run = make_run(
        adapted(base, lora), root=tmp_path / "packed", base_weights=kind, gradient_checkpointing=checkpointing
    )
    train_stage.run(recipe, run)
    before, after = load_file(base / "model.safetensors"), weights(run)
    for name, weight in before.items():
        moved = "q_proj" in name
        assert after[name].dtype == torch.float32
        assert torch.equal(after[name][: len(weight)], weight) != moved, name
        if moved:  # by a matrix of rank 2, not by the rounding of the base
            singular = torch.linalg.svdvals(after[name] - weight)
            assert float(singular[2:].max()) < 1e-5 * float(singular[0])


@pytest.mark.parametrize("trains", ["new_input_rows", "new_output_rows"])
def test_new_rows_alone_learn_over_a_packed_base_and_nothing_else_moves(
    make_run: MakeRun, base: Path, tmp_path: Path, trains: str
) -> None:
    recipe, run = make_run(adapted(base, phase(trains=[trains])), root=tmp_path / "rows", base_weights="nf4")
    train_stage.run(recipe, run)
    before, after = load_file(base / "model.safetensors"), weights(run)
    assert all(torch.equal(after[name][: len(weight)], weight) for name, weight in before.items())
    untrained, other = make_run(adapted(base), root=tmp_path / "untrained")
    train_stage.run(untrained, other)
    moved = {name for name, weight in weights(other).items() if not torch.equal(weight, after[name])}
    assert moved == {"new_input_rows": {"model.embed_tokens.weight"}, "new_output_rows": {"lm_head.weight"}}[trains]


@pytest.mark.parametrize("kind", [pytest.param("bf16", marks=pytest.mark.exhaustive), "nf4"])
def test_a_phase_that_was_broken_off_ends_with_the_same_weights_though_no_checkpoint_holds_the_base(
    make_run: MakeRun, base: Path, tmp_path: Path, kind: Kind
) -> None:
    phases = (NEW_ROWS, {**LORA, "num_steps": 12})

    def make(where: str) -> tuple[Recipe, RunFolder]:
        return make_run(adapted(base, *phases), root=tmp_path / where, base_weights=kind, keep_checkpoints=1)

    recipe, whole = make("whole")
    train_stage.run(recipe, whole)
    recipe, run = make("broken")
    for num_steps in (4, 13):  # in the first phase, and in the second behind two of its checkpoints
        with broken_off_after(num_steps), pytest.raises(Interrupted):
            train_stage.run(recipe, run)
        newest = sorted((run.system("ours") / "checkpoints").glob("phase-*"))[-1]
        assert not any("base_layer" in name or ("embed" in name and "delta" not in name)
                       for name in load_file(newest / "model.safetensors"))  # fmt: skip
    train_stage.run(recipe, run)
    expected = weights(whole)
    assert weights(run).keys() == expected.keys()
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(run).items())


def test_a_checkpoint_whose_begin_is_damaged_is_passed_over_and_named(
    make_run: MakeRun, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = make_run(adapted(base, NEW_ROWS, LORA), root=tmp_path / "x", base_weights="bf16", keep_checkpoints=1)
    with broken_off_after(13), pytest.raises(Interrupted):
        train_stage.run(recipe, run)
    begin = run.system("ours") / "checkpoints" / "phase-01-step-00000000"
    (begin / "model" / "model.safetensors").write_bytes(b"cut")
    capsys.readouterr()
    train_stage.run(recipe, run)
    said = " ".join(capsys.readouterr().err.split())
    assert "step-00000003 is damaged (of phase-01-step-00000000, which it needs: model/model.safetensors" in said
    assert (run.system("ours") / "model").is_dir()


def test_adapters_that_are_kept_fit_the_float32_model(make_run: MakeRun, base: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    phases = [{**LORA, "lora": {**LORA["lora"], "keep_adapter": True}}]
    systems = {"ours": {"start": str(base), "tokenizer": "base", "phases": phases}}
    recipe, run = make_run(systems, root=tmp_path / "kept", base_weights="nf4")
    train_stage.run(recipe, run)
    model = AutoModelForCausalLM.from_pretrained(base)
    merged = PeftModel.from_pretrained(model, run.system("ours") / "adapter").merge_and_unload()
    for name, weight in merged.state_dict().items():
        torch.testing.assert_close(weight, weights(run)[name])


def test_a_base_for_weights_that_move_is_refused_by_the_recipe(make_run: MakeRun) -> None:
    with pytest.raises(RecipeError, match=r"base_weights: nf4.*systems\.base\.phases\.0 \(full\) trains all layers"):
        make_run({"base": scratch()}, base_weights="nf4")
    for trains in (["layers"], ["layers", "output_rows"]):
        with pytest.raises(RecipeError, match="trains all layers"):
            make_run({"base": scratch(phases=[phase(trains=trains)])}, base_weights="bf16")
    make_run({"base": scratch(phases=[phase(trains=["top_layers"], num_top_layers=1)])}, base_weights="bf16")
    with pytest.raises(RecipeError, match="found fp8"):
        make_run({"base": scratch(phases=[LORA])}, base_weights="bf16", precision="fp8")


def test_what_the_machine_lacks_is_told_at_the_dry_run(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, _ = make_run({"base": scratch(phases=[LORA])}, base_weights="nf4")
    inputs.check_machine(recipe)

    with monkeypatch.context() as patch:
        patch.setattr(base_weights, "find_spec", lambda name: None if name == "bitsandbytes" else find_spec(name))
        with pytest.raises(
            BadInputError, match=r"pip install 'crosstune\[quantized\]', or set train.base_weights=bf16"
        ):
            inputs.check_machine(recipe)
    with monkeypatch.context() as patch:
        from bitsandbytes import functional

        def refuse(*_: Any, **__: Any) -> Any:
            raise NotImplementedError("no kernel for this device")

        patch.setattr(functional, "dequantize_4bit", refuse)
        with pytest.raises(
            BadInputError, match=r"does not work on this machine's cpu \(NotImplementedError: no kernel"
        ):
            inputs.check_machine(recipe)
    with monkeypatch.context() as patch:
        patch.setenv("ACCELERATE_USE_FSDP", "true")
        with pytest.raises(BadInputError, match="was launched with FSDP, which splits weights"):
            inputs.check_machine(recipe)
        assert launch_here().device.type in ("cpu", "cuda", "mps")


def test_experts_are_refused_with_their_number() -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = AutoModelForCausalLM.from_config(MixtralConfig(**shape, vocab_size=50, num_local_experts=4))
    with pytest.raises(BadInputError, match=r"6,144 weights of this model are in stacked experts"):
        narrow_weights(Trainable(model.requires_grad_(False)), Train(base_weights="bf16"))


def test_packed_layers_that_compute_something_else_are_refused_when_training_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = LlamaConfig(**shape, vocab_size=50, initializer_range=0.3)
    model = AutoModelForCausalLM.from_config(config).requires_grad_(False)
    said: list[str] = []
    monkeypatch.setattr(base_weights, "note", said.append)
    narrow_weights(Trainable(model), Train(base_weights="bf16"))
    assert "the next token's probabilities change by" in said[0]

    right = FrozenLinear.unpacked
    monkeypatch.setattr(FrozenLinear, "unpacked", lambda layer, dtype: 2 * right(layer, dtype))
    model = AutoModelForCausalLM.from_config(config).requires_grad_(False)
    with pytest.raises(BadInputError, match=r"moves the next token's probabilities by .* where rounding moves them by"):
        narrow_weights(Trainable(model), Train(base_weights="bf16"))
