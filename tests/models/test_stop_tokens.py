"""Chat models end an answer by one of several tokens, before and after training."""

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, GenerationConfig

from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.models.load import load_model, load_tokenizer
from crosstune.models.stop_tokens import stop_tokens
from crosstune.train.model_folder import save_model
from tests.evaluate.conftest import llama, model_folder, tokenizer

__all__ = ["llama", "model_folder", "tokenizer"]


@pytest.mark.slow
def test_every_stop_token_of_the_model_ends_an_answer_and_is_kept_by_training(
    model_folder: Path, tmp_path: Path
) -> None:
    own, model = load_tokenizer(str(model_folder)), load_model(str(model_folder))
    prompt, limits = own("The man").input_ids, Limits(8, 64, 1, 64)
    model.generation_config = GenerationConfig(eos_token_id=own.eos_token_id)
    [(_, whole)] = generate(model, [prompt], stop_tokens(model, own), limits)
    other = whole.tokens[3]
    model.generation_config = GenerationConfig(eos_token_id=[own.eos_token_id, other, len(own) + 5])
    assert stop_tokens(model, own) == {own.eos_token_id, other}
    [(_, cut)] = generate(model, [prompt], stop_tokens(model, own), limits)
    assert cut.finished and cut.tokens == whole.tokens[: whole.tokens.index(other)]
    save_model(model, own, tmp_path / "model")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert stop_tokens(again, own) == {own.eos_token_id, other}
