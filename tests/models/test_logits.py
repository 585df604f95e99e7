"""Logits that come in parts are the model's own."""

import pytest
import torch
from transformers import PreTrainedModel

from crosstune.models import logits


@pytest.mark.parametrize("few_rows", [0, 8])
def test_parts_put_together_are_the_models_logits(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, few_rows: int
) -> None:
    monkeypatch.setattr(logits, "NUM_PIECES", {"cpu": 100})
    monkeypatch.setattr(logits, "FEW_ROWS", few_rows)
    model.set_attn_implementation("sdpa")
    tokens = torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]])
    with torch.inference_mode():
        expected = model(input_ids=tokens).logits
        everywhere = list(logits.logit_parts(model, None, input_ids=tokens))
        at_two = list(logits.logit_parts(model, torch.tensor([3, 1]), input_ids=tokens[:1]))
    assert max(part.shape[1] for part in everywhere) == 100 and len(everywhere) > 3
    torch.testing.assert_close(torch.cat(everywhere, dim=1), expected.flatten(0, 1))
    torch.testing.assert_close(torch.cat(at_two, dim=1), expected[0, [3, 1]])
    assert logits.likeliest(everywhere) == expected.flatten(0, 1).argmax(-1).tolist()
