"""Which weights move in a phase, and that all others stay, bit for bit."""

import json
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, GPTNeoXConfig, LlamaConfig, PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.recipe import Train
from crosstune.recipe.systems import System
from crosstune.train.methods.optimizer import make_optimizer
from crosstune.train.methods.parts import choose_parts
from crosstune.train.new_rows.rows import matrices
from tests.train.conftest import make_phase
from tests.train.conftest import phase as phase_content

OLD = 40
SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}


def make_model(config: type = LlamaConfig, tied: bool = False) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(
        config(**SHAPE, vocab_size=50, tie_word_embeddings=tied, bos_token_id=1, eos_token_id=2)
    )
    return model


def what_moves(model: PreTrainedModel, **changes: Any) -> dict[str, torch.Tensor]:
    """Train three steps with weight decay; return for each weight that moved which of its rows did."""
    phase = make_phase(weight_decay=0.1, **changes)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    frozen = choose_parts(model, phase, OLD)
    optimizer = make_optimizer(model, phase, Train())
    if frozen:
        frozen.start(None)
    ids = torch.arange(50)[None]
    for _ in range(3):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if frozen:
            frozen.after_step(1e-3)
    rows = {name: (weight != before[name]).reshape(len(weight), -1) for name, weight in model.named_parameters()}
    return {name: moved.any(dim=1) for name, moved in rows.items() if moved.any()}


@pytest.mark.parametrize(
    ("parts", "of_input", "of_output", "num_layers"),
    [
        (["new_input_rows"], 10, 0, 0),
        (["new_output_rows"], 0, 10, 0),
        (["new_input_rows", "new_output_rows"], 10, 10, 0),
        (["output_rows"], 0, 50, 0),
        (["new_input_rows", "output_rows"], 10, 50, 0),
        (["new_input_rows", "new_output_rows", "top_layers"], 10, 10, 2),
        (["new_input_rows", "output_rows", "layers"], 10, 50, 3),
        (["layers"], 0, 0, 3),
        (["all"], 50, 50, 3),
    ],
)
@pytest.mark.parametrize("config", [LlamaConfig, GPTNeoXConfig])
def test_only_what_is_named_moves(
    config: type, parts: list[str], of_input: int, of_output: int, num_layers: int
) -> None:
    model = make_model(config)
    embeddings, head = (
        next(name for name, weight in model.named_parameters() if weight is matrix) for matrix in matrices(model)
    )
    moved = what_moves(model, trains=parts, **({"num_top_layers": 2} if "top_layers" in parts else {}))
    for name, expected in ((embeddings, of_input), (head, of_output)):
        rows = moved.pop(name, torch.zeros(50, dtype=torch.bool))
        assert rows.sum() == expected and rows[50 - expected :].all()
    layers = {name.split(".layers.")[1][0] for name in moved if ".layers." in name}
    assert layers == set("012"[3 - num_layers :])
    # The norm behind the layers goes with the last of them.
    assert any(".layers." not in name for name in moved) == (num_layers > 0)


@pytest.mark.parametrize(("part", "num_moved"), [("new_output_rows", 10), ("new_input_rows", 10), ("output_rows", 50)])
def test_tied_matrices_move_as_one(part: str, num_moved: int) -> None:
    moved = what_moves(make_model(tied=True), trains=[part])
    assert {name: rows.sum() for name, rows in moved.items()} == {"model.embed_tokens.weight": num_moved}


def test_more_top_layers_than_there_are_layers_are_refused() -> None:
    phase = make_phase(trains=["top_layers"], num_top_layers=4)
    with pytest.raises(BadInputError, match=r"num_top_layers is 4, but the model has 3 layers"):
        choose_parts(make_model(), phase, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trains": ["all", "layers"]}, "`all` includes layers"),
        ({"trains": ["layers", "top_layers"], "num_top_layers": 1}, "`layers` includes top_layers"),
        ({"trains": ["layers", "layers"]}, "names a part twice"),
        ({"trains": ["top_layers"]}, "`num_top_layers` is only for"),
        ({"num_top_layers": 1}, "`num_top_layers` is only for"),
        ({"trains": []}, "at least 1"),
        ({"method": "lora", "lora": {}, "trains": ["layers"]}, r"set lora\.train_new_rows"),
    ],
)
def test_parts_that_exclude_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_phase(**changes)


@pytest.mark.parametrize(
    "changes", [{"trains": ["new_input_rows"]}, {"method": "lora", "lora": {"train_new_rows": True}}]
)
def test_new_rows_need_the_extended_tokenizer(changes: dict[str, Any]) -> None:
    content = {"start": "base", "tokenizer": "base", "phases": [phase_content(**changes)]}
    with pytest.raises(ValidationError, match="set `tokenizer: extended`"):
        System.model_validate_json(json.dumps(content))
