"""Products in eight bits: near those in bf16, of the layers alone, and refused where they cannot work."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from transformers import LlamaConfig, LlamaForCausalLM

from crosstune.errors import BadInputError
from crosstune.models import packing
from crosstune.models.kernels import fp8
from crosstune.models.kernels.fp8 import check_fp8, multiply_in_fp8
from crosstune.models.kernels.inplace_gradients import fast_paths
from crosstune.recipe import Train
from crosstune.train import loss
from crosstune.train import stage as train_stage
from crosstune.train.loss import summed_loss
from tests.train.conftest import MakeRun, make_phase, scratch
from tests.train.test_batches import make_row

CONFIG = LlamaConfig(vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2)
SETTINGS = Train(precision="fp8")


@pytest.fixture(autouse=True)
def with_torchao() -> None:
    pytest.importorskip("torchao", reason="the extra eight_bit is not installed")


def machine(kind: DistributedType = DistributedType.NO, device: str = "cuda") -> Any:
    return SimpleNamespace(distributed_type=kind, device=torch.device(device))


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIG)
    model.set_attn_implementation(packing.ATTENTION)
    return model.train()


def test_layers_multiply_in_it_but_the_last_one_and_the_head_do_not() -> None:
    model = make_model()
    multiply_in_fp8(model, emulated=True)
    kinds = {name: type(part).__name__ for name, part in model.named_modules() if "Linear" in type(part).__name__}
    assert {kinds[name] for name in kinds if "layers.2" in name or name == "lm_head"} == {"Linear"}
    assert {kinds[name] for name in kinds if "layers.0" in name or "layers.1" in name} == {"Float8Linear"}
    # A model folder is as ever.
    assert model.state_dict().keys() == make_model().state_dict().keys()


@pytest.mark.slow
def test_losses_and_gradients_are_near_those_of_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "layout_options", lambda _: loss.ON_GPU)
    segments = [make_row([3 + index] * (5 + index % 40), index)[0] for index in range(20)]
    plain = make_model()
    rounded = copy.deepcopy(plain)
    multiply_in_fp8(rounded, emulated=True)
    totals = []
    for model in (plain, rounded):
        # Gradients are autograd's, as where weights are hooked: what is in eight bits is no plain layer.
        with fast_paths(model, machine(device="cpu"), Train()):
            total = summed_loss(model, segments, torch.device("cpu"), 0.01).total
            total.backward()  # type: ignore[no-untyped-call]
        totals.append(float(total))
    assert totals[0] != totals[1] == pytest.approx(totals[0], rel=1e-3)
    for expected, found in zip(plain.parameters(), rounded.parameters(), strict=True):
        assert expected.grad is not None and found.grad is not None
        # Three bits behind the point, two in gradients.
        assert (found.grad - expected.grad).norm() < 0.1 * expected.grad.norm()


def test_what_it_lacks_is_said_before_anything_is_read(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch()}, precision="fp8")
    with pytest.raises(BadInputError, match=r"needs a GPU with fp8.*on cpu: set train.precision=bf"):
        train_stage.run(recipe, run)


def test_it_is_refused_where_it_cannot_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setenv("CC", "cc")
    check_fp8(SETTINGS, machine(), [make_phase()])
    check_fp8(SETTINGS, machine(DistributedType.MULTI_GPU), [make_phase()])
    check_fp8(Train(), machine(device="cpu"), [make_phase()])
    with pytest.raises(BadInputError, match=r"launched with FSDP, which shards them: set train.precision=bf16"):
        check_fp8(SETTINGS, machine(DistributedType.FSDP), [make_phase()])
    adapters = make_phase(method="lora", lora={"rank": 2})
    with pytest.raises(BadInputError, match=r"needs `method: full`, and a phase trains adapters"):
        check_fp8(SETTINGS, machine(), [make_phase(), adapters])
    monkeypatch.setattr(fp8, "c_compiler", lambda: None)
    with pytest.raises(BadInputError, match=r"needs a C compiler.*apt-get install gcc"):
        check_fp8(SETTINGS, machine(), [make_phase()])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    with pytest.raises(BadInputError, match="needs a GPU with fp8"):
        check_fp8(SETTINGS, machine(), [make_phase()])
    monkeypatch.setattr(fp8, "find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=r"needs torchao, which is not installed: pip install"):
        check_fp8(SETTINGS, machine(), [make_phase()])
