import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer, LlamaConfig

from crosstune.errors import BadInputError
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.folder import configuration_of, read_configuration, with_bos, write_folder

ROLES = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize("beside_a_model", [False, True])
def test_transformers_loads_exactly_what_is_written(
    tmp_path: Path, small_base: BpeTokenizer, beside_a_model: bool
) -> None:
    """LlamaTokenizer, which transformers takes for LLaMA models by default, would lose spaces at the start."""
    write_folder(tmp_path, small_base.content, configuration_of(ROLES))
    if beside_a_model:
        LlamaConfig().save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert json.loads(loaded.backend_tokenizer.to_str()) == small_base.content
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.unk_token_id) == (1, 2, 0)
    text = "  the 책\n is  red "
    plain = loaded(text, add_special_tokens=False).input_ids
    assert [plain] == small_base.encode_lines([text])
    assert loaded(text).input_ids == [1, *plain]
    assert loaded.decode(plain) == text


def test_saved_again_by_transformers_it_stays_the_same(tmp_path: Path, small_base: BpeTokenizer) -> None:
    write_folder(tmp_path / "a", small_base.content, configuration_of(ROLES))
    AutoTokenizer.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    again = AutoTokenizer.from_pretrained(tmp_path / "b")
    assert json.loads(again.backend_tokenizer.to_str()) == small_base.content


def test_a_tokenizer_without_eos_is_refused(tmp_path: Path, small_base: BpeTokenizer) -> None:
    with pytest.raises(BadInputError, match=r"eos_token is None and its added tokens are .*'</s>'.*Set eos_token"):
        write_folder(tmp_path, small_base.content, configuration_of({"bos_token": "<s>"}))


def test_special_tokens_and_chat_template_of_a_foreign_folder_are_kept(tmp_path: Path) -> None:
    settings = {
        "eos_token": {"content": "</s>", "lstrip": False},
        "model_max_length": 4096,
        "tokenizer_class": "LlamaTokenizer",
        "auto_map": {"AutoTokenizer": ["evil.py", None]},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<s>"}))
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert read_configuration(tmp_path) == {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "model_max_length": 4096,
        "chat_template": "{{ messages }}",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }


def test_broken_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(BadInputError, match=r"tokenizer_config.json \(the tokenizer's settings\) is not JSON"):
        read_configuration(tmp_path)


def test_bos_that_only_the_class_of_a_folder_adds_is_written_down(tmp_path: Path, small_base: BpeTokenizer) -> None:
    bare = small_base.content | {"post_processor": None}
    assert with_bos(bare, tmp_path, configuration_of(ROLES)) == bare
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"add_bos_token": True}))
    assert with_bos(bare, tmp_path, configuration_of(ROLES)) == small_base.content


def test_older_readers_find_merges_names_of_inputs_and_one_template(tmp_path: Path, small_base: BpeTokenizer) -> None:
    """transformers 4 reads merges as texts, and asks a causal model for token_type_ids unless it is told not to."""
    roles = ROLES | {"pad_token": "<unk>"}
    write_folder(tmp_path, small_base.content, configuration_of(roles, {"chat_template": "{{ messages }}"}))
    assert all(
        isinstance(merge, str) for merge in json.loads((tmp_path / "tokenizer.json").read_text())["model"]["merges"]
    )
    assert "chat_template" not in json.loads((tmp_path / "tokenizer_config.json").read_text())
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.chat_template == "{{ messages }}" and loaded.pad_token == "<unk>"
    assert list(loaded(["a", "a b"], padding=True)) == ["input_ids", "attention_mask"]
    assert read_configuration(tmp_path)["chat_template"] == "{{ messages }}"


def test_merges_of_pieces_with_spaces_stay_pairs(tmp_path: Path, small_base: BpeTokenizer) -> None:
    content = small_base.content | {"model": {**small_base.content["model"], "merges": [["a b", "c"]]}}
    write_folder(tmp_path, content, configuration_of(ROLES))
    assert json.loads((tmp_path / "tokenizer.json").read_text())["model"]["merges"] == [["a b", "c"]]
