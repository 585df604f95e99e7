"""What can be asked of an answer and checked without a judge, in the spirit of IFEval (Zhou et al. 2023).

A rule is a text such as ``bullets: 3``: items carry it, and its name is that of its check in `RULES`.
https://arxiv.org/abs/2311.07911
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import regex

from crosstune.languages.identify import is_in_language
from crosstune.languages.registry import language
from crosstune.languages.words import sentences_of, words_of

# Between the keywords of a rule, and the keys of an object.
SEPARATOR = " | "
_BULLET = regex.compile(r"\s*[-*•]\s+\S")
_TITLE = regex.compile(r"<<[^\n<>]*\S[^\n<>]*>>")
_COMMA = regex.compile("[,，、،﹐]")
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.DOTALL | re.IGNORECASE)
# What models put around a phrase that they were to begin or end with.
_AROUND = " \t\n\"'“”‘’*_「」"
# An answer that takes up an earlier one has so much of its letter trigrams from there.
_TAKEN_UP = 1 / 3


@dataclass(frozen=True)
class Answer:
    """An answer, the language that it was asked in and, to a second request, the answer to the first."""

    text: str
    language: str
    earlier: str = ""


@dataclass(frozen=True)
class Rule:
    """What is asked of an answer: a kind of `RULES`, and a number, a phrase, words or keys."""

    kind: str
    argument: str = ""

    @classmethod
    def of(cls, text: str) -> "Rule":
        """Read a rule as items carry it: ``keywords: waves | sand``."""
        kind, _, argument = text.partition(": ")
        return cls(kind, argument)

    def __str__(self) -> str:
        """Write it as items carry it."""
        return f"{self.kind}: {self.argument}" if self.argument else self.kind

    def holds(self, answer: Answer) -> bool:
        """Return whether an answer does what is asked; one without a letter or digit never does."""
        return any(map(str.isalnum, answer.text)) and RULES[self.kind](answer, self.argument)


def has_words_at_least(answer: Answer, argument: str) -> bool:
    """Return whether it has so many words, in a language without spaces characters."""
    return len(words_of(answer.text, answer.language)) >= int(argument)


def has_words_at_most(answer: Answer, argument: str) -> bool:
    """Return whether it has no more words, in a language without spaces characters."""
    return len(words_of(answer.text, answer.language)) <= int(argument)


def has_sentences(answer: Answer, argument: str) -> bool:
    """Return whether it has just so many sentences."""
    return len(sentences_of(answer.text)) == int(argument)


def has_lines(answer: Answer, argument: str) -> bool:
    """Return whether it has just so many lines that are not empty."""
    return len(_lines(answer.text)) == int(argument)


def has_paragraphs(answer: Answer, argument: str) -> bool:
    """Return whether it has just so many paragraphs with ``***`` between them."""
    parts = [part.strip() for part in answer.text.split("***")]
    return len(parts) == int(argument) and all(parts)


def has_bullets(answer: Answer, argument: str) -> bool:
    """Return whether just so many lines begin with the sign of a list."""
    return sum(bool(_BULLET.match(line)) for line in _lines(answer.text)) == int(argument)


def uses_keywords(answer: Answer, argument: str) -> bool:
    """Return whether all of the words occur, perhaps with an ending."""
    return all(_names(answer, word) for word in argument.split(SEPARATOR))


def avoids_keyword(answer: Answer, argument: str) -> bool:
    """Return whether a word does not occur, not with an ending either."""
    return not _names(answer, argument)


def is_json(answer: Answer, argument: str) -> bool:
    """Return whether it is a JSON object with just these keys, perhaps in a Markdown fence."""
    text = answer.text.strip()
    fenced = _FENCE.match(text)
    try:
        found = json.loads(fenced[1] if fenced else text)
    # Thousands of brackets are more than Python's stack holds.
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() == {*argument.split(SEPARATOR)}


def is_lowercase(answer: Answer, argument: str) -> bool:
    """Return whether it has small letters and no capitals."""
    return any(map(str.islower, answer.text)) and not any(map(str.isupper, answer.text))


def is_uppercase(answer: Answer, argument: str) -> bool:
    """Return whether it has capitals and no small letters."""
    return any(map(str.isupper, answer.text)) and not any(map(str.islower, answer.text))


def is_in(answer: Answer, argument: str) -> bool:
    """Return whether it may be in a language, by its letters and the identifier."""
    return is_in_language(answer.text, argument)


def begins_with(answer: Answer, argument: str) -> bool:
    """Return whether it begins with a phrase; quotation marks and case do not count."""
    return _plain(answer.text).startswith(_plain(argument))


def ends_with(answer: Answer, argument: str) -> bool:
    """Return whether it ends with a phrase; quotation marks and case do not count."""
    return _plain(answer.text).endswith(_plain(argument))


def has_no_commas(answer: Answer, argument: str) -> bool:
    """Return whether it has no comma of any script."""
    return not _COMMA.search(answer.text)


def has_title(answer: Answer, argument: str) -> bool:
    """Return whether it has a title in double angle brackets."""
    return bool(_TITLE.search(answer.text))


def repeats_in_capitals(answer: Answer, argument: str) -> bool:
    """Return whether it says the earlier answer in capitals."""
    return is_uppercase(answer, argument) and _takes_up(answer)


def shortens(answer: Answer, argument: str) -> bool:
    """Return whether it says the earlier answer in no more words than these."""
    return has_words_at_most(answer, argument) and _takes_up(answer)


def lists(answer: Answer, argument: str) -> bool:
    """Return whether it says the earlier answer as a list of so many points."""
    return has_bullets(answer, argument) and _takes_up(answer)


def repeats_first_sentence(answer: Answer, argument: str) -> bool:
    """Return whether it is the first sentence of the earlier answer, and nothing else."""
    first = sentences_of(answer.earlier)[:1]
    return bool(first) and _letters(answer.text) == _letters(first[0])


def repeats_behind(answer: Answer, argument: str) -> bool:
    """Return whether it says the earlier answer again, and begins with a phrase."""
    return begins_with(answer, argument) and _takes_up(answer)


RULES: dict[str, Callable[[Answer, str], bool]] = {
    "words_at_least": has_words_at_least,
    "words_at_most": has_words_at_most,
    "sentences": has_sentences,
    "lines": has_lines,
    "paragraphs": has_paragraphs,
    "bullets": has_bullets,
    "keywords": uses_keywords,
    "no_keyword": avoids_keyword,
    "json": is_json,
    "lowercase": is_lowercase,
    "uppercase": is_uppercase,
    "language": is_in,
    "begin": begins_with,
    "end": ends_with,
    "no_commas": has_no_commas,
    "title": has_title,
    "again_in_capitals": repeats_in_capitals,
    "again_shorter": shortens,
    "again_as_list": lists,
    "again_first_sentence": repeats_first_sentence,
    "again_begin": repeats_behind,
}
"""Every kind of rule and its check; what begins with ``again`` is asked of a second answer."""
# Asked only in languages whose letters have case.
CASED = ("lowercase", "uppercase", "again_in_capitals")


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _names(answer: Answer, word: str) -> bool:
    """Return whether a word begins somewhere; where no spaces stand between words, whether it stands anywhere."""
    border = r"(?<![\p{L}\p{N}])" if language(answer.language).is_spaced else ""
    return bool(regex.search(border + regex.escape(word), answer.text, regex.IGNORECASE))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(_AROUND)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _takes_up(answer: Answer) -> bool:
    """Return whether an answer is made of the earlier one: enough of its letter trigrams stand there, too."""
    ours, theirs = _trigrams(answer.text), _trigrams(answer.earlier)
    return bool(ours) and len(ours & theirs) >= _TAKEN_UP * len(ours)


def _trigrams(text: str) -> set[str]:
    letters = _letters(text)
    return {letters[first : first + 3] for first in range(len(letters) - 2)}
