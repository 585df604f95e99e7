"""Prompts: the bytes of the published templates, and how a translation is asked for."""

import itertools
from functools import partial

import pytest
from pydantic import ValidationError

from crosstune.languages.registry import language_names
from crosstune.prompts.conversation import Turn, turns_of, with_turns
from crosstune.prompts.templates import TEMPLATES, WordingSet, translation_instructions
from crosstune.prompts.wordings import Wordings

DIRECTIONS = ("en-ko", "ko-en")
LANGUAGES = ("en", "ko")


def test_the_papers_template_is_byte_exact() -> None:
    template = TEMPLATES["paper-v1"]
    assert template.prompt("다음 문장은 긍정일까요 부정일까요?", "좋은 영화") == (
        "### Instruction:\n다음 문장은 긍정일까요 부정일까요?\n좋은 영화\n### Response:"
    )
    assert template.prompt("Say hello") == "### Instruction:\nSay hello\n### Response:"
    assert template.completion("긍정") == "\n긍정"


def test_the_alpaca_template_is_byte_exact() -> None:
    template = TEMPLATES["alpaca"]
    assert template.prompt("Add.", "1 2") == (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:"
    )
    assert template.prompt("Add.") == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nAdd.\n\n### Response:"
    )


def test_the_kullm_template_is_byte_exact() -> None:
    assert TEMPLATES["kullm"].prompt("더하세요.", "1 2") == (
        "아래는 작업을 설명하는 명령어와 추가 컨텍스트를 제공하는 입력이 짝을 이루는 예제입니다. "
        "요청을 적절히 완료하는 응답을 작성하세요.\n\n### 명령어:\n더하세요.\n\n### 입력:\n1 2\n\n### 응답:\n"
    )
    assert TEMPLATES["kullm"].prompt("더하세요.") == (
        "아래는 작업을 설명하는 명령어입니다. 요청을 적절히 완료하는 응답을 작성하세요.\n\n"
        "### 명령어:\n더하세요.\n\n### 응답:\n"
    )


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_braces_in_instructions_and_inputs_stay_as_they_are(name: str) -> None:
    prompt = TEMPLATES[name].prompt("Print {input} and {x}", "{instruction} {input}")
    assert "Print {input} and {x}" in prompt and "{instruction} {input}" in prompt


@pytest.mark.parametrize(("direction", "language"), list(itertools.product(DIRECTIONS, LANGUAGES)))
def test_four_hundred_wordings_are_trained_on_and_twelve_others_held_out(direction: str, language: str) -> None:
    train = translation_instructions(direction, language, "train")
    held_out = translation_instructions(direction, language, "held_out")
    assert (len(train), len(held_out), len({*train, *held_out})) == (400, 12, 412)
    assert translation_instructions(direction, language, "paper") == train[:1]
    assert not any("{" in wording for wording in (*train, *held_out))


def test_the_papers_translation_instruction_is_exact() -> None:
    assert translation_instructions("en-ko", "en", "paper") == (
        "Translate the following sentences from English to Korean",
    )


@pytest.mark.parametrize("wordings", ["paper", "train", "held_out"])
def test_the_bank_speaks_of_any_two_languages(wordings: WordingSet) -> None:
    english = " ".join(translation_instructions("en-de", "en", wordings))
    korean = " ".join(translation_instructions("de-ja", "ko", wordings))
    assert "German" in english and "Korean" not in english
    assert "일본어로" in korean and "영어" not in korean


def test_korean_names_of_languages_go_with_the_particles_of_the_bank() -> None:
    assert len(language_names("ko")) > 180
    # A Hangul syllable without a final consonant; particles go with what stands before a remark in brackets.
    names = [name.partition("(")[0].strip() for name in language_names("ko").values()]
    assert all((ord(name[-1]) - 0xAC00) % 28 == 0 for name in names)


@pytest.mark.parametrize(
    ("direction", "asked", "message"),
    [
        ("en-xx", "en", "'xx' is not a language code of Unicode's CLDR"),
        ("en", "en", "'en' is not a translation direction"),
        ("en-ko", "de", "'en-ko' in language 'de': there are instructions in en and ko. "),
    ],
)
def test_an_unknown_language_is_refused_with_what_is_allowed(direction: str, asked: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        translation_instructions(direction, asked, "paper")


def test_a_direction_may_name_a_region() -> None:
    asked = translation_instructions("en-pt-BR", "en", "paper")
    assert asked == ("Translate the following sentences from English to Brazilian Portuguese",)


def test_a_recipes_own_wordings_ask_in_its_language_with_that_languages_names() -> None:
    own = {"de": Wordings(train=("Übersetze ins {target}e:", "{source} nach {target}"), held_out=("Auf {target}?",))}
    ask = partial(translation_instructions, "en-de", "de", own=own)
    assert ask("paper") == ("Übersetze ins Deutsche:",)
    assert ask("train") == ("Übersetze ins Deutsche:", "Englisch nach Deutsch")
    assert ask("held_out") == ("Auf Deutsch?",)
    assert translation_instructions("en-de", "en", "paper", own) == translation_instructions("en-de", "en", "paper")


def test_wordings_that_name_no_target_or_are_trained_on_and_held_out_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"one line that contains \{target\}"):
        Wordings(train=("Übersetze das",))
    with pytest.raises(ValidationError, match="remove it from one of them"):
        Wordings(train=("Auf {target}?",), held_out=("Auf {target}?",))
    with pytest.raises(ValueError, match=r"data\.translation_instructions\.de\.held_out"):
        translation_instructions("en-de", "de", "held_out", {"de": Wordings(train=("Auf {target}?",))})
    with pytest.raises(ValidationError, match=r"holds \{text\}: only \{source\} and \{target\} are replaced"):
        Wordings(train=("Translate {text} into {target}.",))


def test_the_first_line_of_what_is_asked_is_the_instruction_and_the_rest_its_input() -> None:
    template = TEMPLATES["alpaca"]
    assert template.prompt("Add.\n1 2") == template.prompt("Add.", "1 2")
    earlier = (Turn("system", "Be brief."), Turn("user", "Hi"), Turn("assistant", "Hello"))
    assert "### Input:\nBe brief.\nUser: Hi\nAssistant: Hello\n" in template.prompt("Bye", "", earlier)


def test_turns_of_a_row_s_input_are_found_again() -> None:
    earlier = (Turn("user", "Hi\nthere"), Turn("assistant", "Hello"), Turn("user", "More\U0010fff1"))
    assert turns_of(with_turns("own\ntext", earlier)) == ("own\ntext", (*earlier[:2], Turn("user", "More")))
    assert turns_of("no turns") == ("no turns", ())
