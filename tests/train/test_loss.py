"""The cross-entropy in chunks is the cross-entropy."""

import math

import pytest
import torch

from crosstune.train import loss
from crosstune.train.loss import cross_entropy, row_chunks


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("num_rows", [1, 63, 64, 200])
def test_losses_and_gradients_equal_torchs_own(
    num_rows: int, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(loss.CHUNK_LOGITS, "cpu", 64 * 37)
    generator = torch.Generator().manual_seed(num_rows)
    logits = (torch.randn(num_rows, 37, generator=generator) * 3).to(dtype).requires_grad_()
    targets = torch.randint(0, 37, (num_rows,), generator=generator)
    expected = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    (expected_gradient,) = torch.autograd.grad(expected.sum() * 0.3 * 5, logits)
    total, losses = cross_entropy(logits, targets, 0.3)
    torch.testing.assert_close(total, expected.sum() * 0.3, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(losses, expected, atol=1e-6, rtol=1e-6)
    (gradient,) = torch.autograd.grad(total * 5, logits)
    torch.testing.assert_close(gradient, expected_gradient, atol=tolerance, rtol=tolerance)
    assert len(list(row_chunks(logits))) == math.ceil(num_rows / 64)


def test_a_chunk_has_a_row_at_least() -> None:
    assert list(row_chunks(torch.empty(2, 10**6))) == [slice(0, 1), slice(1, 2)]


def test_a_target_that_is_next_to_impossible_has_a_finite_loss() -> None:
    logits = torch.tensor([[0.0, 500.0, 0.0], [0.0, 0.0, -500.0], [0.0, 90.0, 0.0], [0.0, 0.0, 0.0]])
    _, losses = cross_entropy(logits, torch.tensor([0, 2, 0, 0]))
    assert losses.tolist() == pytest.approx([500, 500 + math.log(2), 90, math.log(3)])


def test_the_gradient_takes_the_place_of_the_logits() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)
    total, losses = cross_entropy(logits, torch.tensor([0, 3]))
    (gradient,) = torch.autograd.grad(total, logits)
    assert gradient.data_ptr() == logits.data_ptr() and not losses.requires_grad
    assert gradient.tolist() == [[-0.75, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, -0.75]]


def test_logits_that_are_needed_for_another_gradient_are_an_error() -> None:
    scores = torch.zeros(2, 4, requires_grad=True)
    total, _ = cross_entropy(scores.tanh(), torch.tensor([0, 3]))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_a_loss_without_gradient_keeps_none() -> None:
    logits = torch.zeros(2, 4)
    total, losses = cross_entropy(logits, torch.tensor([0, 3]))
    assert losses.tolist() == pytest.approx([math.log(4)] * 2) and float(total) == pytest.approx(2 * math.log(4))
    assert logits.tolist() == torch.zeros(2, 4).tolist()
