"""What is computed by other kernels on a GPU: fused chains, FlexAttention, gradients added in place."""

import copy

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import AutoModelForCausalLM

from crosstune.models import packing
from crosstune.models.attention import flex
from crosstune.models.kernels.inplace_gradients import fast_paths
from crosstune.recipe import Train
from crosstune.train.loss import summed_loss
from crosstune.train.rows import Segment
from tests.models.kernels.test_skip_unused_positions import FAMILY
from tests.models.test_packing import random_rows

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

SEGMENTS = [Segment(tuple(row), max(1, len(row) // 2), 1, "ko", "a") for row in random_rows(5) if len(row) > 1]


def losses_and_gradients(
    name: str, dtype: torch.dtype, attention: str, device: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss and the summed gradients of two micro-batches: by all fast paths on a GPU, by none on a CPU."""
    config = copy.deepcopy(FAMILY[name])
    # FlexAttention takes heads of 16 numbers at least.
    config.hidden_size, config.head_dim = 64, 16
    torch.manual_seed(0)
    # In float32 first: drawn in another type, weights are others.
    model = AutoModelForCausalLM.from_config(config).to(dtype).to(device).train()
    model.set_attn_implementation(attention)
    accelerator = Accelerator(cpu=device == "cpu")
    losses = []
    for segments in (SEGMENTS[:6], SEGMENTS[6:]):
        if device == "cpu":
            loss = summed_loss(model, segments, torch.device(device), 0.01)
            loss.total.backward()  # type: ignore[no-untyped-call]
        else:
            with fast_paths(model, accelerator, Train()):
                loss = summed_loss(model, segments, torch.device(device), 0.01)
                loss.total.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.per_segment.cpu())
    gradients = {name: part.grad.cpu().float() for name, part in model.named_parameters() if part.grad is not None}
    return torch.cat(losses), gradients


@pytest.mark.parametrize("attention", [packing.ATTENTION, flex.FLEX_ATTENTION])
@pytest.mark.parametrize("name", FAMILY)
def test_losses_and_gradients_are_those_of_the_plain_path_on_a_cpu(name: str, attention: str) -> None:
    expected, expected_gradients = losses_and_gradients(name, torch.float32, packing.ATTENTION, "cpu")
    found, gradients = losses_and_gradients(name, torch.float32, attention, "cuda")
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert gradients.keys() == expected_gradients.keys()
    for part, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected_gradients[part], atol=1e-5, rtol=1e-3, msg=part)


@pytest.mark.parametrize("attention", [packing.ATTENTION, flex.FLEX_ATTENTION])
def test_in_bf16_they_are_as_near_as_its_rounding(attention: str) -> None:
    expected, expected_gradients = losses_and_gradients("llama", torch.float32, packing.ATTENTION, "cpu")
    found, gradients = losses_and_gradients("llama", torch.bfloat16, attention, "cuda")
    torch.testing.assert_close(found, expected, atol=0, rtol=0.02)
    for part, gradient in gradients.items():
        wanted = expected_gradients[part]
        assert (gradient - wanted).norm() < 0.03 * wanted.norm(), part
