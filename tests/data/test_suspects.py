"""Rows that one look at their letters passes over hold no evaluation text: comparing each row finds the same."""

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from crosstune.data import overlap
from crosstune.data.comparison import letters, units
from crosstune.data.letter_windows import Sums, hashes_of
from crosstune.data.overlap import EvaluationTexts
from crosstune.data.row_letters import RowLetters, letters_of_words

ITEMS = (
    "The man's dog didn't bark at all, did it?",
    "어제 저녁에 우리는 오래된 시장 골목길을 지나서 강가로 걸어갔다.",
    "Er trank café au lait, 3 Tassen, in der Straße.",
    "3 dogs ran after 5 cats",
    "미국의 수도는 Washington D.C.이고 인구는 70만 명이다.",
    "彼は昨日の夜に古い市場を歩いて川まで行った。",
    "लड़का किताब पढ़ रहा है और बहन गा रही है।",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
    "짧은 답",
)
BETWEEN: dict[str, Callable[[random.Random, int], str]] = {
    "nothing": lambda _, __: " ",
    "no space": lambda _, __: "",
    "numbers": lambda _, place: f" {place} ",
    "digits of another script": lambda _, place: f" {chr(0x0660 + place % 10)} ",
    "brackets": lambda draw, place: draw.choice((" (가나) ", " [x] ", "（1）", f" <{place}> ")),
    "marks of a list": lambda _, place: f" {'abcdefghijkl'[place % 12]}) ",
    "numbered marks": lambda _, place: f" L{place} ",
    "the same word": lambda _, __: " again ",
    "apostrophes": lambda _, __: " o'clock ",
    "words of the other script": lambda draw, _: draw.choice((" 그리고 ", " and ")),
    "tags": lambda draw, _: draw.choice((" <br/> ", " [/b] ", "&nbsp;", "\\n", " %20 ", " 50% & ")),
    "notes": lambda draw, _: draw.choice((" https://example.org/a_b ", " [12] ", "/NNP ", " {{x}} ", " a_b ")),
    "letters that are unclear": lambda draw, _: draw.choice(
        (" ㅋㅋ ", " e\u0301 ", "\u200b", " ½ ", " ª ", " \ud7b0 ")
    ),
    "any": lambda draw, _: draw.choice((" ", " 1 ", ", ", " (a) ", "'", " ", "…", " b ", ": ", "\n")),
}


def rows_of(draw: random.Random, between: Callable[[random.Random, int], str]) -> list[dict[str, str]]:
    """Return rows with items, parts of items, and none, with something between their words."""
    rows = []
    for item in ITEMS:
        words = item.split()
        for _ in range(12):
            first = draw.choice((0, 0, draw.randrange(len(words))))
            chosen = words[first : draw.choice((len(words), draw.randint(first, len(words))))]
            if draw.random() < 0.2:
                draw.shuffle(chosen)
            text = "".join(word + between(draw, place) for place, word in enumerate(chosen))
            before, after = (draw.choice(("", "So: ", "이 글은 ", "A b c (d) 1 ", f"{text[:9]} ")) for _ in range(2))
            rows.append(draw.choice(({"text": before + text + after}, {"en": text, "ko": after}, {"a": "", "b": text})))
    return rows


@pytest.mark.parametrize("ngram", [None, 5, 13])
@pytest.mark.parametrize("name", BETWEEN)
def test_one_look_and_a_comparison_of_each_row_find_the_same(
    name: str, ngram: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "BLOCK_CHARACTERS", 700)
    options = {ITEMS[-1]: "options", "three dogs ran after five cats": "options"}
    known = EvaluationTexts(dict.fromkeys(ITEMS[:-1], "set"), ngram, options)
    rows = rows_of(random.Random(f"{name} {ngram}"), BETWEEN[name])
    found = known.find(rows)
    assert found == known.compare(rows)
    assert 10 < sum(match is not None for match in found) < len(rows)


def test_plain_rows_are_not_compared_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known = EvaluationTexts(dict.fromkeys(ITEMS, "set"), ngram=13)
    compared: list[int] = []

    def compare(rows: Sequence[object]) -> list[None]:
        compared.append(len(rows))
        return [None] * len(rows)

    monkeypatch.setattr(known, "compare", compare)
    plain = ["Nothing of this (that is 12 words, isn't it?) is known.", "이 문장은 API와 3개의 낱말로 된 글이다."]
    known.find([{"text": text} for text in plain])
    assert compared == [0]
    known.find([{"text": plain[0]}, {"text": ITEMS[0]}, {"text": "ㅋㅋㅋ"}])
    assert compared == [0, 2]


def words_in(rows: RowLetters) -> list[str]:
    pairs = zip(rows.starts.tolist(), rows.ends.tolist(), strict=True)
    return ["".join(map(chr, rows.letters[start:end].tolist())) for start, end in pairs]


@pytest.mark.parametrize("item", [*ITEMS[:2], *ITEMS[3:6]])
def test_words_and_letters_are_those_of_the_comparison(item: str) -> None:
    rows = RowLetters([[item, ""], [item.upper()]])
    words = units(item)
    assert words_in(rows) == 2 * [letters([word]) for word in words]
    assert rows.row_ends.tolist() == [len(letters(words)), 2 * len(letters(words))]
    codes, lengths = letters_of_words(words)
    assert "".join(map(chr, codes.tolist())) == letters(words) and lengths.tolist() == [*map(len, words)]


def stretches(texts: Sequence[str]) -> list[int]:
    joined = "".join(texts)
    sums = Sums(np.array([*map(ord, joined)], np.uint32))
    ends = np.cumsum([*map(len, texts)])
    hashes: list[int] = sums.of(ends - [*map(len, texts)], ends).tolist()
    return hashes


def test_a_stretch_has_one_hash_wherever_it_stands() -> None:
    one, again, other, same = stretches(["나무", "나무", "무나", "나무"])
    assert one == again == same != other
    assert hashes_of(["나무", "무나"]).tolist() == [one, other]


def test_rows_and_evaluation_sets_may_be_empty() -> None:
    known = EvaluationTexts({ITEMS[0]: "set"}, ngram=13)
    assert known.find([]) == [] and known.find([{}, {"text": ""}, {"text": " "}]) == [None] * 3
    assert EvaluationTexts({}, ngram=13).find([{"text": "b c 1 2 3 (x)"}, {"text": ITEMS[0]}]) == [None, None]
