"""Every failure on hand-made cases, right ones and wrong ones, in both directions."""

import csv
from pathlib import Path
from typing import NamedTuple

import pytest

from crosstune.languages.parallel_sample import sample_of
from crosstune.prompts.templates import translation_instructions
from crosstune.tasks.diagnostics import (
    COPIED,
    ECHO,
    EMPTY,
    EXTRA,
    FAILURES,
    LANGUAGE,
    LOOP,
    MIXED,
    NO_STOP,
    PARTIAL,
    Expectation,
    failures,
)


class Case(NamedTuple):
    failure: str
    expected: bool
    asked: Expectation
    output: str


def read_cases() -> list[Case]:
    path = Path(__file__).parent / "diagnostics_cases.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        Case(
            row["failure"],
            {"yes": True, "no": False}[row["expected"]],
            Expectation(
                row["source"].replace("\\n", "\n"),
                row["reference"].replace("\\n", "\n"),
                translation_instructions(row["direction"], "en", "paper")[0],
                *row["direction"].split("-"),
            ),
            row["output"].replace("\\n", "\n"),
        )
        for row in rows
    ]


CASES = read_cases()
BLANK = [
    "",
    " ",
    "\n",
    "\t",
    "\n\n",
    "  \n ",
    "\u3000",
    "\r\n",
    " \t ",
    "\n \n",
    "\u00a0",
    "\u2028",
    "\ufffd\ufffd\ufffd",
]
BLANK += [
    ".",
    "-",
    "…",
    "?",
    "(",
    '"',
    "~",
    "###",
    "\n.\n",
    "。",
    "🙂",
    "!",
    "?!",
    "...",
    "-----",
    "***",
    "()",
    "「」",
    ", ,",
]
BLANK += ["\u200b", "\ufeff", "\x00", "\x1b", "→", "€", "♥♥", ": )"]
WRITTEN = [
    "a",
    "0",
    "가",
    "네",
    "No",
    "1.",
    "ㅋ",
    "안녕",
    "\nyes",
    " ok ",
    "漢",
    "é",
    "UN",
    "1",
    "⅓",
    "Да",
    "예.",
    "(b)",
    '"c"',
    "ㅠ",
]
WRITTEN += [
    "나",
    "x",
    "42",
    "Ω",
    "ñ",
    "が",
    "긍정",
    "<b>",
    "{a}",
    "\\n",
    "№5",
    "Ⅳ",
    "२",
    "가.",
    "-1",
    "...네",
    "🙂a",
    "\tz",
    "ﬁ",
    "٣",
]


@pytest.mark.parametrize("failure", [COPIED, LANGUAGE, PARTIAL, MIXED, LOOP, ECHO, EXTRA])
def test_a_failure_is_seen_where_it_is_and_nowhere_else(failure: str) -> None:
    cases = [case for case in CASES if case.failure == failure]
    wrong = [
        f"{'missed' if case.expected else 'false alarm'}: {case.output!r} for {case.asked.source!r}"
        for case in cases
        if (failure in failures(case.output, case.asked, finished=True)) != case.expected
    ]
    assert sum(case.expected for case in cases) >= 40 <= sum(not case.expected for case in cases)
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("finished", [True, False])
def test_empty_answers_are_empty_and_unfinished_ones_did_not_stop(finished: bool) -> None:
    asked = Expectation("I go home.", "나는 집에 간다.", "Translate", "en", "ko")
    assert len({*BLANK}) >= 40 <= len({*WRITTEN})
    for output in BLANK:
        assert failures(output, asked, finished) == ((EMPTY,) if finished else (EMPTY, NO_STOP))
    for output in WRITTEN:
        found = failures(output, asked, finished)
        assert EMPTY not in found and (NO_STOP in found) == (not finished)


def test_right_translations_have_no_failure() -> None:
    for case in CASES:
        asked = case.asked
        assert failures(asked.reference, asked, finished=True) == (), asked.reference


@pytest.mark.parametrize(
    ("source", "reference"),
    [
        ("정말 정말 정말 정말 좋아요.", "I really really really really like it."),
        ("똑딱똑딱똑딱, 시계가 간다.", "Tick tock tick tock tick tock, the clock goes."),
        ("노를 저어라.", "Row row row row row row your boat."),
        ("……", "..."),
        ("아래는 명령입니다.", "Below is an instruction that you follow."),
    ],
)
def test_no_rule_flags_what_the_reference_also_does(source: str, reference: str) -> None:
    asked = Expectation(source, reference, "Translate this.", "ko", "en")
    assert failures(reference, asked, finished=True) == ()
    assert failures(f"{reference} very good very good very good", asked, finished=True)[0] == LOOP


def test_other_tasks_are_judged_by_what_knows_no_language() -> None:
    asked = Expectation("재미있는 영화였다.", "긍정", "다음 문장은 긍정일까요 부정일까요?")
    assert failures("긍정입니다.", asked, finished=True) == ()
    assert failures("재미있는 영화였다.", asked, finished=True) == ()
    assert failures("긍정입니다.\n이유: 재미있다고 했다.", asked, finished=True) == (EXTRA,)
    assert failures("다음 문장은 긍정일까요 부정일까요?", asked, finished=True) == (ECHO,)
    assert failures("긍정 긍정 긍정 긍정 긍정 긍정 긍정", asked, finished=False) == (LOOP, NO_STOP)


def test_several_failures_stand_side_by_side_in_one_order() -> None:
    asked = Expectation("I go home.", "나는 집에 간다.", "Translate the text", "en", "ko")
    found = failures("I go home. " * 8, asked, finished=False)
    assert found == (COPIED, LANGUAGE, LOOP, NO_STOP) and list(found) == [name for name in FAILURES if name in found]


def test_between_two_languages_of_one_script_only_the_identifier_speaks() -> None:
    asked = Expectation(
        "Wir gehen heute Abend ins Kino.", "We are going to the cinema tonight.", "Translate", "de", "en"
    )
    assert failures("We will go to the cinema this evening together.", asked, finished=True) == ()
    found = failures("Wir gehen heute gemeinsam mit allen Freunden in das Kino.", asked, finished=True)
    assert LANGUAGE in found


@pytest.mark.parametrize(
    ("language", "answer", "is_wrong"),
    [
        ("en", "작", True),
        ("en", "Кто это?", True),
        ("ko", "There is a coat in the museum.", True),
        ("ko", "你好", True),
        ("ja", "안녕하세요", True),
        ("ko", "NASA", False),
        ("ko", "Harry Potter", False),
        ("en", "Seoul (서울)", False),
        ("en", "Bonjour.", False),
        ("ja", "Tokyo Tower", False),
    ],
)
def test_without_a_reference_a_short_answer_may_be_a_name_in_latin_letters(
    language: str, answer: str, is_wrong: bool
) -> None:
    asked = Expectation("?", "", "", answer_language=language)
    assert (LANGUAGE in failures(answer, asked, finished=True)) == is_wrong
    # Letters that the question gives are the answer's, too.
    quoted = Expectation(f"({answer})", "", "", answer_language=language)
    assert (LANGUAGE in failures(answer, quoted, finished=True)) == (" is " in answer)


IN_LANGUAGES = {
    "ar": "التقى الرئيس مساء أمس بالوزراء وناقش الميزانية الجديدة للبلاد.",
    "fa": "رئیس جمهور دیشب با وزیران دیدار کرد و درباره بودجه جدید کشور گفتگو کرد.",
    "hi": "राष्ट्रपति ने कल शाम मंत्रियों से मुलाकात की और देश के नए बजट पर चर्चा की।",
    "ja": "昨夜、大統領は閣僚と会談し、国の新しい予算について話し合った。",
    "mr": "राष्ट्राध्यक्षांनी काल संध्याकाळी मंत्र्यांची भेट घेतली आणि देशाच्या नवीन अर्थसंकल्पावर चर्चा केली.",
    "ru": "Вчера вечером президент встретился с министрами и обсудил новый бюджет страны.",
    "uk": "Вчора ввечері президент зустрівся з міністрами та обговорив новий бюджет країни.",
    "zh": "昨天晚上总统会见了各位部长并讨论了国家的新预算。",
}


@pytest.mark.parametrize(
    ("language", "other"), [("uk", "ru"), ("ru", "uk"), ("fa", "ar"), ("ar", "fa"), ("mr", "hi"), ("ja", "zh")]
)
def test_an_answer_in_another_language_of_the_same_script_is_in_the_wrong_one(language: str, other: str) -> None:
    source = "Yesterday evening the president met the ministers and discussed the new budget of the country."
    asked = Expectation(source, IN_LANGUAGES[language], "Translate this.", "en", language)
    assert failures(IN_LANGUAGES[other], asked, finished=True) == (LANGUAGE,)
    assert failures(IN_LANGUAGES[language], asked, finished=True) == ()
    named = f"{IN_LANGUAGES[language]} (Volodymyr Zelenskyy, Angela Merkel)"
    assert LANGUAGE not in failures(named, asked, finished=True)
    # Where the reference itself would be taken for another language, the identifier is not heard.
    unsure = Expectation(source, IN_LANGUAGES[other], "Translate this.", "en", language)
    assert LANGUAGE not in failures(IN_LANGUAGES[other], unsure, finished=True)


@pytest.mark.parametrize("language", ["ar", "hi", "ja", "ru", "zh"])
def test_everyday_sentences_are_in_their_own_language(language: str) -> None:
    for line in sample_of(language) or []:
        asked = Expectation("Say something.", line, "Translate this.", "en", language)
        assert LANGUAGE not in failures(line, asked, finished=True)
        assert LANGUAGE not in failures(line, Expectation("Say it.", "", "", answer_language=language), finished=True)
