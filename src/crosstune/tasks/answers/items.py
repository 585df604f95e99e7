"""Instructions made from wordings: the same seed gives the same items, whatever the model and the other language."""

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

from crosstune.languages.registry import language
from crosstune.tasks.answers.rules import SEPARATOR, Rule
from crosstune.tasks.answers.wordings import RequestWordings, WrittenRequest

# Few enough for an answer of 96 tokens of a tokenizer that knows the language little.
_NUMBERS = {
    "words_at_least": (15, 20, 25),
    "words_at_most": (10, 15, 20),
    "sentences": (2, 3, 4),
    "lines": (3, 4, 5),
    "paragraphs": (2, 3),
    "bullets": (3, 4, 5),
    "again_shorter": (8, 10, 12),
    "again_as_list": (2, 3, 4),
}
# How many characters stand for a word in scripts without spaces.
_CHARACTERS_PER_WORD = 2
_IN_WORDS = ("words_at_least", "words_at_most", "again_shorter")
# What may be asked besides another rule, and of which the two exclude each other.
_SECOND = ("keywords", "no_keyword", "no_commas")
_EXCLUDED = {("json", "no_commas"), ("language", "keywords"), ("language", "no_keyword"), ("keywords", "no_keyword")}
_SHARE_OF_TWO = 1 / 3


def instruction_items(wordings: RequestWordings, max_items: int | None, seed: int) -> Iterator[dict[str, Any]]:
    """Yield instructions, every request with every kind of rule; the first of them have all kinds equally often.

    A third of those of a single turn ask for a second thing. A second request is asked when the first is answered.
    """
    generator = random.Random(f"{seed} {wordings.code}")
    kinds, requests = wordings.kinds, list(wordings.requests)
    generator.shuffle(kinds)
    generator.shuffle(requests)
    for number, (turn, place) in enumerate(product(range(len(requests)), range(len(kinds)))):
        if number == max_items:
            return
        # Each turn meets the next request, so that a few items are about many things.
        request, kind = requests[(turn + place) % len(requests)], kinds[place]
        rules = [_drawn(kind, request, wordings, generator)]
        is_second = kind.startswith("again")
        if not is_second and generator.random() < _SHARE_OF_TWO:
            rules += [_drawn(other, request, wordings, generator) for other in _beside(kind, kinds, generator)]
        said = [_said(rule, wordings, generator) for rule in rules]
        yield {
            "id": f"{number + 1:04d}-{kind}",
            "request": request.ask if is_second else " ".join([request.ask, *said]),
            "follow_up": said[0] if is_second else "",
            "rules": list(map(str, rules)),
        }


def _beside(kind: str, kinds: list[str], generator: random.Random) -> list[str]:
    others = [
        other
        for other in _SECOND
        if other in kinds and other != kind and not _EXCLUDED & {(kind, other), (other, kind)}
    ]
    return [generator.choice(others)] if others else []


def _drawn(kind: str, request: WrittenRequest, wordings: RequestWordings, generator: random.Random) -> Rule:
    """Return a rule of a kind, with what it asks for drawn."""
    if kind in _NUMBERS:
        is_longer = kind in _IN_WORDS and not language(wordings.code).is_spaced
        return Rule(kind, str(generator.choice(_NUMBERS[kind]) * (_CHARACTERS_PER_WORD if is_longer else 1)))
    choices: dict[str, list[str]] = {
        "keywords": [SEPARATOR.join(generator.sample(request.words, 2))],
        "no_keyword": list(request.words),
        "json": [SEPARATOR.join(keys) for keys in wordings.json_keys],
        "language": list(wordings.answer_in),
        "begin": list(wordings.openings),
        "again_begin": list(wordings.openings),
        "end": list(wordings.endings),
    }
    return Rule(kind, generator.choice(choices[kind]) if kind in choices else "")


def _said(rule: Rule, wordings: RequestWordings, generator: random.Random) -> str:
    """Return a rule in words of its language."""
    if rule.kind == "language":
        return wordings.answer_in[rule.argument]
    text = generator.choice(wordings.rules[rule.kind])
    parts = rule.argument.split(SEPARATOR)
    places = {"{number}": rule.argument, "{phrase}": rule.argument, "{word}": rule.argument}
    places |= {"{first}": parts[0], "{second}": parts[-1], "{keys}": ", ".join(f'"{part}"' for part in parts)}
    for place, value in places.items():
        text = text.replace(place, value)
    return text
