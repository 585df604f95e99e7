"""Tiny GGUF files as llama.cpp writes them: a model of transformers, and a byte-level tokenizer beside it."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaConfig, PreTrainedModel

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PIECES = [*SPECIAL, *sorted(ByteLevel.alphabet()), "th", "the", "Ġthe", "ĠĠ"]
MERGES = ["t h", "th e", "Ġ the", "Ġ Ġ"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_NAMES_OF_GEMMA3 = {
    **_NAMES,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def llama_config(**settings: Any) -> LlamaConfig:
    return LlamaConfig(
        **{
            "vocab_size": len(PIECES),
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "rope_parameters": {"rope_type": "default", "rope_theta": 50_000.0},
            "tie_word_embeddings": True,
            "bos_token_id": 1,
            "eos_token_id": 2,
            **settings,
        }
    )


def write_gguf(
    path: Path,
    model: PreTrainedModel,
    kind: str = "F32",
    settings: dict[str, Any] | None = None,
    tensors: dict[str, np.ndarray | None] | None = None,
    tokenizer: dict[str, Any] | None = None,
) -> Path:
    """Write a model; ``settings`` and ``tensors`` are added, or left out where None; so are those of the tokenizer."""
    config = model.config
    writer = gguf.GGUFWriter(path, config.model_type.removesuffix("_text"))
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_type("model")
    writer.add_name("Tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    parameters = config.rope_parameters
    writer.add_rope_freq_base(parameters.get("full_attention", parameters)["rope_theta"])
    if config.model_type == "llama":
        writer.add_rope_dimension_count(head_dim)
        writer.add_vocab_size(config.vocab_size)
    if config.model_type == "gemma3_text":
        writer.add_sliding_window(config.sliding_window)
    if config.model_type in ("gemma3_text", "qwen3"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    for key, value in (settings or {}).items():
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        add[type(value)](key, value)
    _add_tokenizer(writer, tokenizer or {})
    found: dict[str, np.ndarray | None] = {name: weights for name, weights in _tensors(model)}
    for name, weights in (found | (tensors or {})).items():
        if weights is not None:
            form = gguf.GGMLQuantizationType[kind if weights.ndim > 1 else "F32"]
            writer.add_tensor(name, gguf.quantize(weights, form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, other: dict[str, Any]) -> None:
    settings = {"model": "gpt2", "pre": "smollm", "eos": 2, "add_bos": False, "pieces": PIECES, **other}
    writer.add_tokenizer_model(settings["model"])
    if settings["pre"]:
        writer.add_tokenizer_pre(settings["pre"])
    writer.add_token_list(settings["pieces"])
    writer.add_token_types([3 if piece in SPECIAL else 1 for piece in settings["pieces"]])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    if settings["eos"] is not None:
        writer.add_eos_token_id(settings["eos"])
    writer.add_unk_token_id(0)
    if settings["add_bos"] is not None:
        writer.add_add_bos_token(settings["add_bos"])
    if settings.get("eot") is not None:
        writer.add_eot_token_id(settings["eot"])
    writer.add_chat_template(TEMPLATE)


def _tensors(model: PreTrainedModel) -> list[tuple[str, np.ndarray]]:
    config, found = model.config, []
    is_gemma = config.model_type == "gemma3_text"
    names = _NAMES_OF_GEMMA3 if is_gemma else _NAMES
    for name, weights in model.state_dict().items():
        if name.startswith("lm_head") and config.tie_word_embeddings:
            continue
        values, (place, _, suffix) = weights.float().numpy(), name.rpartition(".")
        if is_gemma and place.endswith("norm"):
            values = values + 1
        if place.startswith("model.layers."):
            _, _, number, inner = place.split(".", 3)
            place = f"blk.{number}.{names[inner]}"
            if config.model_type == "llama" and inner in ("self_attn.q_proj", "self_attn.k_proj"):
                heads = config.num_attention_heads if inner.endswith("q_proj") else config.num_key_value_heads
                values = _turned(values, heads)
        else:
            place = names[place]
        found.append((f"{place}.{suffix}", np.ascontiguousarray(values)))
    return found


def _turned(values: np.ndarray, num_heads: int) -> np.ndarray:
    """Order the rows of a projection as llama.cpp's rotary positions want them (convert_hf_to_gguf.py, permute)."""
    parted = values.reshape(num_heads, 2, values.shape[0] // num_heads // 2, *values.shape[1:])
    return parted.swapaxes(1, 2).reshape(values.shape)


def dequantized(weights: torch.Tensor, kind: str) -> torch.Tensor:
    form = gguf.GGMLQuantizationType[kind]
    return torch.from_numpy(gguf.dequantize(gguf.quantize(weights.numpy(), form), form))
