"""AdamW with moments in one byte each: learns what AdamW learns, in less memory, and goes on exactly."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from crosstune.errors import BadInputError, RunFolderError
from crosstune.recipe import Train
from crosstune.train import stage as train_stage
from crosstune.train import system as train_system
from crosstune.train.methods import optimizer as optimizers
from crosstune.train.methods.optimizer import bytes_of_moments, check_optimizer, make_optimizer, set_learning_rate
from crosstune.train.methods.trainable import make_trainable
from tests.ranks import train_on_two
from tests.train.conftest import Interrupted, MakeRun, broken_off_after, losses, make_phase, phase, scratch, weights

EIGHT_BIT = Train(optimizer="adamw_8bit")
# Wide enough for matrices of 4,096 values, from which on moments take one byte each.
WIDE: dict[str, Any] = {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "intermediate_size": 128}
MATRICES = ("model.embed_tokens", "lm_head")
PULLS: dict[str, Any] = {"l2_to_start": 5.0}
WHOLE: dict[str, Any] = {"kl_to_start": {"weight": 0.5, "languages": ["en"]}}
ADAPTERS: dict[str, Any] = {"rank": 4, "dropout": 0.2, "train_new_rows": True}
SYSTEMS: dict[str, Any] = {
    "base": scratch(architecture=WIDE, phases=[phase("korean", num_steps=5), phase(num_steps=5, **PULLS)]),
    "ours": {
        "start": "base",
        "tokenizer": "extended",
        "phases": [
            phase(num_steps=4, weight_decay=0.1, trains=["new_input_rows", "new_output_rows"]),
            phase(num_steps=5, **PULLS, **WHOLE),
        ],
    },
    "lora": {"start": "base", "tokenizer": "extended", "phases": [phase(num_steps=5, method="lora", lora=ADAPTERS)]},
}


@pytest.fixture(autouse=True)
def with_torchao() -> None:
    pytest.importorskip("torchao", reason="the extra eight_bit is not installed")


@pytest.mark.parametrize("shape", [(64, 64), (48, 128), (3, 5, 512), (4096,), (63, 64), (65, 65), (16,)])
def test_the_moments_of_large_matrices_take_one_byte_each(shape: tuple[int, ...]) -> None:
    model = nn.ParameterList([nn.Parameter(torch.ones(shape))])
    num_bytes = bytes_kept(step_of_ones(model, EIGHT_BIT))
    assert num_bytes == bytes_of_moments(model, EIGHT_BIT)
    num_values = model[0].numel()
    if num_values < 4096 or num_values % 256:
        assert num_bytes == 8 * num_values == bytes_of_moments(model, Train())
    else:  # a byte each, a scale for every 256, and a table of 256 floats
        assert num_bytes == 2 * (num_values + 4 * num_values // 256 + 1024)


def step_of_ones(model: nn.Module, settings: Train) -> torch.optim.Optimizer:
    """Return the optimizer of a model behind a step with gradients of ones."""
    optimizer = make_optimizer(model, make_phase(), settings)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight) if weight.requires_grad else None
    optimizer.step()
    return optimizer


def bytes_kept(optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of all moments."""
    moments = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    stored = [[getattr(moment, part) for part in getattr(moment, "tensor_attrs", ())] or [moment] for moment in moments]
    return sum(tensor.untyped_storage().nbytes() for tensors in stored for tensor in tensors)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("changes", [{}, {"method": "lora", "lora": {"rank": 64, "train_new_rows": True}}])
def test_embeddings_and_new_rows_keep_float32(tied: bool, changes: dict[str, Any]) -> None:
    shape = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 64, "intermediate_size": 128}
    plain = LlamaForCausalLM(LlamaConfig(**shape, vocab_size=640, tie_word_embeddings=tied))
    model = make_trainable(plain, make_phase(**changes), 512, seed=0).model
    optimizer = step_of_ones(model, EIGHT_BIT)
    names = {
        name
        for name, weight in model.named_parameters()
        if weight.requires_grad and weight.numel() >= 4096 and type(optimizer.state[weight]["exp_avg"]) is torch.Tensor
    }
    of_peft = [f"base_model.model.{name}.token_adapter.trainable_tokens_delta.default" for name in MATRICES]
    assert names == ({*of_peft[: 1 if tied else 2]} if changes else {f"{MATRICES[0]}.weight"})
    assert bytes_kept(optimizer) == bytes_of_moments(model, EIGHT_BIT) < bytes_of_moments(model, Train())


@pytest.mark.slow
def test_rows_that_a_batch_lacks_move_no_further_than_with_adamw() -> None:
    from crosstune.train.methods.eight_bit import EightBitAdamW

    def moved(make: Callable[[nn.Module], torch.optim.Optimizer]) -> torch.Tensor:
        torch.manual_seed(0)
        table = nn.Embedding(64, 512)
        start = table.weight.detach().clone()
        optimizer = make(table)
        of_columns = torch.randn(512).exp()
        for _ in range(30):
            rows = torch.randperm(64)[:8]
            table.weight.grad = torch.zeros(64, 512)
            # Gradients differ in size from batch to batch, and by column.
            table.weight.grad[rows] = 10 ** (-4 - 3 * torch.rand(8, 1)) * of_columns * torch.randn(8, 512)
            optimizer.step()
        return (table.weight.detach() - start).abs()

    plain = moved(lambda table: make_optimizer(table, make_phase(), Train()))
    ours = moved(lambda table: make_optimizer(table, make_phase(), EIGHT_BIT))
    torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-6)
    in_bytes = moved(lambda table: EightBitAdamW(table.parameters(), lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0))
    assert in_bytes.max() > 5 * plain.max()


def trained(make: Any, num_steps: int = 4) -> tuple[torch.Tensor, Any]:
    """Return a matrix that an optimizer trained on made-up gradients, and its moments."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(64, 64))
    optimizer = make(weight)
    for step in range(num_steps):
        weight.grad = torch.randn(64, 64)
        set_learning_rate(optimizer, 0.01 / (1 + step))
        optimizer.step()
    return weight.detach(), optimizer.state[weight]


def of_kind(settings: Train) -> Any:
    return lambda weight: make_optimizer(nn.ParameterList([weight]), make_phase(weight_decay=0.1), settings)


def test_its_first_step_is_that_of_adamw_and_the_next_ones_are_next_to_it() -> None:
    for num_steps, tolerance in ((1, 1e-6), (4, 2e-3)):
        plain, small = (trained(of_kind(settings), num_steps)[0] for settings in (Train(), EIGHT_BIT))
        start = trained(of_kind(Train()), 0)[0]
        assert (small - plain).abs().max() <= tolerance
        assert (plain - start).abs().max() > 9e-3


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch compiles with g++ for CPUs")
def test_compiled_as_on_gpus_its_step_is_the_same_but_for_rounding() -> None:
    from torchao.optim import AdamW8bit

    def compiled(weight: nn.Parameter) -> Any:
        return AdamW8bit([weight], lr=1e-3, betas=make_phase().adam_betas, weight_decay=0.1)

    (plain, moments), (other, others) = trained(of_kind(EIGHT_BIT)), trained(compiled)
    torch.testing.assert_close(other, plain, rtol=1e-6, atol=1e-7)
    for name in ("exp_avg", "exp_avg_sq"):
        differences = moments[name].codes.int() - others[name].codes.int()
        assert differences.abs().max() <= 1 and (differences != 0).sum() <= 4


@pytest.mark.slow
def test_a_model_learns_what_it_learns_with_adamw(make_run: MakeRun, tmp_path: Path) -> None:
    found = []
    for optimizer in ("adamw", "adamw_8bit"):
        systems = {"base": scratch(architecture=WIDE, phases=[phase(num_steps=60, weight_decay=0.1)])}
        recipe, run = make_run(systems, root=tmp_path / optimizer, optimizer=optimizer)
        train_stage.run(recipe, run)
        found.append(torch.tensor(losses(run)))
    plain, small = found
    assert plain[0] == small[0] and plain[0] - plain[-1] > 5
    # Found on an EPYC (Zen 4): 0.16 % of what was learnt.
    assert (plain - small).abs().max() < 0.01 * (plain[0] - plain[-1])


@pytest.mark.slow
@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512",
    reason="with AVX2 a resumed run of this optimizer differs by rounding: docs/scaling.md",
)
def test_a_run_with_all_regularizers_that_breaks_off_ends_like_one_that_does_not(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_safe = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: is_safe.append(k.get("weights_only")) or load(*a, **k))
    recipe, whole = make_run(SYSTEMS, root=tmp_path / "whole", save_every_steps=2, optimizer="adamw_8bit")
    train_stage.run(recipe, whole)
    recipe, broken = make_run(SYSTEMS, root=tmp_path / "broken", save_every_steps=2, optimizer="adamw_8bit")
    generator = random.Random(1)
    for _ in range(5):
        with pytest.raises(Interrupted), broken_off_after(generator.randrange(1, 9)):
            train_stage.run(recipe, broken)
    train_stage.run(recipe, broken)
    assert is_safe and all(is_safe)
    for name in SYSTEMS:
        assert losses(broken, name) == losses(whole, name)
        assert all(torch.equal(weights(broken, name)[key], weight) for key, weight in weights(whole, name).items())


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["ddp", "fsdp2"])
def test_two_processes_learn_what_one_does(make_run: MakeRun, tmp_path: Path, sharded: bool) -> None:
    # Wide enough that one byte each is what halves of the matrices take, too.
    systems = {"base": {**SYSTEMS["base"], "architecture": {**WIDE, "hidden_size": 128}}}
    recipe, single = make_run(systems, root=tmp_path / "single", optimizer="adamw_8bit")
    train_stage.run(recipe, single)
    recipe, double = make_run(systems, root=tmp_path / "double", optimizer="adamw_8bit")
    train_on_two(recipe, tmp_path / "double", sharded).finish()
    assert losses(double) == pytest.approx(losses(single), rel=1e-4)
    for name, weight in weights(single).items():
        # Rounding decides now and then which byte a moment becomes: allowed is a hundredth of a step on average.
        assert (weights(double)[name] - weight).abs().mean() < 5e-5


def test_what_was_trained_with_another_optimizer_is_not_gone_on_with(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = make_run({"base": SYSTEMS["base"]}, save_every_steps=2)
    with monkeypatch.context() as patch:
        patch.setattr(train_system, "save_model", interrupt)
        with pytest.raises(Interrupted):
            train_stage.run(recipe, run)
    recipe, run = make_run({"base": SYSTEMS["base"]}, save_every_steps=2, optimizer="adamw_8bit")
    with pytest.raises(RunFolderError, match="cannot be resumed: its data, tokenizer, start or settings changed"):
        train_stage.run(recipe, run)


def interrupt(*_: Any) -> None:
    raise Interrupted


def machine(kind: DistributedType = DistributedType.NO, device: str = "cpu") -> Any:
    return SimpleNamespace(distributed_type=kind, device=torch.device(device))


def test_without_torchao_training_stops_at_once_and_says_what_to_install(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None)
    recipe, run = make_run({"base": SYSTEMS["base"]}, optimizer="adamw_8bit")
    with pytest.raises(BadInputError, match=r"needs torchao.*pip install 'crosstune\[eight_bit\]', or set train.optim"):
        train_stage.run(recipe, run)
    check_optimizer(Train(), machine(DistributedType.DEEPSPEED))


def test_deepspeed_and_gpus_without_a_compiler_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match=r"launched with DeepSpeed.*FSDP2 \(recipes/launch/one_node_8_gpus.yaml\)"):
        check_optimizer(EIGHT_BIT, machine(DistributedType.DEEPSPEED))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BadInputError, match=r"needs a C compiler.*install one \(apt-get install gcc\)"):
        check_optimizer(EIGHT_BIT, machine(device="cuda"))
    check_optimizer(EIGHT_BIT, machine())
    monkeypatch.setenv("CC", "cc")
    check_optimizer(EIGHT_BIT, machine(device="cuda"))
