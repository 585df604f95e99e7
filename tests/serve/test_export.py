"""`crosstune export`: plain folders in any precision and shard size, adapters merged; GGUF by its converter."""

import io
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForMultimodalLM, AutoTokenizer, Gemma3Config, LlamaForCausalLM

from crosstune.errors import BadInputError, RunFolderError
from crosstune.languages.characters import word_of
from crosstune.models.load import load_model, load_tokenizer
from crosstune.prompts.templates import TEMPLATES
from crosstune.runs.files import read_json, write_json
from crosstune.serve.export import export, export_gguf
from crosstune.tokenizer.extension import Extended, write_extended
from crosstune.tokenizer.learn import LearnRequest, learn_new_pieces
from crosstune.tokenizer.verify import Samples
from tests.evaluate.conftest import SENTENCES
from tests.models.gguf.files import TEMPLATE, llama_config, write_gguf
from tests.tokenizer.conftest import byte_level


def test_a_model_is_written_in_shards_of_the_chosen_precision(chat_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "exported"
    (chat_folder / "README.md").write_text("# The model card\n", encoding="utf-8")
    export(str(chat_folder), target, "bf16", "50KB")
    assert len(list(target.glob("*.safetensors"))) > 1
    original = AutoModelForCausalLM.from_pretrained(chat_folder).state_dict()
    exported = AutoModelForCausalLM.from_pretrained(target, dtype="auto").state_dict()
    assert original.keys() == exported.keys()
    assert all(torch.equal(exported[name], weight.to(torch.bfloat16)) for name, weight in original.items())
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "README.md"):
        assert (target / name).read_bytes() == (chat_folder / name).read_bytes()


def adapters_in(folder: Path, base: Path) -> Any:
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return adapted


def test_adapters_are_merged_into_their_base(chat_folder: Path, tmp_path: Path) -> None:
    folder, target = tmp_path / "adapter", tmp_path / "merged"
    adapted = adapters_in(folder, chat_folder)
    export(str(folder), target, "float32", "5GB")
    tokens = torch.arange(10)[None]
    with torch.inference_mode():
        wanted, got = adapted(tokens).logits, AutoModelForCausalLM.from_pretrained(target)(tokens).logits
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def change_adapters(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    tensors = change(load_file(folder / "adapter_model.safetensors"))
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})


def set_adapters(folder: Path, **changes: object) -> None:
    write_json(folder / "adapter_config.json", read_json(folder / "adapter_config.json") | changes)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda folder: change_adapters(folder, lambda all_: {f"_orig_mod.{name}": all_[name] for name in all_}),
            r"4 missing: base_model.*4 not asked for: _orig_mod.*peft would leave them out",
        ),
        (
            lambda folder: change_adapters(folder, lambda all_: dict(list(all_.items())[1:])),
            r"1 missing: base_model\.model\.model\.layers\.0\.self_attn\.q_proj\.lora_A",
        ),
        (lambda folder: set_adapters(folder, r=8), "cannot be put on their base .*size mismatch"),
        (lambda folder: set_adapters(folder, base_model_name_or_path=None), "does not say what the adapters belong to"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), r"adapter_config\.json is not JSON"),
        (
            lambda folder: (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin"),
            r"have no adapter_model\.safetensors; found: .*adapter_model\.bin.*can run code",
        ),
    ],
)
def test_adapters_that_are_not_whole_are_refused_by_name(
    chat_folder: Path, tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    folder = tmp_path / "adapter"
    adapters_in(folder, chat_folder)
    spoil(folder)
    with pytest.raises(BadInputError, match=told):
        export(str(folder), tmp_path / "merged", "float32", "5GB")
    assert not (tmp_path / "merged").exists()


def test_a_model_whose_chat_template_fails_is_exported_only_with_another(chat_folder: Path, tmp_path: Path) -> None:
    (chat_folder / "chat_template.jinja").write_text("{% for turn in %}", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"fails: TemplateSyntaxError.*Correct its chat_template\.jinja.*--prompt"):
        export(str(chat_folder), tmp_path / "out", "float32", "5GB")
    export(str(chat_folder), tmp_path / "out", "float32", "5GB", "alpaca")
    assert (tmp_path / "out" / "chat_template.jinja").read_text("utf-8") == TEMPLATES["alpaca"].chat_template()


@pytest.mark.slow
def test_a_text_model_is_exported_inside_what_it_was_taken_from(chat_folder: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(chat_folder)
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "head_dim": 8}
    text |= {"num_key_value_heads": 2, "vocab_size": len(tokenizer)}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma3Config(text_config=text, vision_config={**vision, "image_size": 28, "patch_size": 14})
    whole = AutoModelForMultimodalLM.from_config(config)
    whole.save_pretrained(tmp_path / "whole")
    tokenizer.save_pretrained(tmp_path / "whole")
    export(str(tmp_path / "whole"), tmp_path / "out", "float32", "5GB")
    exported = AutoModelForMultimodalLM.from_pretrained(tmp_path / "out").state_dict()
    assert all(torch.equal(exported[name], weight) for name, weight in whole.state_dict().items())


def test_weights_that_are_not_finite_are_not_exported(chat_folder: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(chat_folder)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = torch.nan
    model.save_pretrained(chat_folder)
    with pytest.raises(BadInputError, match=r"not finite .*lm_head.weight"):
        export(str(chat_folder), tmp_path / "out", "float32", "5GB")
    assert not (tmp_path / "out").exists()


def test_a_prompt_template_can_be_written_into_a_model_without_one(model_folder: Path, tmp_path: Path) -> None:
    export(str(model_folder), tmp_path / "out", "float32", "5GB", prompt="kullm")
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == TEMPLATES["kullm"].chat_template()


def test_nothing_is_overwritten(chat_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(BadInputError, match="is not overwritten"):
        export(str(chat_folder), tmp_path / "there", "float32", "5GB")
    with pytest.raises(BadInputError, match="is not overwritten"):
        export_gguf(chat_folder, tmp_path / "there", "float32", None)


def test_two_exports_never_write_one_folder_and_a_failed_one_leaves_nothing(
    chat_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk(_: object, folder: Path, **__: object) -> None:
        folder.mkdir()
        with pytest.raises(RunFolderError, match="another crosstune process writes"):
            export(str(chat_folder), tmp_path / "out", "float32", "5GB")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crosstune.serve.export.save_whole", fill_disk)
    with pytest.raises(OSError, match="No space"):
        export(str(chat_folder), tmp_path / "out", "float32", "5GB")
    assert not list(tmp_path.glob("*out*"))


def test_gguf_says_what_is_missing(chat_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"git clone https://github.com/ggml-org/llama\.cpp"):
        export_gguf(chat_folder, tmp_path / "model.gguf", "float16", None)


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program with the converter's arguments, which writes down what it was asked, or fails when told to."""
    gguf = types.ModuleType("gguf")
    gguf.__spec__ = types.SimpleNamespace(name="gguf")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "gguf", gguf)
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text(
        "import pathlib, sys\n"
        "model, _, out, _, kind = sys.argv[1:]\n"
        "if 'broken' in model: sys.exit('Model architecture not supported')\n"
        "pathlib.Path(out).write_text(f'{model} {kind}')\n"
    )
    return script


def slow_tokenizer(folder: Path, texts: list[str]) -> None:
    """Put a SentencePiece model into a folder, and its pieces into tokenizer.json."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=400,
        byte_fallback=True,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    slow = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    content = read_json(folder / "tokenizer.json")
    content["model"]["vocab"] = {slow.id_to_piece(index): index for index in range(slow.get_piece_size())}
    write_json(folder / "tokenizer.json", content)


def test_gguf_is_not_made_where_the_order_of_the_merges_would_be_lost(
    converter: Path, chat_folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model.gguf"
    with pytest.raises(BadInputError, match=r"write_sentencepiece: true.*or serve the folder as it is"):
        export_gguf(chat_folder, target, "float16", converter)
    slow_tokenizer(chat_folder, SENTENCES)
    content = read_json(chat_folder / "tokenizer.json")
    content["model"]["vocab"]["새"] = len(content["model"]["vocab"])
    write_json(chat_folder / "tokenizer.json", content)
    with pytest.raises(BadInputError, match=r"holds 400 pieces that are not the 401 of tokenizer.json"):
        export_gguf(chat_folder, target, "float16", converter)
    assert not target.exists()


def test_gguf_is_not_made_where_the_branch_of_the_pre_tokenizer_would_be_lost(
    converter: Path, chat_folder: Path, tmp_path: Path
) -> None:
    content = read_json(chat_folder / "tokenizer.json")
    word, others = " ?" + word_of("\u0900-\u0963"), r"\p{L}+|\P{L}+"
    splits = [{"type": "Split", "pattern": {"Regex": regex}} for regex in (word, f"{word}|{others}")]
    settings = {"behavior": "Isolated", "invert": False}
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split | settings for split in splits]}
    write_json(chat_folder / "tokenizer.json", content)
    with pytest.raises(BadInputError, match=r"knows pre-tokenizers by name.*keep_words_whole.*vLLM or transformers"):
        export_gguf(chat_folder, tmp_path / "model.gguf", "float16", converter)


@pytest.mark.whole
def test_gguf_is_made_by_the_converter(converter: Path, chat_folder: Path, tmp_path: Path) -> None:
    slow_tokenizer(chat_folder, SENTENCES)
    export_gguf(chat_folder, tmp_path / "model.gguf", "float16", converter)
    assert (tmp_path / "model.gguf").read_text() == f"{chat_folder} f16"


@pytest.mark.whole
def test_the_converter_finds_the_pre_tokenizer_of_an_extended_tokenizer_by_its_base(
    converter: Path, tmp_path: Path
) -> None:
    converter.write_text(
        "import pathlib, sys\n"
        "class TextModel:\n"
        "    def get_vocab_base_pre(self, tokenizer):\n"
        "        return ' '.join(map(str, tokenizer.encode('가나 we')))\n"
        "def main():\n"
        "    model, _, out, _, kind = sys.argv[1:]\n"
        "    pathlib.Path(out).write_text(TextModel().get_vocab_base_pre('the extended one'))\n"
    )
    base = byte_level(SENTENCES, 300, ignore_merges=False)
    new = learn_new_pieces(base, ["가나 가나 가나"], LearnRequest("ko", 50, "seen"))
    extended = Extended(base.with_pieces(new.pieces, new.merges), [], dead_allowed=False)
    write_extended(tmp_path / "model", base, extended, {"eos_token": "<|end|>"}, Samples([], [], [], []))
    export_gguf(tmp_path / "model", tmp_path / "model.gguf", "float16", converter)
    (by_base,) = base.encode_lines(["가나 we"])
    assert (tmp_path / "model.gguf").read_text() == " ".join(map(str, by_base))
    assert extended.tokenizer.encode_lines(["가나 we"]) != [by_base]


@pytest.mark.whole
def test_a_model_that_the_converter_refuses_leaves_no_file(converter: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    with pytest.raises(BadInputError, match="architecture not supported"):
        export_gguf(tmp_path / "broken", tmp_path / "model.gguf", "bf16", converter)
    assert not [path for path in tmp_path.iterdir() if "gguf" in path.name and path != converter]


@pytest.mark.slow
def test_a_gguf_file_becomes_a_plain_model_folder(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", LlamaForCausalLM(llama_config()), "Q8_0")
    export(str(path), tmp_path / "plain", "float32", "5GB")
    loaded, original = load_model(str(tmp_path / "plain")), load_model(str(path))
    assert all(torch.equal(weights, original.state_dict()[name]) for name, weights in loaded.state_dict().items())
    tokenizer = load_tokenizer(str(tmp_path / "plain"))
    assert tokenizer.tokenize("a  1 the") == load_tokenizer(str(path)).tokenize("a  1 the")
    assert (tokenizer.eos_token, tokenizer.chat_template) == ("<|im_end|>", TEMPLATE)
