"""Mixtures draw, combine and render by seed."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.data import mixture
from crosstune.data.rows import Row
from crosstune.errors import BadInputError, RecipeError
from crosstune.examples import Example
from crosstune.prompts import TEMPLATES, translation_instructions
from crosstune.recipe import MixturePart, Source

PAIRS = [Row(f"f:{number}", {"en": f"Word {number}.", "ko": f"낱말 {number}."}) for number in range(30)]
PARALLEL = Source(kind="parallel", paths=("f",))
BOTH: dict[str, Any] = {"directions": ("en-ko", "ko-en"), "instruction_languages": ("en", "ko")}


def render(part: MixturePart, source: Source = PARALLEL, rows: list[Row] = PAIRS, seed: int = 1) -> list[Example]:
    return list(mixture.render(part, source, rows, TEMPLATES["paper-v1"], seed))


def test_a_draw_ignores_the_order_of_the_file_and_a_smaller_one_is_part_of_it() -> None:
    ten = mixture.draw(PAIRS, 10, 1, "s")
    assert ten == mixture.draw(PAIRS[::-1], 10, 1, "s")
    assert mixture.draw(PAIRS, 4, 1, "s") == ten[:4]
    assert ten != mixture.draw(PAIRS, 10, 2, "s")
    assert mixture.draw(PAIRS, 30, 1, "s") == mixture.draw(PAIRS, None, 1, "s") == PAIRS


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
    dealt = [tuple(chosen) for chosen in mixture.deal(combinations, part, 29, random.Random(1))]
    assert all(len(set(chosen)) == per_pair for chosen in dealt)
    counts = Counter(combination for chosen in dealt for combination in chosen)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({frozenset(chosen) for chosen in dealt}) > 2


def test_more_combinations_than_there_are_are_refused() -> None:
    part = MixturePart(source="s", directions=("en-ko",), instruction_languages=("en", "ko"), combinations_per_pair=3)
    with pytest.raises(RecipeError, match=r"combinations_per_pair: 3, but 1 directions x 2 .* are 2. Give 1 to 2"):
        render(part)


def test_wordings_are_used_equally_often() -> None:
    part = MixturePart(source="s", directions=("en-ko",), instruction_languages=("ko",), wordings="train")
    wordings = translation_instructions("en-ko", "ko", "train")
    used = Counter(example.prompt.split("\n")[1] for example in render(part))
    assert set(used) == set(wordings)
    assert max(used.values()) - min(used.values()) <= 1


def test_the_same_seed_gives_the_same_examples_and_another_seed_others() -> None:
    part = MixturePart(source="s", combinations_per_pair=1, wordings="train", **BOTH)
    assert render(part) == render(part)
    assert render(part) != render(part, seed=2)


def test_repeats_render_each_row_again() -> None:
    part = MixturePart(source="s", repeats=3, directions=("en-ko",), instruction_languages=("en",))
    assert set(Counter(example.origin for example in render(part)).values()) == {3}


def weigh(*parts: tuple[float | None, int, int], seed: int = 1) -> list[list[Example]]:
    """Weigh parts of (weight, repeats, rows)."""
    settings = [MixturePart(source=f"s{i}", weight=weight, repeats=r) for i, (weight, r, _) in enumerate(parts)]
    rendered = [
        [Example("", str(row), "ko", part.source, str(row)) for row in range(num_rows)] * part.repeats
        for part, (_, _, num_rows) in zip(settings, parts, strict=True)
    ]
    return mixture.weighed(settings, rendered, seed)


def test_weights_give_the_shares_and_the_scarcest_part_is_used_up() -> None:
    assert [len(part) for part in weigh((2, 1, 1000), (1, 1, 150), (1, 1, 400))] == [300, 150, 150]
    assert [len(part) for part in weigh((0.5, 1, 1000), (0.5, 3, 150))] == [450, 450]
    assert [len(part) for part in weigh((None, 1, 10), (None, 2, 5))] == [10, 10]


def test_up_sampling_by_weight_takes_whole_repeats_and_a_draw_of_one_more() -> None:
    _, more = weigh((1, 1, 25), (1, 4, 10))
    counts = Counter(example.origin for example in more)
    assert len(more) == 25 and set(counts.values()) == {2, 3}
    assert weigh((1, 1, 25), (1, 4, 10)) == weigh((1, 1, 25), (1, 4, 10)) != weigh((1, 1, 25), (1, 4, 10), seed=2)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(1, 4), st.integers(1, 50)), min_size=1, max_size=4))
def test_any_weights_hold_to_half_an_example(parts: list[tuple[float, int, int]]) -> None:
    chosen = weigh(*parts)
    scale = min(repeats * rows / weight for weight, repeats, rows in parts)
    for (weight, _, rows), examples in zip(parts, chosen, strict=True):
        assert abs(len(examples) - scale * weight) <= 0.5 + 1e-6
        counts = Counter(example.origin for example in examples)
        assert max(counts.values(), default=0) - (min(counts.values()) if len(counts) == rows else 0) <= 1


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"'s1' should make up a share of weight 1\.0, but no row of it is left"):
        weigh((1, 1, 10), (1, 1, 0))


def test_plain_text_has_no_prompt_and_no_prefix() -> None:
    rows = [Row("f:1", {"text": "긴 글.\n둘째 줄."})]
    source = Source(kind="text", paths=("f",), language="ko")
    assert render(MixturePart(source="s"), source, rows) == [Example("", "긴 글.\n둘째 줄.", "ko", "s", "f:1")]
    part = MixturePart(source="s", as_text="en")
    assert render(part, rows=mixture.as_text(PAIRS, "en"))[0] == Example("", "Word 0.", "en", "s", "f:0")


def test_instructions_keep_braces_and_their_language() -> None:
    rows = [Row("f:1", {"instruction": "{input}을 고쳐라", "input": "{instruction}", "output": "{}"})]
    source = Source(kind="instructions", paths=("f",), language="ko")
    assert render(MixturePart(source="s"), source, rows) == [
        Example("### Instruction:\n{input}을 고쳐라\n{instruction}\n### Response:", "\n{}", "ko", "s", "f:1")
    ]


def test_the_final_order_is_a_seeded_permutation() -> None:
    examples = render(MixturePart(source="s", directions=("en-ko",), instruction_languages=("en",)))
    once = mixture.shuffled(examples, 1)
    assert once == mixture.shuffled(examples, 1) and once != examples
    assert sorted(once, key=lambda example: example.origin) == sorted(examples, key=lambda example: example.origin)
