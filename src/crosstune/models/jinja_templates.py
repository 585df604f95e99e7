"""What a chat template writes for turns: its options set, its date fixed, its failures named.

A template is a program of the model's makers. It is run for every text, since it may strip, cut or change what it is
given, and read switches out of it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError
from crosstune.prompts.conversation import Turn
from crosstune.prompts.templates import TEMPLATES

FILE = "chat_template.jinja"
CONFIGURATION = "tokenizer_config.json"
QUESTION, ANSWER = "{instruction}", "{output}"
# An answer that a template would change: by cutting it, by its letters, its marks or its lines.
_AWKWARD = 'One "answer" \\ <b>\n  in {two} lines: ' + "네. " * 400 + "End."
_PLACES: dict[str, list[Turn]] = {
    "alone": [],
    "with a system text": [Turn("system", "s")],
    "after earlier turns": [Turn("user", "u"), Turn("assistant", "a")],
    "after earlier turns and a system text": [Turn("system", "s"), Turn("user", "u"), Turn("assistant", "a")],
}
# The only clock that transformers gives to templates, with a format that the template itself holds.
_CLOCK = re.compile(r"strftime_now\s*\(\s*(\"[^\"]*\"|'[^']*')\s*\)")
# By whatever name a template calls it later; it may ask whether there is one.
_ANY_CLOCK = re.compile(r"strftime_now\b(?!\s+is\s)")
# Tags of transformers around what the model writes; they change no text.
_ANSWER_TAGS = re.compile(r"\{%[-+]?\s*(end)?generation\s*[-+]?%\}")
# What every template is given: no option of a recipe may take its place.
_GIVEN = {"messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now"}
# Templates of models for text and pictures may read a content that is a list of parts, and pass over a text.
_TEXTS_AS_PARTS = (
    "{% set given = namespace(messages=[]) %}{% for message in messages %}"
    "{% if message['content'] is string %}"
    "{% set message = dict(message, content=[{'type': 'text', 'text': message['content']}]) %}{% endif %}"
    "{% set given.messages = given.messages + [message] %}{% endfor %}{% set messages = given.messages %}"
)


def frozen(jinja: str, options: Mapping[str, Any], today: date | None, name: str) -> str:
    """Return a template whose options are set and which writes one date for ever: the clock is no hidden input.

    Raises:
        BadInputError: when it asks for the clock in a way that cannot be replaced by a date.
    """
    if today is not None:
        jinja = _CLOCK.sub(lambda call: json.dumps(today.strftime(call[1][1:-1])), jinja)
        if _ANY_CLOCK.search(jinja):
            raise BadInputError(
                f"the chat template of {name!r} writes today's date in a form that it computes, so the recipe would "
                f"change every day. Replace strftime_now(...) in its chat_template.jinja by a fixed date"
            )
    settings = "".join(f"{{% set {key} = {_literal(value)} %}}" for key, value in options.items())
    return settings + jinja


def render(jinja: str, tokens: Mapping[str, str], turns: Sequence[Turn], with_system: bool) -> str:
    """Return what a chat template writes for turns; it goes on with the answer where the last is a user's.

    Raises:
        BadInputError: when the template cannot be read, or refuses the turns.
    """
    # Imported here: `crosstune report` shows prompts of our own templates, which need none of it.
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = [{"role": turn.role, "content": turn.content} for turn in _placed(turns, with_system)]
    ask, named = turns[-1].role != "assistant", dict[str, Any](tokens)
    try:
        written: Any = render_jinja_template([messages], chat_template=jinja, add_generation_prompt=ask, **named)
    # A template is a program: it raises what it likes, from a message of its own to a TypeError.
    except Exception as error:
        raise BadInputError(f"{type(error).__name__}: {error}") from None
    return str(written[0][0] if isinstance(written, tuple) else written)


@contextmanager
def failures_named(name: str) -> Iterator[None]:
    """Let an error of a template say whose it is, and what to do."""
    try:
        yield
    except BadInputError as error:
        raise BadInputError(
            f"the chat template of {name!r} fails: {str(error).rstrip('.')}. Correct {_place_of(name)}, or use "
            f"another prompt: data.prompt, --prompt {'|'.join(TEMPLATES)}"
        ) from None


def _place_of(name: str) -> str:
    """Return where the chat template of a folder, a GGUF file or a hub id stands."""
    folder = Path(name)
    if folder.is_file():
        return "tokenizer.chat_template in the file"
    if folder.is_dir() and not (folder / FILE).exists():
        return f"chat_template in its {CONFIGURATION}"
    return f"its {FILE}"


def refuse_failing(jinja: str, tokens: Mapping[str, str], name: str) -> None:
    """Stop where a template cannot put a question.

    Raises:
        BadInputError: when it fails, or leaves out what it is asked.
    """
    with failures_named(name):
        if QUESTION not in render(jinja, tokens, [Turn("user", QUESTION)], True):
            raise BadInputError("it leaves out what a user asks")


def has_system(jinja: str, tokens: Mapping[str, str]) -> bool:
    """Return whether what a template writes depends on the system text that it is given, in whatever form."""
    try:
        first, second = (
            render(jinja, tokens, [Turn("system", text), Turn("user", QUESTION)], True) for text in (ANSWER, "{input}")
        )
    except BadInputError:
        return False
    return first != second


def given_texts(jinja: str, tokens: Mapping[str, str]) -> str:
    """Return a template that reads contents that are texts, where it passes over all that is no list of parts."""
    reads_parts = _TEXTS_AS_PARTS + jinja
    return reads_parts if not _asks(jinja, tokens) and _asks(reads_parts, tokens) else jinja


def _asks(jinja: str, tokens: Mapping[str, str]) -> bool:
    try:
        return QUESTION in render(jinja, tokens, [Turn("user", QUESTION)], True)
    except BadInputError:
        return False


def refuse_unread_options(
    options: Mapping[str, Any], jinja: str, name: str, asked: str = "data.template_options"
) -> None:
    """Stop at an option that a template never reads: a model would think on, and nobody would be told.

    ``asked`` is the setting that holds them.

    Raises:
        BadInputError: with the options that it does read.
    """
    if not options:
        return
    known = _options_of(jinja, name)
    if unread := [option for option in options if option not in known]:
        raise BadInputError(
            f"{asked}: the chat template of {name!r} reads no {' and no '.join(unread)}. "
            + (f"It reads {', '.join(known)}. " if known else "")
            + "Correct the name, or leave it out"
        )


def _options_of(jinja: str, name: str) -> list[str]:
    """Return the names that a template asks for, and that nothing gives it."""
    # Imported here: most recipes use a template of ours, which asks for nothing.
    from jinja2 import Environment, TemplateSyntaxError, meta

    try:
        parsed = Environment(extensions=["jinja2.ext.loopcontrols"]).parse(_ANSWER_TAGS.sub("", jinja))
    except TemplateSyntaxError as error:
        with failures_named(name):
            raise BadInputError(f"{type(error).__name__}: {error}") from None
    asked = meta.find_undeclared_variables(parsed) - _GIVEN
    return sorted(variable for variable in asked if not variable.endswith("_token"))


def refuse_changed_answers(jinja: str, tokens: Mapping[str, str], around: tuple[str, str], name: str) -> None:
    """Stop where a template writes an answer otherwise than it would be learnt: as it is, between two texts.

    Raises:
        BadInputError: with the place, and both forms.
    """
    before, after = around
    for where, earlier in _PLACES.items():
        turns = [*earlier, Turn("user", QUESTION)]
        try:
            question = render(jinja, tokens, turns, True)
            whole = render(jinja, tokens, [*turns, Turn("assistant", _AWKWARD)], True)
        except BadInputError:
            continue  # It has no such place.
        # A template may move a system text into the last question, and so write what stands before it otherwise.
        asked, answered = (text.rpartition(QUESTION)[2] for text in (question, whole))
        learnt = asked + before + _AWKWARD + after
        if not answered.startswith(learnt):
            raise BadInputError(
                f"the chat template of {name!r} changes what a model answers: {where} it writes {_shown(answered)} "
                f"after the text of the question, but {_shown(learnt)} would be learnt. Correct {_place_of(name)}, or "
                f"set data.prompt to one of {', '.join(TEMPLATES)}"
            )


def _shown(text: str) -> str:
    return repr(text if len(text) < 160 else f"{text[:80]} … {text[-60:]}")


def _placed(turns: Sequence[Turn], with_system: bool) -> list[Turn]:
    """Return the turns, system texts before the first question where the template has no place for them."""
    if with_system or not any(turn.role == "system" for turn in turns):
        return list(turns)
    system = [turn.content for turn in turns if turn.role == "system"]
    others = [turn for turn in turns if turn.role != "system"]
    first = next((index for index, turn in enumerate(others) if turn.role == "user"), None)
    if first is not None:
        others[first] = Turn("user", "\n\n".join([*system, others[first].content]))
    return others


def _literal(value: Any) -> str:
    """Return a value as Jinja writes it: as JSON, but for ``null``."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
