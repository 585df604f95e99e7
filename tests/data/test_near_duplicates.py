"""MinHash: pairs above the threshold are found, pairs far below are not, and it is the same each time."""

import random

import pytest

from crosstune.data import near_duplicates as module
from crosstune.data.near_duplicates import near_duplicates


def text(generator: random.Random, length: int = 300) -> str:
    return "".join(generator.choice("가나다라마바사아자차카타파하 ") for _ in range(length))


def similarity(left: str, right: str) -> float:
    grams = [{one.lower()[at : at + 5] for at in range(len(one) - 4)} for one in (left, right)]
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def changed(original: str, num_changes: int, generator: random.Random) -> str:
    letters = list(original)
    for place in generator.sample(range(len(letters)), num_changes):
        letters[place] = "힣"
    return "".join(letters)


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
def test_pairs_well_above_the_threshold_are_found_and_pairs_well_below_are_not(threshold: float) -> None:
    generator = random.Random(1)
    originals = [text(generator) for _ in range(60)]
    copies = [changed(original, generator.randrange(0, 30), generator) for original in originals]
    found = near_duplicates([*originals, *copies], threshold)
    assert not any(index < 60 for index in found)
    checked = 0
    for place, (original, copy) in enumerate(zip(originals, copies, strict=True)):
        value = similarity(original, copy)
        if abs(value - threshold) > 0.12:
            checked += 1
            assert (found.get(60 + place) == place) == (value > threshold), value
    assert checked > 20


def test_the_first_of_a_chain_is_kept_and_the_result_repeats() -> None:
    generator = random.Random(2)
    first = text(generator)
    chain = [first, changed(first, 1, generator), changed(first, 2, generator), text(generator)]
    assert near_duplicates(chain, 0.8) == {1: 0, 2: 0} == near_duplicates(chain, 0.8)


def test_short_and_equal_texts() -> None:
    assert near_duplicates(["네", "네", "아니", ""], 0.9) == {1: 0}
    assert near_duplicates([], 0.9) == {}


def test_how_texts_are_batched_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random.Random(3)
    texts = [text(generator, length) for length in (0, 1, 4, 5, 6, 40, 300, 300)]
    texts += [changed(texts[-1], 1, generator), "", texts[2].upper(), texts[3]]
    at_once = near_duplicates(texts, 0.8)
    assert at_once == {8: 7, 9: 0, 10: 2, 11: 3}
    monkeypatch.setattr(module, "BATCH_CHARACTERS", 0)
    assert near_duplicates(texts, 0.8) == at_once
