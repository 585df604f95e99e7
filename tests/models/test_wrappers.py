"""Models for text and pictures: the text model is taken out, changed, and put back where the whole loads it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMultimodalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from crosstune.errors import BadInputError
from crosstune.models.load import check_model, load_model
from crosstune.models.wrappers import save_whole

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 120,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
LINEAR = {f"linear_{name}": 8 for name in ("key_head_dim", "value_head_dim")}
LINEAR |= {f"linear_num_{name}_heads": 2 for name in ("key", "value")}
WRAPPERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gemma3": ({}, VISION),
    "mistral3": ({"model_type": "mistral"}, {**VISION, "model_type": "pixtral", "head_dim": 16}),
    "qwen3_5": (
        {**LINEAR, "layer_types": ["linear_attention", "full_attention"]},
        {"depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32},
    ),
    # Whole with its head inside: its text model is no part of a text model.
    "llama4": (
        {"num_local_experts": 2, "intermediate_size_mlp": 64, "attn_temperature_tuning": False},
        {**VISION, "vision_output_dim": 64, "projector_input_dim": 64, "projector_output_dim": 64},
    ),
    "llava": (
        {"model_type": "llama"},
        {**VISION, "model_type": "clip_vision_model", "projection_dim": 16},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(WRAPPERS))
def test_a_text_model_is_taken_out_extended_and_put_back(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    text, vision = WRAPPERS[kind]
    config = CONFIG_MAPPING[kind](text_config={**TEXT, **text}, vision_config=vision)
    whole = AutoModelForMultimodalLM.from_config(config).eval()  # type: ignore[no-untyped-call]
    whole.save_pretrained(tmp_path / "whole")
    (tmp_path / "whole" / "preprocessor_config.json").write_text('{"do_resize": true}')
    tokens = torch.tensor([[1, 5, 7, 9, 11, 30]])
    with torch.no_grad():
        wanted = whole(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
        taken = load_model(str(tmp_path / "whole"))
        assert torch.equal(taken(input_ids=tokens).logits, wanted)
        of_text = sum(weight.numel() for weight in taken.parameters())
        assert of_text < sum(weight.numel() for weight in whole.parameters())
        assert sum(weight.numel() for weight in check_model(str(tmp_path / "whole")).parameters()) == of_text
        taken.resize_token_embeddings(128, mean_resizing=False)
        for weight in taken.parameters():
            weight.add_(0.01)
        wanted = taken(input_ids=tokens).logits
    save_whole(taken, tmp_path / "back")
    assert str(tmp_path) not in (tmp_path / "back" / "config.json").read_text()
    back, info = AutoModelForMultimodalLM.from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    with torch.no_grad():
        assert torch.equal(back.eval()(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits, wanted)
        assert torch.equal(load_model(str(tmp_path / "back"))(input_ids=tokens).logits, wanted)
    others = {name: weight for name, weight in whole.named_parameters() if "vision" in name or "visual" in name}
    assert others and all(torch.equal(weight, back.get_parameter(name)) for name, weight in others.items())
    assert (tmp_path / "back" / "preprocessor_config.json").read_text() == '{"do_resize": true}'


@pytest.mark.slow
def test_a_whole_that_says_something_else_than_its_text_model_is_refused(tmp_path: Path) -> None:
    # Cohere 2 scales its logits, and transformers' model around it does not.
    vision = {**VISION, "model_type": "siglip_vision_model"}
    text = {**TEXT, "model_type": "cohere2", "logit_scale": 0.25}
    config = CONFIG_MAPPING["aya_vision"](text_config=text, vision_config=vision)
    AutoModelForMultimodalLM.from_config(config).save_pretrained(tmp_path)  # type: ignore[no-untyped-call]
    with pytest.raises(BadInputError, match=r"AyaVision.* whose logits are not those of its text model: .* differ by"):
        load_model(str(tmp_path))
