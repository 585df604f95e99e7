"""The bank's training wordings are many, diverse from the first on, and share no telling word with held-out ones."""

import re
from itertools import islice

import pytest

from crosstune.prompts.instruction_grammar import generated_instructions
from crosstune.prompts.translation_instructions import TRANSLATION_INSTRUCTIONS, plain_words

LANGUAGES = ("en", "ko")
# Words without a meaning of their own, which generated wordings may share with held-out ones.
FUNCTION_WORDS = {
    "en": {"as", "could", "for", "its", "only", "your"},
    "ko": {"{source}를", "번역"},
}


def words_of(wordings: tuple[str, ...]) -> set[str]:
    return {word for wording in wordings for word in re.findall(r"[^\s.,:;?!()\[\]]+", wording.casefold())}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_training_wording_says_what_a_held_out_one_says(language: str) -> None:
    train = [plain_words(wording) for wording in TRANSLATION_INSTRUCTIONS[language].train]
    assert len({*train}) == len(train) == 400
    assert not {*train} & {plain_words(wording) for wording in TRANSLATION_INSTRUCTIONS[language].held_out}


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_that_only_held_out_wordings_have_are_in_no_generated_one(language: str) -> None:
    written, generated = TRANSLATION_INSTRUCTIONS[language].train[:40], TRANSLATION_INSTRUCTIONS[language].train[40:]
    only_held_out = words_of(TRANSLATION_INSTRUCTIONS[language].held_out) - words_of(written) - FUNCTION_WORDS[language]
    assert len(only_held_out) > 15 and not only_held_out & words_of(generated)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_forty_written_wordings_come_first_and_each_says_the_target_language_once_or_twice(language: str) -> None:
    assert "{source}" in TRANSLATION_INSTRUCTIONS[language].train[0]
    assert tuple(islice(generated_instructions(language), 3)) == TRANSLATION_INSTRUCTIONS[language].train[40:43]
    assert {wording.count("{target}") for wording in TRANSLATION_INSTRUCTIONS[language].train} <= {1, 2}


@pytest.mark.parametrize("language", LANGUAGES)
def test_generated_wordings_are_sentences_without_a_slot_left_open(language: str) -> None:
    for wording in TRANSLATION_INSTRUCTIONS[language].train[40:]:
        assert not re.search(r"[<|]|\s\s|\s[.,:;?!]|^[a-z]|[.?] [a-z]|^\s|\s$", wording), wording


@pytest.mark.parametrize("language", LANGUAGES)
def test_diversity_comes_early(language: str) -> None:
    first = TRANSLATION_INSTRUCTIONS[language].train[40:60]
    assert len({wording.split()[0] for wording in first}) >= 12
    assert {wording.endswith("?") for wording in first} == {True, False}
