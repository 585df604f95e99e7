"""What each method trains, how new rows start, and the way back to a plain model."""

import copy
import json
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForCausalLM, GPTNeoXConfig, LlamaConfig, PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.recipe import NewRows, Stage
from crosstune.train.methods import make_trainable, plain_model, refuse_sharded_new_rows
from crosstune.train.new_rows import Subwords, extend_embeddings, matrices
from tests.train.conftest import stage as stage_content

SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SUBWORDS = Subwords(50, 54, ((3, 4), (5,), (7, 8, 9), ()))


def make_model(tied: bool = False, vocabulary: int = 50, config: type = LlamaConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    settings = config(**SHAPE, vocab_size=vocabulary, tie_word_embeddings=tied, bos_token_id=1, eos_token_id=2)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(settings)
    return model


def make_stage(**changes: Any) -> Stage:
    return Stage.model_validate_json(json.dumps(stage_content(**changes)))


@pytest.mark.parametrize("config", [LlamaConfig, GPTNeoXConfig])
@pytest.mark.parametrize("tied", [True, False])
def test_old_rows_stay_and_new_rows_are_means(config: type, tied: bool) -> None:
    model = make_model(tied, config=config)
    before = copy.deepcopy(model)
    extend_embeddings(model, SUBWORDS, NewRows(), seed=1)
    assert len(matrices(model)) == (1 if tied else 2)
    assert model.config.vocab_size == 54
    for new, old in zip(matrices(model), matrices(before), strict=True):
        assert new.shape[0] == 54 and torch.equal(new[:50], old)
        for row, ids in zip(new[50:53], SUBWORDS.subwords, strict=False):
            torch.testing.assert_close(row, old[list(ids)].mean(dim=0))
        torch.testing.assert_close(new[53], old.mean(dim=0))
    ids = torch.tensor([[1, 3, 53]])
    assert model(input_ids=ids).logits.shape[-1] == 54


def test_noise_has_the_asked_share_of_the_old_rows_spread() -> None:
    subwords = Subwords(50, 450, tuple((3, 4) for _ in range(400)))
    model = make_model()
    extend_embeddings(model, subwords, NewRows(noise=0.5), seed=1)
    old, new = matrices(model)[0][:50], matrices(model)[0][50:]
    torch.testing.assert_close(new.mean(dim=0), old[[3, 4]].mean(dim=0), atol=0.003, rtol=0)
    assert (new.std(dim=0) / old.std(dim=0)).mean().item() == pytest.approx(0.5, rel=0.05)


def test_random_rows_are_distributed_like_the_old_ones() -> None:
    subwords = Subwords(50, 450, tuple((3, 4) for _ in range(400)))
    model = make_model()
    extend_embeddings(model, subwords, NewRows(method="random"), seed=1)
    old, new = matrices(model)[1][:50], matrices(model)[1][50:]
    torch.testing.assert_close(new.mean(dim=0), old.mean(dim=0), atol=0.004, rtol=0)
    assert (new.std(dim=0) / old.std(dim=0)).mean().item() == pytest.approx(1, rel=0.05)


def test_rows_that_pad_a_matrix_become_those_of_new_pieces() -> None:
    model = make_model(vocabulary=64)
    before = copy.deepcopy(model)
    extend_embeddings(model, SUBWORDS, NewRows(), seed=1)
    for new, old in zip(matrices(model), matrices(before), strict=True):
        assert new.shape[0] == 64 and torch.equal(new[54:], old[54:])
        torch.testing.assert_close(new[51], old[5])


def test_merged_adapters_say_what_the_adapted_model_said() -> None:
    adapters = {"rank": 2, "targets": ["q_proj", "down_proj"]}
    trainable = make_trainable(make_model(), make_stage(method="lora", lora=adapters), None, seed=1)
    names = [name for name, parameter in trainable.model.named_parameters() if parameter.requires_grad]
    assert names and all("lora_" in name for name in names)
    with torch.no_grad():
        for parameter in trainable.model.parameters():
            if parameter.requires_grad:
                parameter.normal_(generator=torch.Generator().manual_seed(2))
    trainable.model.eval()
    whole = trainable.model.get_base_model()
    whole.set_attn_implementation("eager")
    ids = torch.tensor([[1, 5, 9, 30]])
    adapted = trainable.model(input_ids=ids).logits
    merged = plain_model(Accelerator(), trainable.model, lambda: trainable.model)
    assert not any("lora" in name for name, _ in merged.named_parameters())
    torch.testing.assert_close(merged(input_ids=ids).logits, adapted, atol=1e-5, rtol=1e-4)


def test_full_training_moves_everything_after_another_method() -> None:
    model = make_model()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    trainable = make_trainable(model, make_stage(), None, seed=1)
    assert all(parameter.requires_grad for parameter in trainable.model.parameters())


def test_new_rows_under_sharding_are_refused_with_the_way_out() -> None:
    class Sharded:
        distributed_type = "FSDP"

    refuse_sharded_new_rows(Sharded(), make_stage())  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match=r"launched with FSDP, which splits.*launch it without: torchrun"):
        refuse_sharded_new_rows(Sharded(), make_stage(method="new_rows"))  # type: ignore[arg-type]
