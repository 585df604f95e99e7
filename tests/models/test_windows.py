"""Sliding windows: rows that are continued side by side, far beyond the window, are those of `generate`."""

import numpy as np
import pytest
import torch

from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.models.paths import path_of
from tests.models.architectures import build

NUM_ROWS, NUM_NEW = 12, 30
FAMILIES = ["mistral", "ministral", "gemma3_text", "olmo3", "exaone4", "cohere2", "gpt_oss"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *FAMILIES[:1],
        *(
            pytest.param(name, marks=pytest.mark.slow if name in ("gemma3_text", "gpt_oss") else pytest.mark.exhaustive)
            for name in FAMILIES[1:]
        ),
    ],
)
def test_twelve_of_twelve_rows_go_on_beyond_the_window_as_generate_writes_them(name: str) -> None:
    model, generator = build(name), np.random.default_rng(5)
    assert model.config.sliding_window == 12 and path_of(model, "generation").way == "packed"
    prompts = [generator.integers(3, 96, size=length).tolist() for length in range(8, 8 + NUM_ROWS)]
    found = dict(generate(model, prompts, set(), Limits(NUM_NEW, 256, 4, 512)))
    plain = build(name)
    # No token ends a row: all are as long as they may be.
    assert plain.generation_config is not None
    plain.generation_config.eos_token_id = None
    for index, prompt in enumerate(prompts):
        asked = torch.tensor([prompt])
        written = plain.generate(  # type: ignore[operator]
            asked, attention_mask=torch.ones_like(asked), max_new_tokens=NUM_NEW, do_sample=False, pad_token_id=0
        )
        assert list(found[index].tokens) == written[0, len(prompt) :].tolist(), f"row {index}"
