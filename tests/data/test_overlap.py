"""Evaluation texts are found in training rows under every disguise that leaves their letters."""

import random
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.data import letter_windows
from crosstune.data.letter_windows import WINDOW, LetterWindows, first_of_rarest
from crosstune.data.overlap import EvaluationTexts

ENGLISH = "The man's dog didn't bark at all, did it?"
KOREAN = "그 남자의 개는 전혀 짖지 않았습니다, 그렇죠?"
SPANISH = "¿Qué pasó ayer en la estación de Málaga?"
HINDI = "लड़का किताब पढ़ रहा है और बहन गा रही है।"
DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "other case": str.swapcase,
    "the last stop dropped": lambda text: text.rstrip("?।"),
    "a stop added": lambda text: text + ".",
    "no punctuation": lambda text: re.sub(r"['?,।]", "", text),
    "in quotation marks": lambda text: f"“{text}”",
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "full width": lambda text: "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text),
    "zero-width signs": lambda text: "\u200b".join(text),
    "soft hyphens": lambda text: "\u00ad".join(text),
    "other spaces": lambda text: text.replace(" ", "\u3000\n"),
    "no spaces": lambda text: text.replace(" ", ""),
    "HTML": lambda text: text.replace("'", "&#39;").replace(" ", "&nbsp;"),
    "HTML, written twice": lambda text: text.replace("'", "&amp;#39;").replace(" ", "&amp;nbsp;"),
    "tags around words": lambda text: " ".join(f'<b class="x">{word}</b>' for word in text.split()),
    "line breaks of HTML": lambda text: text.replace(" ", "<br />"),
    "line ends of JSON": lambda text: text.replace(" ", "\\n"),
    "characters of JSON": lambda text: "".join(sign if sign.isascii() else f"\\u{ord(sign):04x}" for sign in text),
    "fillers of Hangul": lambda text: "\u3164".join(text),
    "emoji between words": lambda text: text.replace(" ", " \U0001f468\u200d\U0001f4bb\ufe0f "),
    "bold words": lambda text: " ".join(f"**{word}**" for word in text.split()),
    "underlined": lambda text: f"_{text}_",
    "letters as apostrophes": lambda text: text.replace("'", "\u02bc"),
    "letters as dots": lambda text: text.replace(" ", "ㆍ"),
    "Greek and Cyrillic look-alikes": lambda text: text.translate(str.maketrans("aeopcyx", "аеορсух")),
    "without accents": lambda text: unicodedata.normalize(
        "NFC", re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", text))
    ),
    "marks of direction": "\u200f".join,
    "struck through": "\u0336".join,
    "HTML, written five times": lambda text: text.replace(" ", "&amp;amp;amp;amp;nbsp;"),
    "the description of a picture": lambda text: f'<img src="1.png" alt="{text}">',
    "a comment of HTML": lambda text: f"<!-- {text} -->",
    "an address": quote,
    "bytes of Python": lambda text: re.sub("[^\0-\x7f]+", lambda found: str(found[0].encode())[2:-1], text),
    "characters of Python": lambda text: "".join(
        sign if sign.isascii() else f"\\u{{{ord(sign):x}}}" if ord(sign) % 2 else f"\\U{ord(sign):08x}" for sign in text
    ),
    "links around words": lambda text: " ".join(
        f"[{word}](https://example.org/{place}_a)" for place, word in enumerate(text.split())
    ),
    "numbers of notes": lambda text: text.replace(" ", " [12] "),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("text", [ENGLISH, KOREAN, HINDI, SPANISH])
@pytest.mark.parametrize("around", ["{}", "Read this! {} And say why.", "이 문장을 읽어 보세요.{}왜 그럴까요"])
def test_an_item_is_found_in_every_field_whatever_it_looks_like(text: str, disguise: str, around: str) -> None:
    known = EvaluationTexts({text: "set", "Another text, which is not there.": "other"}, ngram=None)
    leaked = around.format(DISGUISES[disguise](text))
    rows = [
        {"text": leaked},
        {"en": "Good morning.", "ko": leaked},
        {"instruction": leaked, "input": "", "output": "Yes."},
        {"instruction": "Is this good?", "input": leaked, "output": "Yes."},
        {"instruction": "Say it.", "input": "", "output": leaked},
        {"text": "Good morning, good morning, good morning."},
    ]
    assert [match and (match.evaluation_set, match.text, match.is_stretch) for match in known.find(rows)] == [
        *[("set", text, False)] * 5,
        None,
    ]


def _before_each(text: str, mark: Callable[[int], str]) -> str:
    return " ".join(mark(place) + word for place, word in enumerate(text.split()))


def _after_some(text: str, inserted: str) -> str:
    return re.sub(r"(\S+ \S+) ", rf"\1{inserted}", text)


ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii")
INSERTIONS: dict[str, Callable[[str], str]] = {
    "a number before every word": lambda text: _before_each(text, "{} ".format),
    "a number glued to every word": lambda text: re.sub(r"(\w)(\W|$)", r"\g<1>7\2", text),
    "numbers in circles": lambda text: _before_each(text, lambda place: f"{chr(0x2460 + place)} "),
    "numbers of lines": lambda text: _before_each(text, "L{}: ".format),
    "letters of a list": lambda text: _before_each(text, lambda place: f"{'cdefghijklmnop'[place]}) "),
    "Korean letters of a list": lambda text: _before_each(text, lambda place: f"{'가나다라마바사아자차카타'[place]}. "),
    "Roman numbers": lambda text: _before_each(text, lambda place: f"({ROMAN[place]}) "),
    "bullets": lambda text: _before_each(text, lambda _: "\n• "),
    "times of subtitles": lambda text: _after_some(text, "\n\n2\n00:01:02,000 --> 00:01:05,250\n"),
    "cues of WebVTT": lambda text: _after_some(text, "\n00:01.000 --> 00:02.000 align:start position:0%\n"),
    "sounds of subtitles": lambda text: _after_some(text, " [MUSIC] "),
    "minutes and seconds": lambda text: _before_each(text, lambda place: f"{place}m{7 * place}s "),
    "raised numbers": lambda text: re.sub(r"(\w) ", r"\1² ", text),
    "raised letters": lambda text: re.sub(r"(\w) ", "\\1ᵃ ", text),
    "raised by HTML": lambda text: text.replace(" ", "<sup>b</sup> "),
    "named notes": lambda text: text.replace(" ", "[^note] "),
    "notes in brackets": lambda text: _after_some(text, " (see there) "),
    "commands of LaTeX": lambda text: _before_each(text, lambda place: (r"\emph ", r"\bf ", r"\large ")[place % 3]),
    "references of LaTeX": lambda text: text.replace(" ", r"~\cite[p. 3]{smith2020} "),
    "tags of a forum": lambda text: " ".join(f"[b]{word}[/b]" for word in text.split()),
    "links of a wiki": lambda text: " ".join(f"[[Some page|{word}]]" for word in text.split()),
    "addresses": lambda text: _after_some(text, " https://example.org/a?b=c "),
    "a word that comes again and again": lambda text: text.replace(" ", " br "),
    "objects of JSON": lambda text: str([{"id": place, "form": word} for place, word in enumerate(text.split())]),
    "words as attributes": lambda text: " ".join(f'<w v="{word}"/>' for word in text.split()),
    "parts of speech": lambda text: " ".join(
        f"{word}/{('NN', 'VBD', 'JKS')[place % 3]}" for place, word in enumerate(text.split())
    ),
    "hyphens at line ends": lambda text: re.sub(r"(\w\w)(\w\w)", "\\1-\n\\2", text),
    "letters spaced out": " ".join,
    "words joined": lambda text: text.replace(" ", "_"),
}
NUMBERED = "In 1990 I saw 3 dogs, a cat (grey) and 12 birds."


@pytest.mark.parametrize("insertion", INSERTIONS)
@pytest.mark.parametrize("around", ["{}", "In 1990 (or so), read this: {} And say why 3 times."])
def test_an_item_is_found_whatever_stands_between_its_words(insertion: str, around: str) -> None:
    items = [ENGLISH, KOREAN, SPANISH, HINDI, NUMBERED]
    known = EvaluationTexts(dict.fromkeys(items, "set"), ngram=None)
    rows = [{"instruction": "Go on.", "input": around.format(INSERTIONS[insertion](item))} for item in items]
    assert [match and match.text for match in known.find(rows)] == items


@pytest.mark.parametrize(
    "gloss", ["The 그 man's 남자의 dog 개는 didn't 전혀 bark 짖지 at all, 않았습니다 did it? 그렇죠"]
)
def test_an_item_with_its_translation_between_its_words_is_found(gloss: str) -> None:
    for item in (ENGLISH, KOREAN):
        [match] = EvaluationTexts({item: "set"}, ngram=None).find([{"text": gloss}])
        assert match is not None and match.text == item


@pytest.mark.parametrize(
    "other",
    [
        "In 1991 I saw 4 dogs, a cat (grey) and 13 birds.",
        "In 1990 I saw dogs, a cat and birds.",
        "In 1990 I saw 3 dogs, a cat (black) and 12 birds.",
    ],
)
def test_a_text_with_other_numbers_is_another_text(other: str) -> None:
    assert EvaluationTexts({NUMBERED: "set"}, ngram=None).find([{"text": other}]) == [None]


def test_an_item_that_is_cut_between_two_fields_is_found() -> None:
    known = EvaluationTexts({ENGLISH: "set"}, ngram=None)
    [match] = known.find(
        [{"instruction": "Go on: the man's dog", "input": "didn't bark at all, did it", "output": "no"}]
    )
    assert match is not None and match.text == ENGLISH


def test_an_answer_to_choose_from_is_found_where_a_row_is_nothing_else() -> None:
    known = EvaluationTexts(
        {ENGLISH: "copa"}, ngram=13, options={"The dog barked at the postman.": "copa", ENGLISH: "copa"}
    )
    book = "It was late. The dog barked at the postman. Nobody came."
    rows = [
        {"text": "the dog barked, at the postman"},
        {"text": book},
        {"text": f"It was late. {ENGLISH} Nobody came."},
    ]
    assert [match and match.text for match in known.find(rows)] == ["The dog barked at the postman.", None, ENGLISH]


def test_items_that_begin_alike_are_each_found() -> None:
    texts = [f"A man is seen sitting on a chair and {what} for a while." for what in ("sings", "reads", "sleeps")]
    known = EvaluationTexts(dict.fromkeys(texts, "hellaswag"), ngram=None)
    assert [match.text if match else None for match in known.find([{"text": f"So, {text}"} for text in texts])] == texts
    assert known.find([{"text": "A man is seen sitting on a chair and waits for a while."}]) == [None]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("어제 저녁에 우리는 오래된 시장 골목길을 지나서 집에 갔다.", True),
        ("어제저녁에 우리는오래된 시장골목길을, 지나서 학교에!", True),
        ("우리는 오래된 시장 골목을 지났다.", False),
    ],
)
def test_a_stretch_of_twenty_syllables_of_a_korean_item_is_found(text: str, found: bool) -> None:
    known = EvaluationTexts({"그런데 어제 저녁에 우리는 오래된 시장 골목길을 지나서 강가로 걸어갔다.": "set"}, ngram=13)
    [match] = known.find([{"instruction": "이어서 쓰세요.", "input": text, "output": "네."}])
    assert (match is not None and match.is_stretch) == found


def test_laughter_is_nobody_s_text() -> None:
    known = EvaluationTexts({f"재미있다 {'ㅋ' * 60}": "nsmc"}, ngram=13)
    assert known.find([{"text": f"정말 웃긴다 {'ㅋ' * 3000}"}]) == [None]


@pytest.mark.slow
@given(st.lists(st.text(alphabet="ab", max_size=60), min_size=1, max_size=6), st.integers(1, 40))
def test_every_text_is_found_by_its_window_however_the_letters_are_batched(texts: list[str], batch: int) -> None:
    known = [text for text in texts if len(text) >= WINDOW]
    if not known:
        return
    around = [f"xyz{text}zyx" for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letter_windows, "BATCH_LETTERS", batch)
        hits = list(LetterWindows(known).hits(around))
    for hit in hits:
        window = around[hit.text][hit.place : hit.place + WINDOW]
        assert window == known[hit.known][hit.known_place : hit.known_place + WINDOW]
    for number, text in enumerate(texts):
        if text in known:
            assert any((hit.text, known[hit.known], hit.place - hit.known_place) == (number, text, 3) for hit in hits)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), max_size=30))
def test_a_text_is_known_by_the_first_of_its_rarest_windows(windows: list[tuple[int, int]]) -> None:
    owners, rarity = np.array(sorted(windows), np.int64).reshape(-1, 2).T
    rarity = rarity[np.random.default_rng(1).permutation(len(rarity))]
    order = np.lexsort((np.arange(len(owners)), rarity, owners))
    expected = order[np.unique(owners[order], return_index=True)[1]]
    assert first_of_rarest(owners, rarity).tolist() == expected.tolist()


@pytest.mark.slow
def test_an_item_is_found_in_a_document_of_many_batches() -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefgh", k=5)) for _ in range(300_000)]
    text = " ".join(words[250_000:250_004])
    [match] = EvaluationTexts({text: "set"}, ngram=None).find([{"text": " ".join(words)}])
    assert match is not None and match.text == text


def test_an_answer_to_choose_from_is_no_leak_at_the_start_of_a_text_beside_words_of_two_scripts() -> None:
    answer = "The dog barked at the moon."
    known = EvaluationTexts({}, ngram=None, options={answer: "set"})
    mixed = "API를 GPU와 CPU로 x가"
    assert known.find([{"a": f"{answer} Then it slept.", "b": mixed}]) == [None]
    assert known.find([{"a": answer, "b": mixed}])[0] is not None
