"""What each method trains, how new rows start, and the way back to a plain model."""

import copy
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForCausalLM, GPTNeoXConfig, LlamaConfig, PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.recipe import NewRows, Train
from crosstune.train.methods.optimizer import make_optimizer
from crosstune.train.methods.trainable import make_trainable, plain_model, refuse_sharded_weights
from crosstune.train.new_rows.rows import CONFIG_KEY, RowSource, extend_embeddings, matrices
from tests.train.conftest import make_phase

SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SUBWORDS = ((3, 4), (5,), (7, 8, 9))
SOURCES = [*(RowSource("mean_of_subwords", ids) for ids in SUBWORDS), RowSource("padding")]


def make_model(tied: bool = False, vocabulary: int = 50, config: type = LlamaConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    settings = config(**SHAPE, vocab_size=vocabulary, tie_word_embeddings=tied, bos_token_id=1, eos_token_id=2)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(settings)
    return model


@pytest.mark.parametrize("config", [LlamaConfig, GPTNeoXConfig])
@pytest.mark.parametrize("tied", [True, False])
def test_old_rows_stay_and_new_rows_are_means(config: type, tied: bool) -> None:
    model = make_model(tied, config=config)
    before = copy.deepcopy(model)
    extend_embeddings(model, 50, SOURCES, NewRows(noise=0.0), seed=1)
    assert len(matrices(model)) == (1 if tied else 2)
    assert model.config.vocab_size == 54
    for new, old in zip(matrices(model), matrices(before), strict=True):
        assert new.shape[0] == 54 and torch.equal(new[:50], old)
        for row, ids in zip(new[50:53], SUBWORDS, strict=True):
            torch.testing.assert_close(row, old[list(ids)].mean(dim=0))
        torch.testing.assert_close(new[53], old.mean(dim=0))
    ids = torch.tensor([[1, 3, 53]])
    assert model(input_ids=ids).logits.shape[-1] == 54


def test_rows_are_weighted_in_float32_and_how_they_started_stays_in_the_saved_model(tmp_path: Path) -> None:
    model = make_model().to(torch.bfloat16)
    old = matrices(model)[0].detach().clone()
    settings = NewRows(method="focus", mixture="text", noise=0)
    sources = [RowSource("focus", (3, 4), (0.75, 0.25)), RowSource("mean_of_subwords", (5,))]
    extend_embeddings(model, 50, sources, settings, seed=9)
    expected = (0.75 * old[3].float() + 0.25 * old[4].float()).to(torch.bfloat16)
    assert torch.equal(matrices(model)[0][50], expected)
    model.save_pretrained(tmp_path)
    AutoModelForCausalLM.from_pretrained(tmp_path).save_pretrained(tmp_path / "again")
    facts = json.loads((tmp_path / "again" / "config.json").read_text())[CONFIG_KEY]
    assert facts["num_rows"] == {"focus": 1, "mean_of_subwords": 1}
    assert (facts["method"], facts["mixture"], facts["seed"]) == ("focus", "text", 9)
    assert facts["versions"]["torch"] == version("torch")


def test_noise_has_the_asked_share_of_the_old_rows_spread() -> None:
    model = make_model()
    extend_embeddings(model, 50, [RowSource("mean_of_subwords", (3, 4))] * 400, NewRows(noise=0.5), seed=1)
    old, new = matrices(model)[0][:50], matrices(model)[0][50:]
    torch.testing.assert_close(new.mean(dim=0), old[[3, 4]].mean(dim=0), atol=0.003, rtol=0)
    assert (new.std(dim=0) / old.std(dim=0)).mean().item() == pytest.approx(0.5, rel=0.05)


def test_random_rows_are_distributed_like_the_old_ones() -> None:
    model = make_model()
    extend_embeddings(model, 50, [RowSource("random")] * 400, NewRows(method="random", noise=0.0), seed=1)
    old, new = matrices(model)[1][:50], matrices(model)[1][50:]
    torch.testing.assert_close(new.mean(dim=0), old.mean(dim=0), atol=0.004, rtol=0)
    assert (new.std(dim=0) / old.std(dim=0)).mean().item() == pytest.approx(1, rel=0.05)


def test_rows_that_pad_a_matrix_become_those_of_new_pieces() -> None:
    model = make_model(vocabulary=64)
    before = copy.deepcopy(model)
    extend_embeddings(model, 50, SOURCES, NewRows(noise=0.0), seed=1)
    for new, old in zip(matrices(model), matrices(before), strict=True):
        assert new.shape[0] == 64 and torch.equal(new[54:], old[54:])
        torch.testing.assert_close(new[51], old[5])


def test_merged_adapters_say_what_the_adapted_model_said() -> None:
    adapters = {"rank": 2, "targets": ["q_proj", "down_proj"]}
    trainable = make_trainable(make_model(), make_phase(method="lora", lora=adapters), None, seed=1)
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
    trainable = make_trainable(model, make_phase(), None, seed=1)
    assert all(parameter.requires_grad for parameter in trainable.model.parameters())


def test_new_rows_under_sharding_are_refused_with_the_way_out() -> None:
    class Sharded:
        distributed_type = "FSDP"
        is_fsdp2 = True

    refuse_sharded_weights(Sharded(), make_phase())  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match=r"launched with FSDP, which splits.*launch with DDP instead: torchrun"):
        refuse_sharded_weights(Sharded(), make_phase(trains=["new_input_rows"]))  # type: ignore[arg-type]


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_beside_adapters_move_old_rows_do_not_and_both_are_merged(tied: bool, tmp_path: Path) -> None:
    model = make_model(tied)
    extend_embeddings(model, 50, SOURCES, NewRows(noise=0.0), seed=1)
    before = copy.deepcopy(model)
    settings = make_phase(method="lora", lora={"rank": 2, "train_new_rows": True}, weight_decay=0.1)
    trainable = make_trainable(model, settings, 50, seed=1)
    model.set_attn_implementation("eager")
    ids = torch.tensor([[1, 5, 50, 51, 52, 53]])
    optimizer = make_optimizer(trainable.model, settings, Train())
    for _ in range(5):
        trainable.model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    trainable.model.eval()
    said = trainable.model(input_ids=ids).logits
    plain_model(Accelerator(), trainable.model, lambda: trainable.model).save_pretrained(tmp_path)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path)
    for new, old in zip(matrices(merged), matrices(before), strict=True):
        assert torch.equal(new[:50], old[:50]) and (new[50:] != old[50:]).any(dim=1).all()
    torch.testing.assert_close(merged(input_ids=ids).logits, said, atol=1e-5, rtol=1e-4)
    assert merged.generate(ids, max_new_tokens=3, min_new_tokens=3, do_sample=False).shape == (1, 9)
