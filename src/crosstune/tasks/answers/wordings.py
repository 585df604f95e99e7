"""The wordings that instructions are made of, in a file for each language: requests, rules, second requests."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from crosstune.errors import BadInputError
from crosstune.languages.registry import language, usual_code
from crosstune.tasks.answers.rules import CASED, RULES

# What the wordings of a rule must hold, so that they say what is checked.
PLACES = {
    **dict.fromkeys(("words_at_least", "words_at_most", "sentences", "lines", "paragraphs", "bullets"), ("{number}",)),
    **dict.fromkeys(("again_shorter", "again_as_list"), ("{number}",)),
    **dict.fromkeys(("begin", "end", "again_begin"), ("{phrase}",)),
    "keywords": ("{first}", "{second}"),
    "no_keyword": ("{word}",),
    "json": ("{keys}",),
}
_PLACE = re.compile(r"\{\w+\}")
# What a rule draws from besides its wordings.
_NEEDS = {
    "begin": "openings",
    "again_begin": "openings",
    "end": "endings",
    "json": "json_keys",
    "language": "answer_in",
}
_SECTIONS = ("language", "requests", "rules", *dict.fromkeys(_NEEDS.values()))


@dataclass(frozen=True)
class WrittenRequest:
    """What is asked for, and words that an answer to it may well hold."""

    ask: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class RequestWordings:
    """How a language asks.

    Attributes:
        rules: by kind, the ways to ask for it; a kind that is not there is not asked.
        openings: phrases to begin with.
        endings: phrases to end with.
        json_keys: keys of an object.
        answer_in: by language, how to ask for an answer in it.
    """

    code: str
    requests: tuple[WrittenRequest, ...]
    rules: Mapping[str, tuple[str, ...]]
    openings: tuple[str, ...]
    endings: tuple[str, ...]
    json_keys: tuple[tuple[str, ...], ...]
    answer_in: Mapping[str, str]

    @property
    def kinds(self) -> list[str]:
        """Return the kinds of rules that are asked, those of letters with case only where there are some."""
        has_case = language(self.code).has_case
        return [kind for kind in RULES if kind in self.rules and (has_case or kind not in CASED)]


def read_wordings(path: Path, code: str) -> RequestWordings:
    """Read a file of wordings.

    Raises:
        BadInputError: with all that is wrong with it, and what a right one holds.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: this is no YAML in UTF-8, as wordings of instructions are: {error}") from None
    wrong = list(_problems(content, code))
    if wrong:
        listed = "\n".join(f"  {problem}" for problem in wrong)
        raise BadInputError(
            f"{path}: instructions in {code!r} were to be made of these wordings, but\n{listed}\n"
            "docs/instructions.md shows such a file"
        )
    return RequestWordings(
        code,
        tuple(WrittenRequest(one["ask"], tuple(one["words"])) for one in content["requests"]),
        {kind: tuple(texts or ()) for kind, texts in content["rules"].items()},
        tuple(content.get("openings", ())),
        tuple(content.get("endings", ())),
        tuple(map(tuple, content.get("json_keys", ()))),
        {usual_code(str(other)): text for other, text in content.get("answer_in", {}).items()},
    )


def _problems(content: Any, code: str) -> Iterator[str]:
    if not isinstance(content, Mapping):
        yield f"it holds no mapping; wanted: {', '.join(_SECTIONS)}"
        return
    for section in content:
        if section not in _SECTIONS:
            yield f"`{section}` is no part of it; there are {', '.join(_SECTIONS)}"
    if usual_code(str(content.get("language"))) != code:
        yield f"`language` is {content.get('language')!r}, and {code!r} is asked for"
    yield from _problems_of_requests(content.get("requests"))
    rules = content.get("rules")
    if not isinstance(rules, Mapping) or not rules:
        yield f"`rules` holds no wordings; give lists of them under some of {', '.join(RULES)}"
        return
    for kind, texts in rules.items():
        yield from _problems_of_rule(str(kind), texts, content)
    if all(str(kind).startswith("again") for kind in rules):
        yield "`rules` has second requests only; give some that a first one may hold"
    for section in ("openings", "endings"):
        if not _are_texts(content.get(section, [])):
            yield f"`{section}` is no list of texts"
    for keys in content.get("json_keys") or ():
        if not _are_texts(keys) or len({*keys}) < 2:
            yield f"`json_keys`: {keys!r} are not two or more different texts"
    yield from _problems_of_languages(content.get("answer_in") or {})


def _problems_of_languages(answers: Any) -> Iterator[str]:
    if not isinstance(answers, Mapping) or not all(isinstance(text, str) and text for text in answers.values()):
        yield "`answer_in` does not say for each language how to ask for an answer in it"
        return
    for code in answers:
        try:
            language(str(code))
        except BadInputError as error:
            yield f"`answer_in`: {error}"


def _problems_of_requests(requests: Any) -> Iterator[str]:
    if not isinstance(requests, list) or not requests:
        yield "`requests` is no list of requests, each with `ask` and two `words`"
        return
    for number, one in enumerate(requests, start=1):
        is_one = isinstance(one, Mapping) and isinstance(one.get("ask"), str) and one["ask"].strip()
        if not is_one or not _are_texts(one.get("words")) or len({*one["words"]}) < 2:
            yield f"request {number} has no text `ask` and two different `words` that an answer may hold: {one!r}"
    asked = [one["ask"] for one in requests if isinstance(one, Mapping) and "ask" in one]
    if len({*map(str, asked)}) < len(asked):
        yield "`requests` holds the same `ask` twice"


def _problems_of_rule(kind: str, texts: Any, content: Mapping[str, Any]) -> Iterator[str]:
    if kind not in RULES:
        yield f"`rules.{kind}` is no rule; there are {', '.join(RULES)}"
    elif kind != "language" and (not _are_texts(texts) or not texts):
        yield f"`rules.{kind}` is no list of wordings"
    elif kind != "language":
        for text in texts:
            missing = [place for place in PLACES.get(kind, ()) if place not in text]
            if missing:
                yield f"`rules.{kind}`: {text!r} does not say {' and '.join(missing)}"
            # What nothing is put in for would be asked as it stands.
            if unknown := sorted({*_PLACE.findall(text)} - {*PLACES.get(kind, ())}):
                allowed = " and ".join(PLACES.get(kind, ())) or "none"
                yield f"`rules.{kind}`: {text!r} says {' and '.join(unknown)}; there is {allowed}"
    elif texts:
        yield "`rules.language` takes no wordings, which stand in `answer_in`: write `language: []`"
    needed = _NEEDS.get(kind)
    if needed and not content.get(needed):
        yield f"`rules.{kind}` needs `{needed}`"


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) and text.strip() for text in value)
