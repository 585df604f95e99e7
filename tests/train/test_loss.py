"""The cross-entropy in chunks is the cross-entropy."""

import math

import pytest
import torch

from crosstune.train.loss import cross_entropy


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("num_rows", [1, 63, 64, 200])
def test_losses_and_gradients_equal_torchs_own(num_rows: int, dtype: torch.dtype, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(num_rows)
    logits = (torch.randn(num_rows, 37, generator=generator) * 3).to(dtype).requires_grad_()
    targets = torch.randint(0, 37, (num_rows,), generator=generator)
    weights = torch.rand(num_rows, generator=generator)
    expected = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), logits)
    losses = cross_entropy(logits, targets)
    (gradient,) = torch.autograd.grad((losses * weights).sum(), logits)
    torch.testing.assert_close(losses, expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, atol=tolerance, rtol=tolerance)


def test_a_loss_without_gradient_keeps_none() -> None:
    assert cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3])).tolist() == pytest.approx([math.log(4)] * 2)
