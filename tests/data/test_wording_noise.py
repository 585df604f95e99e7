"""Noise leaves the target language's name, changes the share that is asked for, and follows from its seed."""

import random

import pytest

from crosstune.data.wording_noise import WordingNoise
from crosstune.prompts.translation_instructions import TRANSLATION_INSTRUCTIONS

WORDS = ["beautiful", "write", "the"]
WORDING = "Translate the following sentences from English to Korean"


def changed(share: float, *wordings: str, name: str = "Korean", seed: int = 1, words: list[str] = WORDS) -> list[str]:
    noise = WordingNoise(share, random.Random(seed))
    made = [noise.changed(wording, name, words) for wording in wordings]
    assert [*noise.changes] == [new != old for new, old in zip(made, wordings, strict=True)]
    return made


def test_the_name_of_the_target_language_stays_in_every_instruction() -> None:
    korean = [wording.format(source="영어", target="한국어") for wording in TRANSLATION_INSTRUCTIONS["ko"].train]
    for made, wording in zip(changed(1.0, *korean, name="한국어"), korean, strict=True):
        kept = [word for word in wording.split() if "한국어" in word]
        assert [word for word in made.split() if "한국어" in word] == kept


def test_a_name_of_several_words_stays_whole() -> None:
    wording = "Translate this into Haitian Creole, please."
    for seed in range(50):
        (made,) = changed(1.0, wording, name="Haitian Creole", seed=seed)
        assert "Haitian Creole," in made and "\0" not in made


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_so_large_a_share_of_the_instructions_is_changed(share: float) -> None:
    made = changed(share, *[WORDING] * 2000)
    # A change may leave an instruction as it was: a word in the place of itself, or none that the draw hit.
    assert 0.8 * share <= sum(wording != WORDING for wording in made) / 2000 <= share + 0.03


def test_words_are_dropped_added_replaced_misspelt_and_swapped() -> None:
    made = [wording.split() for wording in changed(1.0, *[WORDING] * 500)]
    known = {*WORDING.split(), *WORDS}
    assert any(len(words) < 6 for words in made) and any(len(words) > 8 for words in made)
    assert any("beautiful" in words for words in made)
    misspelt = {word for words in made for word in words if word not in known}
    assert misspelt and all(sorted(word) in [sorted(one) for one in known] for word in misspelt)
    assert any(sorted(words) == sorted(WORDING.split()) and words != WORDING.split() for words in made)


def test_the_same_seed_changes_the_same_words() -> None:
    assert changed(0.5, *[WORDING] * 20) == changed(0.5, *[WORDING] * 20) != changed(0.5, *[WORDING] * 20, seed=2)


def test_without_words_to_take_those_that_would_be_replaced_are_left_out() -> None:
    made = changed(1.0, *["Into Korean:"] * 50, words=[])
    assert {"Korean:", "Into Korean:"} < {*made} and not any("  " in wording for wording in made)


def test_other_tasks_lend_a_few_words_that_follow_one_another() -> None:
    noise = WordingNoise(1.0, random.Random(1))
    lent = "Which of these animals can fly?"
    made = [noise.changed(WORDING, "Korean", WORDS, [lent]).replace("?", " ?") for _ in range(500)]
    assert all("Korean" in one for one in made)
    for span in ("Which", "of these", "these animals can", "can fly ?"):
        assert any(span in one for one in made)
