"""What new rows start from, by each method, and what the recipe must say for it."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from crosstune.errors import BadInputError, RecipeError
from crosstune.recipe import NewRows
from crosstune.runs.files import read_json
from crosstune.tokens.store import SCHEMA
from crosstune.train import stage as train_stage
from crosstune.train.new_rows.focus import similar_old_pieces, sparsemax
from crosstune.train.new_rows.initialization import find_sources
from crosstune.train.new_rows.rows import CONFIG_KEY, RowSource, Subwords, extend_embeddings, refuse_unextendable_kind
from crosstune.train.new_rows.word_alignment import learn_dictionary
from tests.train.conftest import MakeRun, phase, scratch

EOS = 2
# Only `weighted` asks it anything.
FAST = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE()))


def table(pairs: list[tuple[list[int], list[int]]], language: str = "ko") -> pa.Table:
    """Return the tokens of examples, each a prompt and a completion; a text has no prompt."""
    rows = [
        {
            "tokens": [*prompt, *completion, EOS],
            "num_prompt": len(prompt),
            "num_bytes": 3 * len(completion),
            "is_text": not prompt,
            "language": language,
            "source": "pairs",
            "origin": f"pairs:{index}",
        }
        for index, (prompt, completion) in enumerate(pairs)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def test_a_dictionary_finds_translations_behind_an_instruction() -> None:
    # 3 4 are an instruction; 10 is 50, 11 is 51, 12 13 together are 52, 14 is 53.
    words = [([10], 50), ([11], 51), ([12, 13], 52), ([14], 53)]
    pairs = [
        ([3, 4, *first, *second], [new_first, new_second])
        for first, new_first in words
        for second, new_second in words
        if new_first != new_second
    ]
    found = learn_dictionary(table(pairs * 3), old_size=50, language="ko")
    assert {new: set(weights) for new, weights in found.items()} == {50: {10}, 51: {11}, 52: {12, 13}, 53: {14}}
    assert found[52] == pytest.approx({12: 0.5, 13: 0.5})


def test_a_dictionary_is_learnt_from_translations_into_the_language_alone() -> None:
    pairs = [([3, 10], [50]), ([3, 11], [51]), ([3, 12], [52])]
    assert learn_dictionary(table(pairs, "en"), 50, "ko") == {}
    assert learn_dictionary(table([([], [10, 50])]), 50, "ko") == {}
    assert learn_dictionary(table(pairs), 50, "ko") == {50: {10: 1.0}, 51: {11: 1.0}, 52: {12: 1.0}}


def test_rows_are_aligned_by_the_translations_into_each_target_and_a_shared_piece_by_the_mean() -> None:
    korean = table([([3, 10], [50]), ([3, 11], [51]), ([3, 13], [53])], "ko")
    japanese = table([([4, 12], [52]), ([4, 14], [53]), ([4, 15], [54])], "ja")
    settings = NewRows(method="aligned", mixture="pairs")
    subwords = Subwords(50, 55, ((5,), (5,), (5,), (5,), (5,)))

    def found(tokens: pa.Table) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
        sources = find_sources(FAST, subwords, settings, tokens, ("ko", "ja"), seed=1)
        return [(source.ids, source.weights) for source in sources]

    rows = found(pa.concat_tables([korean, japanese]))
    assert rows == [((10,), (1.0,)), ((11,), (1.0,)), ((12,), (1.0,)), ((13, 14), (0.5, 0.5)), ((15,), (1.0,))]
    with pytest.raises(BadInputError, match=r"holds no translation into 'ja' with .* `directions` end in -ja"):
        found(korean)


def test_a_new_piece_is_similar_to_the_old_piece_that_stands_where_it_stands() -> None:
    # 50 stands between the same pieces as 10, and 51 as 11.
    generator = torch.Generator().manual_seed(0)
    texts: list[tuple[list[int], list[int]]] = []
    for _ in range(300):
        group = int(torch.randint(2, (1,), generator=generator))
        piece = [10 + group, 50 + group][int(torch.randint(2, (1,), generator=generator))]
        around = (torch.randint(5, (4,), generator=generator) + 20 + 10 * group).tolist()
        texts.append(([], [*around[:2], piece, *around[2:]]))
    found = similar_old_pieces(table(texts), old_size=50, new_size=53, seed=1)
    assert set(found) == {50, 51}
    for new, old in ((50, 10), (51, 11)):
        assert max(found[new], key=lambda piece: found[new][piece]) == old
        assert sum(found[new].values()) == pytest.approx(1)
    assert similar_old_pieces(table(texts), old_size=50, new_size=53, seed=1) == found


def test_sparsemax_is_the_nearest_point_of_the_simplex() -> None:
    assert sparsemax(torch.tensor([0.5, 0.5])).tolist() == [0.5, 0.5]
    assert sparsemax(torch.tensor([3.0, 0.0, 0.0])).tolist() == [1, 0, 0]
    torch.testing.assert_close(sparsemax(torch.tensor([[0.8, 0.6, -1.0]])), torch.tensor([[0.6, 0.4, 0.0]]))


def extended(make_run: MakeRun, **new_rows: Any) -> tuple[Mapping[str, torch.Tensor], Mapping[str, Any], int]:
    """Return the weights and facts of a model with new rows by some method, and the size of the old vocabulary."""
    ours = {"start": "base", "tokenizer": "extended", "new_rows": new_rows}
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)]), "ours": ours})
    train_stage.run(recipe, run)
    folder = run.system("ours") / "model"
    facts = read_json(folder / "config.json")[CONFIG_KEY]
    return AutoModelForCausalLM.from_pretrained(folder).state_dict(), facts, 400


def test_byte_pieces_weigh_one_byte_and_letters_theirs(make_run: MakeRun) -> None:
    found, facts, size = extended(make_run, method="weighted")
    matrix = found["model.embed_tokens.weight"]
    # The new piece of the conftest's subwords [3, 4]: both are bytes.
    torch.testing.assert_close(matrix[size], matrix[[3, 4]].mean(dim=0))
    assert facts["num_rows"] == {"padding": 1, "weighted": 19}


@pytest.mark.parametrize(("method", "mixture"), [("focus", "paper"), ("aligned", "pairs")])
def test_what_the_mixture_does_not_show_starts_from_its_subwords(make_run: MakeRun, method: str, mixture: str) -> None:
    found, facts, size = extended(make_run, method=method, mixture=mixture)
    assert (facts["method"], facts["mixture"], facts["seed"]) == (method, mixture, 3)
    assert sum(facts["num_rows"].values()) == len(found["lm_head.weight"]) - size
    assert facts["num_rows"][method] > 0 and facts["num_rows"]["padding"] == 1
    assert found["lm_head.weight"].isfinite().all()


def test_a_dictionary_needs_translations(make_run: MakeRun) -> None:
    with pytest.raises(BadInputError, match=r"systems\.ours\.new_rows\.mixture: 'korean' holds no translation into"):
        extended(make_run, method="aligned", mixture="korean")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"method": "focus"}, "`mixture` is only for method `focus` or `aligned`"),
        ({"mixture": "paper"}, "`mixture` is only for method `focus` or `aligned`"),
        ({"method": "random", "noise": 1.0}, "is noise already"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NewRows.model_validate_json(json.dumps(content))


def test_a_mixture_that_is_not_there_is_named(make_run: MakeRun) -> None:
    with pytest.raises(RecipeError, match=r"systems\.ours\.new_rows\.mixture: 'pears' is not a mixture"):
        extended(make_run, method="focus", mixture="pears")


def test_another_text_for_the_new_rows_trains_the_system_again(make_run: MakeRun) -> None:
    fingerprints = []
    for mixture in ("paper", "korean"):
        ours = {"start": "base", "tokenizer": "extended", "new_rows": {"method": "focus", "mixture": mixture}}
        recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)]), "ours": ours})
        train_stage.run(recipe, run)
        fingerprints.append(read_json(run.system("ours") / "system.json")["fingerprint"])
    assert fingerprints[0] != fingerprints[1]


@pytest.mark.parametrize(("before", "after"), [([2, 100], [2]), (100, None), (2, 2), ([100], None), (None, None)])
def test_a_number_that_was_no_piece_ends_no_answer_once_a_new_piece_has_it(before: Any, after: Any) -> None:
    config = LlamaConfig(vocab_size=128, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    model = LlamaForCausalLM(config)
    model.config.eos_token_id = model.generation_config.eos_token_id = before
    extend_embeddings(model, 97, [RowSource("random")] * 8, NewRows(), seed=0)
    assert (model.config.eos_token_id, model.generation_config.eos_token_id) == (after, after)


def test_a_model_that_looks_pieces_up_in_another_table_gets_no_new_ones() -> None:
    config = LlamaConfig(vocab_size=97, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    model = LlamaForCausalLM(config)
    experts_of_pieces = torch.zeros(97)

    def look_up(_module: Any, _given: Any, named: dict[str, Any]) -> None:
        experts_of_pieces[named["input_ids"]]

    model.model.register_forward_pre_hook(look_up, with_kwargs=True)
    with pytest.raises(BadInputError, match=r"new pieces cannot be given to LlamaForCausalLM: .*`tokenizer: base`"):
        extend_embeddings(model, 97, [RowSource("random")], NewRows(), seed=0)


def test_a_configuration_tells_whether_new_pieces_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    config = LlamaConfig(vocab_size=97, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    refuse_unextendable_kind(config)

    def forgets(*_: Any, **__: Any) -> None:
        raise AttributeError("no attribute 'embeddings'")

    monkeypatch.setattr(LlamaForCausalLM, "resize_token_embeddings", forgets)
    with pytest.raises(BadInputError, match=r"new pieces cannot be given.*AttributeError: no attribute 'embeddings'"):
        refuse_unextendable_kind(config)
