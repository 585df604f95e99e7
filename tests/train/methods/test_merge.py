"""A chat vector is added, and what cannot be merged is told before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from crosstune.cli.inputs import check_inputs
from crosstune.errors import BadInputError, RecipeError
from crosstune.runs.files import read_json
from crosstune.train import stage as train_stage
from tests.learnt_tokenizers import sentencepiece_style
from tests.train.conftest import MakeRun, pairs, phase, scratch, weights

ROWS = ("model.embed_tokens.weight", "lm_head.weight")
CHAT = {"system": "chat", "minus": "base", "weight": 0.5}


def systems(merge: dict[str, Any], **ours: Any) -> dict[str, Any]:
    """The system that is merged stands first, so that the order is not that of the recipe."""
    return {
        "merged": {"start": "ours", "tokenizer": "extended", "merge": merge, **ours},
        "chat": {"start": "base", "tokenizer": "base", "phases": [phase("pairs", num_steps=1)]},
        "ours": {"start": "base", "tokenizer": "extended", "phases": [phase(num_steps=1)]},
        "base": scratch(phases=[phase(num_steps=1)]),
    }


@pytest.mark.whole
def test_a_chat_vector_is_added_to_all_weights_and_to_the_rows_that_all_three_have(make_run: MakeRun) -> None:
    recipe, run = make_run(systems({"add": CHAT}))
    order = recipe.systems_in_order
    assert order.index("merged") == 3 and order.index("base") == 0
    train_stage.run(recipe, run)
    base, chat, ours, merged = (weights(run, name) for name in ("base", "chat", "ours", "merged"))
    for name, weight in merged.items():
        old = len(base[name]) if name in ROWS else len(weight)
        expected = ours[name][:old] + 0.5 * (chat[name] - base[name])
        torch.testing.assert_close(weight[:old], expected, rtol=1e-6, atol=1e-7)
        assert torch.equal(weight[old:], ours[name][old:]) and (name not in ROWS or old < len(weight))
    facts = read_json(run.system("merged") / "system.json")["merge"]["add"]
    assert facts == {"system": "chat", "minus": "base", "weight": 0.5, "rows": 400, "of_rows": 420}


@pytest.mark.whole
def test_a_merged_system_is_made_again_when_one_that_it_was_merged_with_is_another(make_run: MakeRun) -> None:
    recipe, run = make_run(systems({"add": CHAT}))
    train_stage.run(recipe, run)
    before = weights(run, "merged")
    content = systems({"add": CHAT})
    content["chat"]["phases"][0]["learning_rate"] = 1e-3
    train_stage.run(make_run(content)[0], run)
    after = weights(run, "merged")
    assert not torch.equal(before["model.norm.weight"], after["model.norm.weight"])


def saved(folder: Path, tokenizer: PreTrainedTokenizerFast | None, num_rows: int, seed: int, **shape: Any) -> str:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, **shape}
    config = LlamaConfig(vocab_size=num_rows, bos_token_id=1, eos_token_id=2, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return str(folder)


def folders(starts: dict[str, str], merge: dict[str, Any]) -> dict[str, Any]:
    plain = {name: {"start": start, "tokenizer": "base"} for name, start in starts.items()}
    return {**plain, "merged": {"start": starts["base"], "tokenizer": "base", "merge": merge}}


def test_of_models_with_other_vocabularies_only_the_rows_of_shared_pieces_move(
    make_run: MakeRun, tmp_path: Path, base_tokenizer: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]
) -> None:
    # It has other pieces under the numbers of the base's, and some of the same under other numbers.
    other = sentencepiece_style([example.completion + example.prompt.lower()[::-1] for example in pairs()], 410)
    starts = {
        "base": saved(tmp_path / "b", base_tokenizer, 400, 1),
        "chat": saved(tmp_path / "c", other, 410, 2),
        "old": saved(tmp_path / "o", None, 400, 3),
    }
    recipe, run = make_run(folders(starts, {"add": {"system": "chat", "minus": "old"}}))
    train_stage.run(recipe, run)
    assert " ".join(capsys.readouterr().err.split()).count("but its own scores mean nothing") == 1
    base, chat, old = (load_file(Path(starts[name]) / "model.safetensors") for name in ("base", "chat", "old"))
    merged = weights(run, "merged")
    mine, theirs = base_tokenizer.get_vocab(), other.get_vocab()
    shared = [piece for piece in mine if piece in theirs]
    assert 259 < len(shared) < 400 and any(mine[piece] != theirs[piece] for piece in shared)
    for name in ROWS:
        expected = base[name].clone()
        for piece in shared:
            expected[mine[piece]] += chat[name][theirs[piece]] - old[name][mine[piece]]
        torch.testing.assert_close(merged[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("chat", "merge", "message"),
    [
        (
            {"num_hidden_layers": 1},
            {"add": {"system": "chat", "minus": "base"}},
            r"merge\.add\.system: models of different shapes cannot be merged: chat has no model\.layers\.1",
        ),
        (
            {"intermediate_size": 32},
            {"add": {"system": "base", "minus": "chat"}},
            r"merge\.add\.minus: .* chat has model\.layers\.0\.mlp\.gate_proj\.weight with shape \(32, 16\)",
        ),
        (
            {"tie_word_embeddings": True},
            {"add": {"system": "chat", "minus": "base"}},
            r"merge\.add\.system: .* chat has no lm_head\.weight",
        ),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_trained(
    make_run: MakeRun, tmp_path: Path, chat: dict[str, Any], merge: dict[str, Any], message: str
) -> None:
    starts = {"base": saved(tmp_path / "b", None, 400, 1), "chat": saved(tmp_path / "c", None, 400, 2, **chat)}
    recipe, _ = make_run(folders(starts, merge))
    with pytest.raises(BadInputError, match=message):
        check_inputs(recipe)


@pytest.mark.parametrize(
    ("merge", "message"),
    [
        ({"add": {"system": "chatt", "minus": "base"}}, r"merge\.add\.system: 'chatt' is not a system; there are base"),
        ({"add": {"system": "later", "minus": "base"}}, r"merge\.add\.system: 'later' needs 'merged' itself"),
        ({"add": {"system": "merged", "minus": "base"}}, r"merge\.add\.system: 'merged' needs 'merged' itself"),
        ({"add": {"system": "base", "minus": "base"}}, "'base' minus itself is nothing"),
        ({"add": {**CHAT, "weight": float("inf")}}, r"merge\.add\.weight: Input should be a finite number"),
        ({"add": {**CHAT, "weight": 0}}, r"merge\.add\.weight: Input should be greater than 0"),
        ({}, "`merge` needs `weight`, `add` or both"),
        ({"system": "base", "add": CHAT}, r"`merge\.system` is what is interpolated with: give its `weight`"),
    ],
)
def test_settings_that_name_nothing_or_each_other_are_refused(
    make_run: MakeRun, merge: dict[str, Any], message: str
) -> None:
    content = {**systems(merge), "later": {"start": "merged", "tokenizer": "extended"}}
    with pytest.raises(RecipeError, match=message):
        make_run(content)


def test_a_weight_that_makes_numbers_too_large_is_told(make_run: MakeRun, tmp_path: Path) -> None:
    starts = {name: saved(tmp_path / name, None, 400, seed) for seed, name in enumerate(("base", "chat"))}
    recipe, run = make_run(folders(starts, {"add": {"system": "chat", "minus": "base", "weight": 1e300}}))
    with pytest.raises(BadInputError, match=r"merge\.add: with weight 1e\+300, .* not finite: give a smaller weight"):
        train_stage.run(recipe, run)
