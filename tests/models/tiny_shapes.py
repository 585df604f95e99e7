"""The shapes of tiny models, one for each architecture of the matrix."""

from typing import Any

SIZE, _WINDOW = 97, 12
SHAPE: dict[str, Any] = {
    **{"vocab_size": SIZE, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim"), 32),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "moe_intermediate_size"), 24),
    **dict.fromkeys(("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"), 24),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"), 4),
    **{"num_key_value_heads": 2, "head_dim": 8, "rotary_dim": 8},
    **dict.fromkeys(("n_ctx", "n_positions", "max_position_embeddings", "max_seq_len"), 256),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **{"num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
    **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
    **{"sliding_window": _WINDOW, "attention_chunk_size": _WINDOW},
}
_MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8}
_DELTA = {
    **{"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
    "layer_types": ["linear_attention", "full_attention"],
}
_SLIDING = {"layer_types": ["sliding_attention", "full_attention"]}
# Sparse attention that chooses a few tokens.
_INDEX = {"index_head_dim": 8, "index_n_heads": 2, "index_topk": 6}
_INKLING = {
    **{"swa_num_attention_heads": 4, "swa_num_key_value_heads": 2, "swa_head_dim": 8, "sliding_window_size": _WINDOW}
}
# What the shape above lacks.
OTHERS: dict[str, dict[str, Any]] = {
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "cohere2": _SLIDING,
    "deepseek_v2": {"head_dim": 8, "qk_nope_head_dim": 8},
    "exaone4": _SLIDING,
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 64},
    "gemma2": _SLIDING,
    "gemma3_text": _SLIDING,
    "gemma3n_text": {
        **{"num_hidden_layers": 4, "num_kv_shared_layers": 2, "vocab_size_per_layer_input": SIZE},
        **{"hidden_size_per_layer_input": 8, "laurel_rank": 4, "activation_sparsity_pattern": [0.0] * 4},
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "gemma4_text": {
        **{"num_hidden_layers": 2, "num_kv_shared_layers": 0, "vocab_size_per_layer_input": SIZE},
        **{"hidden_size_per_layer_input": 8, "global_head_dim": 8, **_SLIDING},
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": _WINDOW},
    "gpt_oss": _SLIDING,
    "granitemoehybrid": {**_MAMBA, "layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "mamba_dt_rank": 4},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "lfm3": {"layer_types": ["conv", "full_attention"]},
    "llama4_text": {"interleave_moe_layer_step": 2, "no_rope_layers": [1, 0], "floor_scale": 16},
    "mamba2": {"num_heads": 8, "head_dim": 8, "expand": 2, "state_size": 8, "n_groups": 1, "chunk_size": 8},
    "nemotron_h": {"mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1, "chunk_size": 8},
    "olmo3": _SLIDING,
    "olmo_hybrid": _DELTA,
    "qwen3_5_moe_text": _DELTA,
    "qwen3_5_text": _DELTA,
    "qwen3_next": _DELTA,
    "recurrent_gemma": {"block_types": ["recurrent", "attention"], "attention_window_size": _WINDOW},
    "aria_text": {"moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 1},
    "axk2": _INDEX,
    "bailing_hybrid": {"layer_types": ["linear_attention", "full_attention"]},
    "cohere_compass_text": {
        **_SLIDING,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            "full_attention": None,
        },
    },
    "cpmant": {"dim_head": 8, "dim_ff": 48},
    "ctrl": {"dff": 48},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
        "ffn_config": {"hidden_size": 32, "ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v32": _INDEX,
    "deepseek_v4": {
        **_INDEX,
        **{"num_key_value_heads": 1, "o_groups": 2, "o_lora_rank": 8, "hc_mult": 2},
        "layer_types": ["sliding_attention", "compressed_sparse_attention"],
    },
    "doge": {"keep_window_size": _WINDOW},
    "dots3_note_text": {**_INDEX, "shared_experts_intermediate_size": 24},
    "flint": _SLIDING,
    "gemma4_unified_text": {"num_kv_shared_layers": 0, "global_head_dim": 8, **_SLIDING},
    "glm_moe_dsa": _INDEX,
    "granitemoe_swa": {**_SLIDING, "layer_rope_theta": [1e4, 1e4]},
    "granitemoeshared": {"shared_intermediate_size": 24},
    "hy_v4": _INDEX,
    "kimi_linear": {
        **{"linear_head_dim": 8, "linear_num_heads": 2, "mlp_layer_types": ["dense", "sparse"]},
        "layer_types": ["linear_attention", "full_attention"],
    },
    "longcat_flash": {"ffn_hidden_size": 24, "expert_ffn_hidden_size": 16, "zero_expert_num": 2, "moe_topk": 2},
    "inkling2_text": {**_INKLING, "unpadded_vocab_size": SIZE, "n_layers_per_attn_res_block": 1},
    "inkling_text": _INKLING,
    "kolibri1": _SLIDING,
    "laguna": _SLIDING,
    "mellum": _SLIDING,
    "mimo_v2_flash": _SLIDING,
    "minimax_m3_vl_text": {
        **{"dense_intermediate_size": 24, "shared_intermediate_size": 24, "index_n_heads": 2, "index_head_dim": 8},
        **{"index_block_size": 4, "index_topk_blocks": 2, "layer_types": ["full_attention", "minimax_m3_sparse"]},
    },
    "qwen4_exp_text": {
        **_DELTA,
        **{"ngram_vocab_size_base": 64, "heads_per_ngram": 2, "make_ngram_vocab_size_divisible_by": 8},
        **{"hc_lowrank": 8, "ple_embed_dim": 8, "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8},
        **{"indexer_budget": 8, "indexer_compress_ratio": 2},
    },
    "xlstm": {"hidden_size": 64},
    "zamba": {
        **{"num_hidden_layers": 4, "attention_hidden_size": 64, "attention_head_dim": 16, "num_key_value_heads": 4},
        **{"mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False},
        **{"layers_block_type": ["mamba", "hybrid"] * 2, "attn_layer_period": 2, "attn_layer_offset": 1},
    },
    "zamba2": {
        **{"num_hidden_layers": 4, "attention_hidden_size": 64, "attention_head_dim": 16, "num_key_value_heads": 4},
        **{"layers_block_type": ["mamba", "hybrid"] * 2, "use_mem_rope": True, "num_mem_blocks": 1, "adapter_rank": 4},
        **{"mamba_d_state": 8, "n_mamba_heads": 4, "mamba_headdim": 16, "mamba_ngroups": 1, "chunk_size": 8},
        "use_mamba_kernels": False,
    },
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 16},
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama (3.x rope)": (
        "llama",
        {
            "rope_parameters": {
                **{"rope_type": "llama3", "rope_theta": 1e4, "factor": 4.0, "low_freq_factor": 1.0},
                **{"high_freq_factor": 4.0, "original_max_position_embeddings": 16},
            }
        },
    ),
    "mistral (no window)": ("mistral", {"sliding_window": None}),
    "llama4_text (as sharp everywhere)": (
        "llama4_text",
        {"interleave_moe_layer_step": 2, "no_rope_layers": [1, 0], "attn_temperature_tuning": False},
    ),
    "bert (as a decoder)": ("bert", {"is_decoder": True}),
    "falcon (ALiBi)": ("falcon", {"alibi": True}),
    "gpt_neo (local only)": ("gpt_neo", {"attention_types": [[["local"], 2]], "window_size": 2}),
    "lfm2 (short convolutions)": ("lfm2", {"layer_types": ["conv", "full_attention"], "conv_L_cache": 2}),
    "qwen3 (windows in some layers)": (
        "qwen3",
        {"num_hidden_layers": 4, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "gpt_oss (window of 2)": (
        "gpt_oss",
        {"layer_types": ["sliding_attention", "full_attention"] * 2, "num_hidden_layers": 4, "sliding_window": 2},
    ),
    "gemma4_text (shared keys)": (
        "gemma4_text",
        {
            **{"num_hidden_layers": 4, "num_kv_shared_layers": 2, "vocab_size_per_layer_input": SIZE},
            **{"hidden_size_per_layer_input": 8, "global_head_dim": 16, "sliding_window": 3},
            "layer_types": ["sliding_attention", "full_attention"] * 2,
        },
    ),
}
