"""What a row's content means: its texts by language, by ``instruction, input, output``, or as ``text``."""

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any
from unicodedata import normalize

from crosstune.data.readers import chat
from crosstune.data.readers.tables import Columns
from crosstune.data.rows import is_encodable, texts_problem
from crosstune.data.text_checks import says_no_input
from crosstune.languages.registry import codes_of, language_names
from crosstune.prompts.conversation import Turn, with_turns
from crosstune.recipe import Languages, Source

Interpret = Callable[[Any], list[dict[str, str]] | str]
"""Takes a row's content; returns the texts of its one or more rows, or what is wrong with it."""

# AI-Hub's 한국어-영어 번역(병렬) 말뭉치: the original is Korean, the translation English.
_AIHUB_HEADERS = {"ko": "원문", "en": "번역문"}


# Keys that change what a row means: read where it is said below, and refused by name where they hold something. They
# are compared without case and signs: systemPrompt is system_prompt.
_WEIGHTS = ("loss_weight", "loss_mask", "sample_weight", "example_weight")
_UNREAD = {
    "instructions": (
        *("tools", "tool_calls", "functions", "function_call", "chosen", "rejected", "kto_tag", "kto_label"),
        *("image", "images", "video", "videos", "audio", "audios", "attachments", "files"),
        *("context", "contexts", "passage", "passages", "document", "documents", "knowledge", "background"),
        *("article", "evidence", "question", "query", "options", "choices", "candidates", "table", "schema", "hint"),
        *("examples", "demonstrations", "few_shot", "persona", "is_correct", "observation", "tool_results"),
        *("reasoning", "reasoning_content", "thinking", "thoughts"),
        *("system_prompt", "system_message", "system_instruction", "developer"),
        *("chat_history", "conversation_history", "dialogue_history", "dialog_history", "previous_turns", "past_turns"),
        *("conversation", "dialogue", "dialog", "dialogs", "turns", "persona_prompt", "img", "tool", "api_calls"),
        *("chosen_response", "rejected_response", "rejected_output", "reject", "image_path", *_WEIGHTS),
    ),
    "parallel": _WEIGHTS,
    "text": _WEIGHTS,
}
# What says of a whole row that nothing is to be learnt from it, and by which values.
_SAYS_NO = ("train", "training", "trainable", "loss", "is_correct")
_SAYS_YES = ("mask", "masked", "deleted", "is_deleted", "ignore", "ignored")
_NO, _YES = ("0", "0.0", "false", "no"), ("1", "1.0", "true", "yes")
# What is read under exactly these names: "Input" and "input_2" are others, and refused.
_READ = {
    "instructions": ("instruction", "input", "output", "system", "history", "weight"),
    "parallel": ("weight",),
    "text": ("weight",),
}
_SIGNS = re.compile(r"[\W_]+")
_NUMBERED = re.compile(r"s?\d*$")


def columns_of(source: Source, languages: Languages) -> Columns:
    """Return the table columns that a source needs, and those that change the meaning of its rows."""
    if source.kind == "parallel":
        names = {language: _language_headers(language) for language in languages.codes}
    elif source.kind == "instructions":
        # A conversation in a cell is JSON.
        has_turns = "messages" in source.columns and "instruction" not in source.columns
        fields = ("messages", "system") if has_turns else ("instruction", "input", "output", "history", "system")
        names = {field: frozenset({field}) for field in fields}
    else:
        names = {"text": frozenset({"text"})}
    names |= {field: frozenset({header.lower()}) for field, header in source.columns.items() if field in names}
    needed = names.keys() - ({"input", "history", "system"} - source.columns.keys())
    # A column that the recipe takes for a text is none of these.
    taken = {header.lower() for header in source.columns.values()}
    telling = dict.fromkeys(("weight", *_UNREAD[source.kind], *_SAYS_NO, *_SAYS_YES))
    names |= {key: _spellings(key) for key in telling if not _spellings(key) & taken}
    optional = frozenset(names.keys() - needed)
    may_lack_header = source.kind == "parallel" and not source.columns
    return Columns(names, optional, may_lack_header)


def _language_headers(language: str) -> frozenset[str]:
    # In English, in Korean, and in the language itself: German, 독일어, Deutsch.
    names = {name.lower() for asked in ("en", "ko", language) if (name := language_names(asked).get(language))}
    codes = (code.lower() for code in codes_of(language))
    return frozenset({*codes, *names, *filter(None, [_AIHUB_HEADERS.get(language)])})


def interpreter(source: Source, languages: Languages) -> Interpret:
    """Return what makes texts of a row's content, its keys renamed as the source's ``columns`` say."""
    if source.kind == "parallel":
        interpret = _pair(languages.codes)
    elif source.kind == "instructions":
        interpret = _instruction(source.chat_turns == "first")
    else:
        interpret = _text
    interpret = _refusing(interpret, source.kind)
    if not source.columns:
        return interpret
    return _renamed(interpret, source.columns)


def _spellings(key: str) -> frozenset[str]:
    return frozenset(key.replace("_", sign) for sign in ("_", "-", " ", ""))


@lru_cache(4096)
def _bare(key: Any) -> str:
    return _SIGNS.sub("", key).lower() if isinstance(key, str) else ""


def _refusing(interpret: Interpret, kind: str) -> Interpret:
    unread, read = {_bare(key) for key in _UNREAD[kind]}, _READ[kind]

    # The rows of a corpus have the same few keys.
    @lru_cache(4096)
    def is_refused(key: Any) -> bool:
        bare = _bare(key)
        is_misspelt = key not in read and bool({bare, _NUMBERED.sub("", bare)} & {*read})
        return is_misspelt or bare in unread

    def is_unread(key: Any, value: Any) -> bool:
        # A label that is true or false says whether the answer is wanted: Hugging Face's rows for KTO.
        says_unwanted = kind == "instructions" and key == "label" and isinstance(value, bool)
        return (says_unwanted or is_refused(key)) and not chat.is_nothing(value)

    says_no, says_yes = ({_bare(key) for key in keys} for keys in (_SAYS_NO, _SAYS_YES))

    def is_left_out(key: Any, value: Any) -> bool:
        bare = _bare(key)
        said = _NO if bare in says_no else _YES if bare in says_yes else ()
        return bool(said) and isinstance(value, bool | int | float | str) and str(value).strip().lower() in said

    @lru_cache(4096)
    def may_refuse(key: Any) -> bool:
        is_label = kind == "instructions" and key == "label"
        return key == "weight" or is_label or is_refused(key) or _bare(key) in says_no | says_yes

    def interpret_refusing(content: Any) -> list[dict[str, str]] | str:
        if isinstance(content, Mapping) and any(map(may_refuse, content)):
            found = [key for key, value in content.items() if is_unread(key, value)]
            if found:
                return (
                    f"{found[0]!r} changes what the row means and is not read; remove the key where it is not needed, "
                    "or name it in `columns` where it is one of the row's texts"
                )
            left_out = [key for key, value in content.items() if is_left_out(key, value)]
            if left_out:
                return f"{left_out[0]!r} says that the row is not to be learnt, and is not read; take the row out"
            if not chat.is_nothing(content.get("weight")) and str(content["weight"]) not in ("1", "1.0"):
                return f"a 'weight' of {content['weight']!r} is not read: give sources weights in `mixtures`"
        return interpret(content)

    return interpret_refusing


def _renamed(interpret: Interpret, columns: Mapping[str, str]) -> Interpret:
    def interpret_renamed(content: Any) -> list[dict[str, str]] | str:
        if not isinstance(content, Mapping):
            return interpret(content)
        inner = content.get("translation")
        if isinstance(inner, Mapping) and all(name in inner for name in columns.values()):
            content = inner
        missing = [name for name in columns.values() if name not in content]
        if missing:
            # macOS may have decomposed them: 본문 looks the same.
            content = {normalize("NFC", key) if isinstance(key, str) else key: content[key] for key in content}
            missing = [name for name in missing if name not in content]
        if missing:
            there = ", ".join(map(str, content)) or "none"
            return f"no key {missing[0]!r}, which `columns` names; there are {there}"
        renamed = {*columns, *columns.values()}
        others = {key: value for key, value in content.items() if key not in renamed}
        return interpret(others | {field: content[name] for field, name in columns.items()})

    return interpret_renamed


def _pair(pair: tuple[str, str]) -> Interpret:
    headers = {language: _language_headers(language) for language in pair}

    def interpret(content: Any) -> list[dict[str, str]] | str:
        # The layout of the hub's translation data sets: {"translation": {"en": ..., "ko": ...}}.
        inner = content.get("translation") if isinstance(content, Mapping) else None
        row = inner if isinstance(inner, Mapping) else content
        if isinstance(row, Mapping) and not all(language in row for language in pair):
            row = _by_language(row, headers)
        return texts_problem(row, pair) or [{language: row[language] for language in pair}]

    return interpret


def _by_language(row: Mapping[Any, Any], headers: Mapping[str, frozenset[str]]) -> Mapping[Any, Any]:
    """Return a row whose languages have other names, as tables do (한국어, eng_Latn), by their codes."""
    found = {
        language: [key for key in row if isinstance(key, str) and _title(key) in _hyphened(names)]
        for language, names in headers.items()
    }
    return {
        **row,
        **{language: row[keys[0]] for language, keys in found.items() if len(keys) == 1 and language not in row},
    }


@lru_cache(4096)
def _title(key: str) -> str:
    return normalize("NFC", key.lower()).replace("_", "-")


@cache
def _hyphened(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.replace("_", "-") for name in names)


def _instruction(first_only: bool) -> Interpret:
    def interpret(content: Any) -> list[dict[str, str]] | str:
        if not isinstance(content, Mapping):
            return texts_problem(content, ("instruction", "output")) or []
        layouts = [key for key in ("instruction", *chat.LAYOUTS) if key in content]
        if len(layouts) > 1:
            return f"holds {' and '.join(map(repr, layouts))}; which is meant cannot be known"
        system = content.get("system")
        if not chat.is_nothing(system) and not isinstance(system, str):
            return "'system' is not a text"
        if layout := chat.layout_of(content):
            if not chat.is_nothing(content.get("history")):
                return f"holds 'history' beside {layout!r}; put its turns into {layout!r}"
            return chat.exchanges(content[layout], first_only, system or "")
        if isinstance(content.get("instances"), list) and "output" not in content:
            return _of_instances(content)
        return _alpaca(content)

    return interpret


def _of_instances(content: Mapping[str, Any]) -> list[dict[str, str]] | str:
    """Return a row for each instance of a Self-Instruct task: one instruction with several inputs and outputs."""
    found: list[dict[str, str]] = []
    shared = {key: value for key, value in content.items() if key != "instances"}
    for number, instance in enumerate(content["instances"], start=1):
        if not isinstance(instance, Mapping):
            return f"instance {number} is not an object with the keys input and output"
        rows = _alpaca({**shared, **instance})
        if isinstance(rows, str):
            return f"instance {number}: {rows}"
        found.extend(rows)
    return found or "'instances' is empty, so there is nothing to learn"


def _alpaca(content: Mapping[str, Any]) -> list[dict[str, str]] | str:
    """Return the row of instruction, input and output, with LLaMA-Factory's ``system`` and ``history`` before it."""
    problem = texts_problem(content, ("instruction", "output"))
    if problem:
        return problem
    # KoAlpaca 1.1 has no `input`; some sets write null for none.
    given = "" if chat.is_missing(content.get("input")) else content["input"]
    texts = {"instruction": content["instruction"], "input": given, "output": content["output"]}
    problem = texts_problem(texts, ("input",))
    if problem:
        return problem
    earlier = _history(content.get("history"))
    if isinstance(earlier, str):
        return earlier
    if system := content.get("system") or "":
        earlier.insert(0, Turn("system", system))
    if earlier and says_no_input(given):
        given = ""
    return [{**texts, "input": with_turns(given, earlier)}]


def _history(history: Any) -> list[Turn] | str:
    if chat.is_nothing(history):
        return []
    pairs = history if isinstance(history, list) else [None]
    turns: list[Turn] = []
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            return "'history' is not a list of pairs of a question and its answer"
        if not all(map(is_encodable, pair)):
            return "'history' holds half a surrogate pair, which is no character"
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    return turns


def _text(content: Any) -> list[dict[str, str]] | str:
    return texts_problem(content, ("text",)) or [{"text": content["text"]}]
