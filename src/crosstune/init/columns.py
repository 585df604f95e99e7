"""Columns and keys of other names than readers know: which of them is what, by its name or by the language in it."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median
from textwrap import shorten

from crosstune.init.language_of import language_of
from crosstune.languages.registry import language
from crosstune.recipe import Languages

Guess = tuple[str, dict[str, str]]
"""A kind of source, and the `columns` with which a file may be one."""

# As readers say which columns or keys there are, where none has a name that they read.
_OTHER_NAMES = re.compile(
    r"no key '[^']+'; needed: [^;]+; there are (.+)|has no column 'text': ['\"](.+?)(?:\\r)?['\"]\. "
)
# So that what to do about them is not cut off.
_LONGEST_NAMES = 40
# What people call the two sides of an instruction, in English and Korean.
_ASKED = {"question", "prompt", "query", "human", "user", "질문", "지시", "지시문", "요청"}
_ANSWERED = {"answer", "response", "completion", "reply", "assistant", "bot", "답변", "답", "응답", "대답"}
# What an instruction is about, where it stands apart. Without it, answers would be learnt that nobody can know.
_GIVEN = {"context", "passage", "document", "article", "paragraph", "지문", "본문", "문맥", "문단", "문서"}
# Of more columns, a person should say which is meant.
_MOST_COLUMNS = 20
# A column of labels, names or numbers has fewer words; one of texts in a script without spaces has longer ones.
_FEWEST_WORDS, _FEWEST_CHARACTERS = 3, 12
# The sides of translations are about as long as each other.
_MOST_UNLIKE = 4


def names_in(reasons: Iterable[str]) -> str:
    """Return the names of columns or keys that readers found instead of theirs, as they said them; empty if none."""
    found = next(filter(None, map(_OTHER_NAMES.search, reasons)), None)
    names = (found[1] or found[2]).replace("\\t", "\t") if found else ""
    # Of a header that was cut, the columns that are not seen may be those that matter.
    return "" if names.endswith("…") else names


def guesses(said: str, texts_of: Callable[[str], Sequence[str]], languages: Languages) -> Iterator[Guess]:
    """Yield what a file with such columns may be, the likeliest first; ``texts_of`` returns some texts of a column."""
    names = [name.strip() for name in next(csv.reader([said], delimiter="\t" if "\t" in said else ","))]
    if not 1 < len({*names}) == len(names) <= _MOST_COLUMNS:
        return
    sentences: dict[str, list[str]] = {}
    lengths: dict[str, int] = {}
    for name in names:
        texts = texts_of(name)
        code, _ = language_of("\n".join(texts), languages)
        if texts and code and _are_sentences(texts, code):
            sentences.setdefault(code, []).append(name)
            lengths[name] = sum(map(len, texts))
    asked, answered = ([name for name in names if name.lower() in known] for known in (_ASKED, _ANSWERED))
    others = [name for found in sentences.values() for name in found if name not in (*asked, *answered)]
    # Of several that may be meant, none is taken: what it left out would be lost, and another choice be as good.
    if len(asked) == len(answered) == 1 and (not others or (len(others) == 1 and others[0].lower() in _GIVEN)):
        yield (
            "instructions",
            {"instruction": asked[0], "output": answered[0]} | ({"input": others[0]} if others else {}),
        )
    sides = {code: found[0] for code, found in sentences.items() if len(found) == 1}
    if len(lengths) == len(sides) == len(languages.codes) and _are_alike([*lengths.values()]):
        yield "parallel", sides
    elif len(lengths) == 1:
        yield "text", {"text": next(iter(lengths))}


def advice(said: str, languages: Languages) -> str:
    """Return what to do about a file of which no guess was right."""
    sign = next((sign for sign in ";|" if sign in said and "," not in said), "")
    parted = f", parted by {sign!r} (export it with commas)" if sign else ""
    return (
        f"its columns are called {shorten(said, _LONGEST_NAMES, placeholder=' …')}{parted}; rename them to "
        f"{languages.source} and {languages.target}, to instruction and output, or to text"
    )


def _are_sentences(texts: Sequence[str], code: str) -> bool:
    if language(code).is_spaced:
        return median(len(text.split()) for text in texts) >= _FEWEST_WORDS
    return median(map(len, texts)) >= _FEWEST_CHARACTERS


def _are_alike(lengths: Sequence[int]) -> bool:
    return max(lengths) <= _MOST_UNLIKE * min(lengths)
