"""Output heads with a bias (Phi-2, GPT-J, CodeGen): it is extended, trained, merged and saved as the matrix is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
from transformers import AutoModelForCausalLM, CodeGenConfig, GPTJConfig, PhiConfig, PreTrainedConfig, PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.recipe import NewRows
from crosstune.train import stage as train_stage
from crosstune.train.methods.trainable import make_trainable
from crosstune.train.new_rows.rows import RowSource, extend_embeddings, output_bias
from tests.train.conftest import MakeRun, make_phase, phase

IDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2}
SHAPE: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
OLD: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "n_positions": 256}
CONFIGS = (
    PhiConfig(vocab_size=60, **SHAPE, **IDS),
    GPTJConfig(vocab_size=60, **OLD, **IDS),
    CodeGenConfig(vocab_size=60, **OLD, **IDS),
)
TOKENS = torch.arange(3, 20)[None]


def build(config: PreTrainedConfig) -> tuple[PreTrainedModel, torch.Tensor]:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()  # type: ignore[no-untyped-call]
    bias = bias_of(model)
    torch.nn.init.normal_(bias)
    return model, bias.detach().clone()


def bias_of(model: PreTrainedModel) -> torch.nn.Parameter:
    bias = output_bias(model)
    assert bias is not None
    return bias


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_a_new_piece_has_the_bias_of_what_it_starts_from_and_adapters_keep_it(config: PreTrainedConfig) -> None:
    model, old = build(config)
    sources = [RowSource("focus", (3, 4), (0.25, 0.75)), RowSource("padding")]
    extend_embeddings(model, 60, sources, NewRows(), seed=1)
    new = bias_of(model)
    assert torch.equal(new[:60], old)
    torch.testing.assert_close(new[60:].detach(), torch.stack([0.25 * old[3] + 0.75 * old[4], old.mean()]))
    lora = make_phase(method="lora", lora={"targets": "all-linear", "train_new_rows": True})
    with torch.no_grad():
        before = model(input_ids=TOKENS).logits
        adapted: Any = make_trainable(model, lora, 60, seed=1).model.eval()
        torch.testing.assert_close(adapted(input_ids=TOKENS).logits, before)
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(0.05)
        learnt = adapted(input_ids=TOKENS).logits
        assert float((learnt - before).abs().max()) > 0.1
        torch.testing.assert_close(adapted.merge_and_unload()(input_ids=TOKENS).logits, learnt)


def test_only_the_bias_of_new_pieces_moves_with_their_rows(make_run: MakeRun, tmp_path: Path) -> None:
    """Through a whole training: extension, a step of new rows, a step of all, a merge with the start, saving."""
    config = PhiConfig(vocab_size=400, **SHAPE, **IDS)
    model, old = build(config)
    model.save_pretrained(tmp_path / "phi")
    of_rows = phase(trains=["new_input_rows", "new_output_rows"], num_steps=2)
    ours = {"start": str(tmp_path / "phi"), "tokenizer": "extended", "phases": [of_rows]}
    merged = {"start": str(tmp_path / "phi"), "tokenizer": "extended", "phases": [phase(num_steps=2)]}
    recipe, run = make_run({"rows": ours, "merged": merged | {"merge": {"weight": 0.99999}}})
    train_stage.run(recipe, run)
    found = {name: AutoModelForCausalLM.from_pretrained(run.system(name) / "model") for name in ("rows", "merged")}
    bias = bias_of(found["rows"])
    assert torch.equal(bias[:400], old) and bias[400:].unique().numel() == 20
    # Nearly all of it is the start again.
    torch.testing.assert_close(bias_of(found["merged"])[:400].detach(), old)
    assert found["merged"].config.vocab_size == 420


def test_a_model_that_adapters_change_before_they_learn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_shift(self: Any, states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return torch.nn.functional.linear(states, self.base_layer.weight * 1.5)

    plain = TrainableTokensLayer.forward
    monkeypatch.setattr(
        TrainableTokensLayer,
        "forward",
        lambda self, states, *args, **named: (without_shift if states.is_floating_point() else plain)(
            self, states, *args, **named
        ),
    )
    model, _ = build(CONFIGS[0])
    extend_embeddings(model, 60, [RowSource("padding")], NewRows(), seed=1)
    lora = make_phase(method="lora", lora={"targets": "all-linear", "train_new_rows": True})
    with pytest.raises(BadInputError, match="adapters change PhiForCausalLM before any training"):
        make_trainable(model, lora, 60, seed=1)
