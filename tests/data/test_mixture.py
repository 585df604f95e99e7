"""Mixtures draw, combine and render by seed."""

import random
from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.data import mixture
from crosstune.data.external_shuffle import mixed
from crosstune.data.rows import Row
from crosstune.errors import BadInputError, RecipeError
from crosstune.prompts.examples import Example
from crosstune.prompts.templates import TEMPLATES, translation_instructions
from crosstune.recipe import MixturePart, Source

PAIRS = [Row(f"f:{number}", {"en": f"Word {number}.", "ko": f"낱말 {number}."}) for number in range(30)]
PARALLEL = Source(kind="parallel", paths=("f",))
BOTH: dict[str, Any] = {"directions": ("en-ko", "ko-en"), "instruction_languages": ("en", "ko")}


def render(part: MixturePart, source: Source = PARALLEL, rows: list[Row] = PAIRS, seed: int = 1) -> list[Example]:
    renderer = mixture.Renderer(part, source, TEMPLATES["paper-v1"], seed)
    made = [list(renderer.render(row.origin, row.texts)) for row in rows]
    assert {len(examples) for examples in made} == {renderer.examples_per_row}
    return [example for examples in made for example in examples]


def test_a_draw_ignores_the_order_of_the_file_and_a_smaller_one_is_part_of_it() -> None:
    keys = np.random.default_rng(1).integers(2**63, size=30).astype(np.uint64)
    ten = set(keys[mixture.draw(keys, 10, 1, "s")])
    assert len(ten) == 10 and ten == set(keys[::-1][mixture.draw(keys[::-1], 10, 1, "s")])
    assert set(keys[mixture.draw(keys, 4, 1, "s")]) < ten
    assert ten != set(keys[mixture.draw(keys, 10, 2, "s")]) and ten != set(keys[mixture.draw(keys, 10, 1, "t")])
    assert list(mixture.draw(keys, 30, 1, "s")) == list(mixture.draw(keys, None, 1, "s")) == list(range(30))


def test_the_paper_s_part_asks_in_english_for_korean() -> None:
    part = MixturePart(source="s", directions=("en-ko",), instruction_languages=("en",))
    assert render(part)[0] == Example(
        "### Instruction:\nTranslate the following sentences from English to Korean\nWord 0.\n### Response:",
        "\n낱말 0.",
        "ko",
        "s",
        "f:0",
    )


def test_without_a_limit_every_combination_is_used() -> None:
    examples = render(MixturePart(source="s", **BOTH))
    assert len(examples) == 120
    assert Counter(example.language for example in examples) == {"ko": 60, "en": 60}


@pytest.mark.parametrize("per_pair", [1, 2, 3])
def test_combinations_are_balanced_and_distinct_within_a_pair(per_pair: int) -> None:
    part = MixturePart(source="s", combinations_per_pair=per_pair, **BOTH)
    combinations = [(direction, asked) for direction in part.directions for asked in part.instruction_languages]
    dealt = [tuple(chosen) for chosen in islice(mixture.deal(combinations, part, random.Random(1)), 29)]
    assert all(len(set(chosen)) == per_pair for chosen in dealt)
    counts = Counter(combination for chosen in dealt for combination in chosen)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({frozenset(chosen) for chosen in dealt}) > 2


def test_more_combinations_than_there_are_are_refused() -> None:
    part = MixturePart(source="s", directions=("en-ko",), instruction_languages=("en", "ko"), combinations_per_pair=3)
    with pytest.raises(RecipeError, match=r"combinations_per_pair: 3, but 1 directions x 2 .* are 2. Give 1 to 2"):
        render(part)


def test_wordings_are_used_equally_often() -> None:
    part = MixturePart(
        source="s", directions=("en-ko",), instruction_languages=("ko",), wordings="train", num_wordings=8
    )
    wordings = translation_instructions("en-ko", "ko", "train")[:8]
    used = Counter(example.prompt.split("\n")[1] for example in render(part))
    assert set(used) == set(wordings)
    assert max(used.values()) - min(used.values()) <= 1


def test_fewer_wordings_are_the_banks_first_and_more_than_it_has_are_refused() -> None:
    part = MixturePart(
        source="s", directions=("en-ko",), instruction_languages=("ko",), wordings="train", num_wordings=3
    )
    used = {example.prompt.split("\n")[1] for example in render(part)}
    assert used == set(translation_instructions("en-ko", "ko", "train")[:3])
    with pytest.raises(RecipeError, match="num_wordings: 401, but there are 400 to train on in language 'ko'"):
        render(part.model_copy(update={"num_wordings": 401}))
    with pytest.raises(ValueError, match="needs `wordings: train`"):
        MixturePart(source="s", directions=("en-ko",), instruction_languages=("ko",), num_wordings=3)


def test_the_same_seed_gives_the_same_examples_and_another_seed_others() -> None:
    part = MixturePart(source="s", combinations_per_pair=1, wordings="train", **BOTH)
    assert render(part) == render(part)
    assert render(part) != render(part, seed=2)


def test_noise_changes_a_share_of_the_instructions_and_nothing_else() -> None:
    part = MixturePart(source="s", wordings="train", num_wordings=8, **BOTH)
    plain, noisy = render(part), render(part.model_copy(update={"wording_noise": 0.5}))
    changed = [old.prompt != new.prompt for old, new in zip(plain, noisy, strict=True)]
    assert 30 <= sum(changed) <= 65
    for old, new in zip(plain, noisy, strict=True):
        assert (old.completion, old.origin, old.language) == (new.completion, new.origin, new.language)
        assert old.prompt.split("\n")[2:] == new.prompt.split("\n")[2:]
    assert noisy == render(part.model_copy(update={"wording_noise": 0.5}))
    with pytest.raises(ValueError, match="`wording_noise`: only for translation instructions"):
        MixturePart(source="s", wording_noise=0.5)


def test_noise_takes_words_of_all_training_wordings_however_few_are_asked_in() -> None:
    part = MixturePart(source="s", wordings="train", num_wordings=1, wording_noise=1.0, **BOTH)
    words = {word for example in render(part) for word in example.prompt.split("\n")[1].split()}
    first = {word for wording in translation_instructions("en-ko", "en", "train")[:8] for word in wording.split()}
    bank = {word for wording in translation_instructions("en-ko", "en", "train") for word in wording.split()}
    assert len(words & bank - first) > 20


def test_words_for_noise_hold_no_name_of_a_language() -> None:
    names = mixture.names_of(("en-ko", "ko"))
    assert names == ("영어", "한국어")
    assert mixture.words_of(["영어에서 한국어로: 번역하세요", "번역하세요 글을"], names) == ["글을", "번역하세요"]


def weigh(*parts: tuple[float | None, int, int], seed: int = 1) -> list[Counter[int]]:
    """Weigh parts of (weight, repeats, rows); return how often each row is there."""
    settings = [MixturePart(source=f"s{i}", weight=weight, repeats=r) for i, (weight, r, _) in enumerate(parts)]
    chosen = []
    wanted = mixture.weighed(settings, [repeats * num_rows for _, repeats, num_rows in parts])
    for part, number, (_, repeats, num_rows) in zip(settings, wanted, parts, strict=True):
        rows = np.tile(np.arange(num_rows, dtype=np.uint64), repeats)
        copies = np.repeat(np.arange(repeats, dtype=np.int32), num_rows)
        is_taken = mixture.taken(copies, mixed(rows, seed), number, part)
        assert is_taken.sum() == number
        chosen.append(Counter(rows[is_taken].tolist()))
    return chosen


def test_weights_give_the_shares_and_the_scarcest_part_is_used_up() -> None:
    assert [part.total() for part in weigh((2, 1, 1000), (1, 1, 150), (1, 1, 400))] == [300, 150, 150]
    assert [part.total() for part in weigh((0.5, 1, 1000), (0.5, 3, 150))] == [450, 450]
    assert [part.total() for part in weigh((None, 1, 10), (None, 2, 5))] == [10, 10]


def test_up_sampling_by_weight_takes_whole_repeats_and_a_draw_of_one_more() -> None:
    _, more = weigh((1, 1, 25), (1, 4, 10))
    assert more.total() == 25 and set(more.values()) == {2, 3}
    assert weigh((1, 1, 25), (1, 4, 10)) == weigh((1, 1, 25), (1, 4, 10)) != weigh((1, 1, 25), (1, 4, 10), seed=2)


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(1, 4), st.integers(1, 50)), min_size=1, max_size=4))
def test_any_weights_hold_to_half_an_example(parts: list[tuple[float, int, int]]) -> None:
    scale = min(repeats * rows / weight for weight, repeats, rows in parts)
    for (weight, _, rows), counts in zip(parts, weigh(*parts), strict=True):
        assert abs(counts.total() - scale * weight) <= 0.5 + 1e-6
        assert max(counts.values(), default=0) - (min(counts.values()) if len(counts) == rows else 0) <= 1


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(
        BadInputError, match=r"'s1' should make up a share of weight 1\.0, but none of its rows is left"
    ):
        weigh((1, 1, 10), (1, 1, 0))


def test_plain_text_has_no_prompt_and_no_prefix() -> None:
    rows = [Row("f:1", {"text": "긴 글.\n둘째 줄."})]
    source = Source(kind="text", paths=("f",), language="ko")
    assert render(MixturePart(source="s"), source, rows) == [Example("", "긴 글.\n둘째 줄.", "ko", "s", "f:1")]
    rows = [Row("f:0", {"text": "Word 0."})]
    assert render(MixturePart(source="s", as_text="en"), rows=rows) == [Example("", "Word 0.", "en", "s", "f:0")]


def test_instructions_keep_braces_and_their_language() -> None:
    rows = [Row("f:1", {"instruction": "{input}을 고쳐라", "input": "{instruction}", "output": "{}"})]
    source = Source(kind="instructions", paths=("f",), language="ko")
    assert render(MixturePart(source="s"), source, rows) == [
        Example("### Instruction:\n{input}을 고쳐라\n{instruction}\n### Response:", "\n{}", "ko", "s", "f:1")
    ]
