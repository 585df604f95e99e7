"""What a row's content means: its texts by language, by ``instruction, input, output``, or as ``text``."""

from collections.abc import Callable, Mapping
from typing import Any

from crosstune.data.readers import chat
from crosstune.data.readers.tables import Columns
from crosstune.data.rows import texts_problem
from crosstune.languages.registry import codes_of, language_names
from crosstune.recipe import Languages, Source

Interpret = Callable[[Any], list[dict[str, str]] | str]
"""Takes a row's content; returns the texts of its one or more rows, or what is wrong with it."""

# AI-Hub's 한국어-영어 번역(병렬) 말뭉치: the original is Korean, the translation English.
_AIHUB_HEADERS = {"ko": "원문", "en": "번역문"}


def columns_of(source: Source, languages: Languages) -> Columns:
    """Return the table columns that a source needs."""
    if source.kind == "parallel":
        names = {language: _language_headers(language) for language in (languages.source, languages.target)}
    elif source.kind == "instructions":
        names = {field: frozenset({field}) for field in ("instruction", "input", "output")}
    else:
        names = {"text": frozenset({"text"})}
    names |= {field: frozenset({header.lower()}) for field, header in source.columns.items() if field in names}
    may_lack_header = source.kind == "parallel" and not source.columns
    optional = frozenset({"input"} & names.keys() - source.columns.keys())
    return Columns(names, optional, may_lack_header)


def _language_headers(language: str) -> frozenset[str]:
    # In English, in Korean, and in the language itself: German, 독일어, Deutsch.
    names = {name.lower() for asked in ("en", "ko", language) if (name := language_names(asked).get(language))}
    codes = (code.lower() for code in codes_of(language))
    return frozenset({*codes, *names, *filter(None, [_AIHUB_HEADERS.get(language)])})


def interpreter(source: Source, languages: Languages) -> Interpret:
    """Return what makes texts of a row's content, its keys renamed as the source's ``columns`` say."""
    if source.kind == "parallel":
        interpret = _pair((languages.source, languages.target))
    elif source.kind == "instructions":
        interpret = _instruction(source.chat_turns == "first")
    else:
        interpret = _text
    if not source.columns:
        return interpret
    return _renamed(interpret, source.columns)


def _renamed(interpret: Interpret, columns: Mapping[str, str]) -> Interpret:
    def interpret_renamed(content: Any) -> list[dict[str, str]] | str:
        if not isinstance(content, Mapping):
            return interpret(content)
        missing = [name for name in columns.values() if name not in content]
        if missing:
            there = ", ".join(map(str, content)) or "none"
            return f"no key {missing[0]!r}, which `columns` names; there are {there}"
        others = {key: value for key, value in content.items() if key not in columns}
        return interpret(others | {field: content[name] for field, name in columns.items()})

    return interpret_renamed


def _pair(pair: tuple[str, str]) -> Interpret:
    def interpret(content: Any) -> list[dict[str, str]] | str:
        # The layout of the hub's translation data sets: {"translation": {"en": ..., "ko": ...}}.
        inner = content.get("translation") if isinstance(content, Mapping) else None
        row = inner if isinstance(inner, Mapping) else content
        return texts_problem(row, pair) or [{language: row[language] for language in pair}]

    return interpret


def _instruction(first_only: bool) -> Interpret:
    def interpret(content: Any) -> list[dict[str, str]] | str:
        if isinstance(content, Mapping) and "instruction" not in content and (key := chat.layout_of(content)):
            return chat.exchanges(content[key], first_only)
        problem = texts_problem(content, ("instruction", "output"))
        if problem:
            return problem
        # KoAlpaca 1.1 has no `input`; some sets write null for none.
        texts = {
            "instruction": content["instruction"],
            "input": content.get("input") or "",
            "output": content["output"],
        }
        return texts_problem(texts, ("input",)) or [texts]

    return interpret


def _text(content: Any) -> list[dict[str, str]] | str:
    return texts_problem(content, ("text",)) or [{"text": content["text"]}]
