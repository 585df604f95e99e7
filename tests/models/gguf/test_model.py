"""Models in GGUF files: the very model that was written comes out, or a refusal that names what cannot be read."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from crosstune.errors import BadInputError
from crosstune.models.gguf.model import facts_of
from crosstune.models.load import check_model, load_config, load_model
from crosstune.models.process import prepare_libraries
from tests.models.gguf.files import PIECES, dequantized, llama_config, write_gguf

# Windows of five layers of six, their positions' base and the scale of scores are no settings of a file.
OF_GEMMA3 = {
    "num_hidden_layers": 7,
    "sliding_window": 8,
    "head_dim": 256,
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 50_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    },
}


def make(family: str, **settings: Any) -> PreTrainedModel:
    torch.manual_seed(1)
    shape = llama_config(**settings).to_dict()
    for unused in ("model_type", "architectures", "head_dim"):
        shape.pop(unused, None)
    model: PreTrainedModel = {
        "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**shape | OF_GEMMA3 | settings)),
        "llama": lambda: LlamaForCausalLM(llama_config(**settings)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**shape)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=128)),
    }[family]()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.ndim == 1:  # norms and biases start alike, so that one in another's place would not show
                weights.copy_(1 + 0.1 * torch.randn_like(weights) if "norm" in name else torch.randn_like(weights))
    return model.eval()


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(3, 40)[None]).logits


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("family", ["gemma3", "llama", "qwen2", "qwen3"])
def test_a_file_says_what_the_model_that_it_was_written_from_says(tmp_path: Path, family: str, tied: bool) -> None:
    model = make(family, tie_word_embeddings=tied)
    loaded = load_model(str(write_gguf(tmp_path / "tiny.gguf", model)))
    torch.testing.assert_close(logits(loaded), logits(model), rtol=1e-5, atol=1e-5)
    assert loaded.config.tie_word_embeddings == tied


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "Q5_0", "F16", "BF16"])
def test_quantized_weights_are_those_that_gguf_makes_of_them(tmp_path: Path, kind: str) -> None:
    model = make("llama")
    loaded = load_model(str(write_gguf(tmp_path / "tiny.gguf", model, kind)))
    for place in ("model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight"):
        wanted = dequantized(model.state_dict()[place], kind)
        assert torch.equal(loaded.state_dict()[place], wanted), place
    assert loaded.dtype == torch.float32 and all(weights.requires_grad for weights in loaded.parameters())


def test_a_loaded_file_is_saved_as_a_plain_model_folder(tmp_path: Path) -> None:
    loaded = load_model(str(write_gguf(tmp_path / "tiny.gguf", make("llama"), "Q8_0")))
    loaded.save_pretrained(tmp_path / "model")
    assert "quantization_config" not in (tmp_path / "model" / "config.json").read_text(encoding="utf-8")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert torch.equal(logits(again), logits(loaded))


def test_the_files_own_tokens_end_an_answer(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", make("llama"), tokenizer={"eos": 0, "eot": 2})
    model = load_model(str(path))
    assert model.config.eos_token_id == 0 and model.generation_config.eos_token_id == [0, 2]
    assert (
        load_config(str(write_gguf(tmp_path / "none.gguf", make("llama"), tokenizer={"eos": None}))).eos_token_id
        is None
    )


def test_facts_name_formats_tokens_and_template(tmp_path: Path) -> None:
    facts = facts_of(str(write_gguf(tmp_path / "tiny.gguf", make("llama"), "Q4_1")))
    assert facts["file"] == "tiny.gguf" and facts["formats"] == {"Q4_1": 15, "F32": 5}
    assert facts["special_tokens"] == {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "unknown_token": "<|endoftext|>",
    }
    assert facts["chat_template"] is True


def test_a_check_reads_no_weights(tmp_path: Path) -> None:
    model = check_model(str(write_gguf(tmp_path / "tiny.gguf", make("llama"))))
    assert {weights.device.type for weights in model.parameters()} == {"meta"}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a setting that transformers does not read": (
        {"settings": {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0}},
        r"llama.rope.scaling.type = 'yarn', llama.rope.scaling.factor = 4.0",
    ),
    "a setting of another value": ({"settings": {"llama.attention.key_length": 8}}, "attention.key_length = 8"),
    "a tensor that transformers would leave out": (
        {"tensors": {"rope_freqs.weight": np.ones(8, dtype=np.float32)}},
        r"1 not part of this architecture, as transformers has it: rope_freqs.weight",
    ),
    "a bias that the architecture has not": (
        {"tensors": {"blk.1.attn_q.bias": np.ones(64, dtype=np.float32)}},
        "blk.1.attn_q.bias",
    ),
    "a missing tensor": ({"tensors": {"blk.0.ffn_up.weight": None}}, "1 missing: blk.0.ffn_up.weight"),
    "a tensor of another shape": (
        {"tensors": {"blk.0.ffn_up.weight": np.ones((32, 64), dtype=np.float32)}},
        r"blk.0.ffn_up.weight \[32, 64\] instead of \[96, 64\]",
    ),
    "a part of a model": ({"settings": {"split.count": 3}}, "it is one of 3 parts. Join them"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_would_come_out_as_another_model_is_refused_by_name_before_weights_are_read(
    tmp_path: Path, case: str
) -> None:
    how, message = BAD[case]
    path = write_gguf(tmp_path / "tiny.gguf", make("llama"), **how)
    for use in (check_model, load_model):
        with pytest.raises(BadInputError, match=message):
            use(str(path))


def test_a_gemma_whose_attention_would_be_scaled_otherwise_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", make("gemma3", head_dim=32, query_pre_attn_scalar=32))
    with pytest.raises(BadInputError, match="its heads are 32 wide, and transformers would scale attention as for 256"):
        check_model(str(path))


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    model = make("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 5] = torch.nan
    path = write_gguf(tmp_path / "tiny.gguf", model, "F16")
    with pytest.raises(BadInputError, match=r"not finite.*model.layers.1.mlp.up_proj.weight"):
        load_model(str(path))


def test_an_architecture_that_is_not_read_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", make("llama"))
    path.write_bytes(path.read_bytes().replace(b"llama", b"mamba"))
    with pytest.raises(
        BadInputError, match=r"its architecture is 'mamba'; read from GGUF are gemma3, llama, qwen2, qwen3"
    ):
        check_model(str(path))


@pytest.mark.parametrize("kept", [4, 30, 400, 9_000, -1])
def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(tmp_path: Path, kept: int) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", make("llama"))
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept > 0 else len(content) + kept - 32])
    with pytest.raises(BadInputError, match="cut off or damaged"):
        check_model(str(path))


def test_a_file_that_is_no_gguf_file_says_what_it_begins_with(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(BadInputError, match="it starts with b'PK"):
        load_model(str(path))
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadInputError, match="Git LFS pointer"):
        load_model(str(path))


def test_no_bar_of_a_library_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    prepare_libraries()
    load_model(str(write_gguf(tmp_path / "tiny.gguf", make("llama"))))
    assert "de-quantizing" not in capfd.readouterr().err


def test_pieces_and_rows_are_as_many(tmp_path: Path) -> None:
    assert len(
        check_model(str(write_gguf(tmp_path / "tiny.gguf", make("llama")))).get_input_embeddings().weight
    ) == len(PIECES)


def test_a_long_vocabulary_is_passed_over_and_the_model_is_the_same(tmp_path: Path) -> None:
    many = [*PIECES, *(f"piece{index}" for index in range(5000))]
    model = make("qwen2", vocab_size=len(many))
    path = str(write_gguf(tmp_path / "tiny.gguf", model, tokenizer={"pieces": many}))
    torch.testing.assert_close(logits(load_model(path)), logits(model), rtol=1e-5, atol=1e-5)
    assert load_config(path).vocab_size == len(many)


@pytest.mark.slow
def test_the_names_of_tensors_are_made_once_and_texts_are_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    names, text = gguf.get_tensor_name_map, gguf.GGUFReader._get_str
    read: list[int] = []
    monkeypatch.setattr(gguf, "get_tensor_name_map", lambda *asked: made.append(1) or names(*asked))
    monkeypatch.setattr(gguf.GGUFReader, "_get_str", lambda self, at: read.append(at) or text(self, at))
    many = [*PIECES, *(f"piece{index}" for index in range(5000))]
    model = make("llama", vocab_size=len(many))
    load_model(str(write_gguf(tmp_path / "tiny.gguf", model, tokenizer={"pieces": many})))
    assert len(made) < 6 and len(read) < 1000
