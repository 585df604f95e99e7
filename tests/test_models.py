"""Loading models: a folder that is none says so."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from crosstune.errors import BadInputError
from crosstune.models import load_model, load_tokenizer


def test_a_folder_that_is_no_model_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadInputError, match=r"is no model folder.*found: notes.txt"):
        load_model(str(tmp_path))
    with pytest.raises(BadInputError, match=r"is no tokenizer folder.*found: notes.txt"):
        load_tokenizer(str(tmp_path))


def test_a_missing_folder_says_what_to_give() -> None:
    with pytest.raises(BadInputError, match="Give a folder with"):
        load_model("nobody/no-such-model")


def test_a_model_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    config = LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=16)
    model = LlamaForCausalLM(config)
    config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(BadInputError, match="safetensors"):
        load_model(str(tmp_path))


def test_a_tokenizer_without_eos_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))).save_pretrained(tmp_path)
    with pytest.raises(BadInputError, match="no EOS token"):
        load_tokenizer(str(tmp_path))
