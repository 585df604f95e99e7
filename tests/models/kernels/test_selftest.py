"""Kernels are held to the library's computation where they run, and step aside where it is another one."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP, LlamaRMSNorm

from crosstune.models.kernels import selftest
from crosstune.models.kernels.inplace_gradients import choose_kernels, fast_paths, gradients_in_place
from crosstune.models.kernels.low_memory_layers import lean_layers
from crosstune.models.kernels.skip_unused_positions import skip_unread_positions
from crosstune.recipe import Train
from tests.models.kernels.test_skip_unused_positions import FAMILY, make_model


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(1)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=60, **shape)).eval()


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(selftest, "known_differences", {})
    yield


def replaced(model: nn.Module) -> set[str]:
    return {type(part).__name__ for part in model.modules() if "forward" in vars(part)}


TOKENS = torch.arange(20).view(2, 10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILY)
def test_today_every_kernel_computes_what_the_library_does(family: str, dtype: torch.dtype) -> None:
    model = make_model(FAMILY[family]).to(dtype)
    with skip_unread_positions(model), lean_layers(model), gradients_in_place(model):
        names = replaced(model)
    assert {"Linear", "Embedding"} < names and len([name for name in names if family[:4] in name.lower()]) == 3
    assert selftest.known_differences and max(selftest.known_differences.values()) < 0.5


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (LlamaMLP, lambda theirs, part, states: theirs(part, states) * 0.5),
        (LlamaRMSNorm, lambda theirs, part, states: theirs(part, states) + 1e-4),
        (LlamaAttention, lambda theirs, part, *given, **named: (theirs(part, *given, **named)[0] * 1.01, None)),
    ],
    ids=["mlp", "norm", "attention"],
)
def test_a_release_that_computes_otherwise_is_followed_and_said(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: Any, change: Any
) -> None:
    theirs = kind.forward
    monkeypatch.setattr(kind, "forward", lambda part, *given, **named: change(theirs, part, *given, **named))
    expected = model(TOKENS).logits
    with lean_layers(model):
        assert kind.__name__ not in replaced(model) and len(replaced(model)) == 2
        torch.testing.assert_close(model(TOKENS).logits, expected, rtol=1e-5, atol=1e-6)
    with lean_layers(model):
        pass
    said = " ".join(capsys.readouterr().err.split())
    assert said.count(f"{kind.__name__}: the kernel that would replace the library's computation") == 1


def test_attention_so_sharp_that_its_last_digits_differ_is_replaced_and_another_one_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=97, num_key_value_heads=2, **shape)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(100 if "q_proj" in name or "k_proj" in name else 1)
    with lean_layers(model):
        assert "LlamaAttention" in replaced(model)
    theirs = LlamaAttention.forward
    otherwise = lambda part, *given, **named: (theirs(part, *given, **named)[0] * (1 + 1e-3), None)  # noqa: E731
    monkeypatch.setattr(LlamaAttention, "forward", otherwise)
    with lean_layers(model):
        assert "LlamaAttention" not in replaced(model)


def test_positions_that_nobody_reads_are_computed_where_others_depend_on_them(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda part, states: theirs(part, states.cumsum(1)))
    with skip_unread_positions(model):
        assert not any(part._forward_pre_hooks for part in model.modules())


def test_gradients_of_another_linear_layer_are_its_own(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = nn.Linear.forward

    def doubled(part: nn.Linear, states: Tensor) -> Tensor:
        return 2 * theirs(part, states)

    monkeypatch.setattr(nn.Linear, "forward", doubled)
    with gradients_in_place(model):
        assert replaced(model) == {"Embedding"}


def test_weights_that_were_asked_keep_their_gradients_and_their_mode(model: LlamaForCausalLM) -> None:
    model.train()
    model.config._attn_implementation = "eager"
    with torch.no_grad(), lean_layers(model), skip_unread_positions(model):
        pass
    assert all(weight.grad is None for weight in model.parameters())
    assert all(part.training for part in model.modules()) and model.config._attn_implementation == "eager"


def test_plain_kernels_are_the_librarys(model: LlamaForCausalLM) -> None:
    accelerator = Accelerator(cpu=True)
    settings = Train(kernels="plain")
    choose_kernels(model, torch.device("cpu"), settings)
    with fast_paths(model, accelerator, settings):
        assert not replaced(model) and not any(part._forward_pre_hooks for part in model.modules())
    with fast_paths(model, accelerator, Train()):
        assert {"Linear", "Embedding", "LlamaMLP", "LlamaRMSNorm", "LlamaAttention"} == replaced(model)


def test_gradients_are_compared_where_they_are_computed(model: LlamaForCausalLM) -> None:
    part = model.model.layers[0].mlp

    def without_gradient(states: Tensor) -> Tensor:
        return part(states.detach())  # type: ignore[no-any-return]

    for answers, mode in ((True, torch.no_grad()), (False, torch.enable_grad()), (True, torch.inference_mode())):
        with mode:
            assert selftest.holds("it", "without gradients", part, 32, without_gradient, part) == answers
