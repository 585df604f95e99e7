"""`crosstune chat`: ask a model, read its answer as it is written."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from crosstune.errors import BadInputError
from crosstune.prompts.conversation import Turn
from crosstune.terminal.output import console, note
from crosstune.terminal.output import shown as as_shown

if TYPE_CHECKING:  # torch takes seconds to import: the prompt comes first
    from crosstune.serve.assistant import Assistant
    from crosstune.serve.decoding import Decoding

_ALONE = "Each question stands for itself, as in training (--history sends the earlier ones along)."
_TOGETHER = "Earlier questions and answers are sent along; /new begins a new conversation."
_GREETING = (
    "A line that ends in \\ goes on in the next one (an instruction first, then its input). Ctrl-C stops an answer, "
    "Ctrl-D ends."
)
_NEW = "/new"


def chat(load: Callable[[], Assistant], decoding: Decoding, system: str = "", keeps_history: bool = False) -> None:
    """Answer the questions on standard input: a conversation at a terminal, one answer per question in a pipe.

    ``load`` reads the model; at a terminal it does so while the first question is typed. ``system`` is said before the
    first question; with ``keeps_history`` each question is asked behind the earlier ones and their answers, the oldest
    of which are left out, with a note, where the model has no room for all.

    Raises:
        BadInputError: when the model cannot be loaded, or its chat template has no place for a system text or for
            earlier turns.
    """
    interactive = sys.stdin.isatty()
    before = [Turn("system", system)] if system else []
    history: list[Turn] = []
    if interactive:
        console.print(f"{_TOGETHER if keeps_history else _ALONE} {_GREETING}", style="dim")
        assistant, typed = _load_while_typing(load)
    else:
        assistant, typed = load(), None
    for question in _questions(typed):
        if keeps_history and question == _NEW:
            history = []
            continue
        asked = Turn("user", question)
        prompt = _fitted(assistant, before, history, asked)
        answer = ""
        try:
            for part in _shown(assistant.stream(prompt, decoding)):
                answer += part
        except KeyboardInterrupt:
            if not interactive:
                raise
            sys.stdout.write("\n")
        if keeps_history and answer.strip():
            history += [asked, Turn("assistant", answer.strip())]


def _load_while_typing(load: Callable[[], Assistant]) -> tuple[Assistant, list[str]]:
    """Ask for the first question at once; return the model, and the lines that were typed until it was read.

    The model is read here and the terminal in a thread: so Ctrl-C and a model that cannot be read end both at once.
    """
    loaded, typed = threading.Event(), bytearray()
    status = console.status("loading the model")

    def read() -> None:
        # Not by sys.stdin, which could not be closed while a thread waits in it.
        while not typed.endswith(b"\n") and (part := os.read(sys.stdin.fileno(), 4096)):
            typed.extend(part)
        if not loaded.is_set():
            status.start()

    _ask()
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assistant = load()
        loaded.set()
        reader.join()
    except BaseException:
        console.print()  # behind the prompt
        raise
    finally:
        status.stop()
    return assistant, typed.decode(sys.stdin.encoding, errors="replace").splitlines(keepends=True)


def _fitted(assistant: Assistant, before: list[Turn], history: list[Turn], asked: Turn) -> list[int]:
    """Return the tokens of a conversation, and take its oldest exchanges out of the history until they fit."""
    while True:
        prompt = assistant.encode_turns([*before, *history, asked])
        try:
            assistant.room_for(prompt)
        except BadInputError:
            if not history:
                raise
            note(f"dropped the oldest question to make room: {history[0].content[:60]!r}")
            del history[:2]
        else:
            return prompt


def _questions(typed: list[str] | None) -> Iterator[str]:
    """Yield the questions; lines that end in a backslash go on in the next one.

    ``typed`` are lines of a terminal that were read already; None where nobody types.
    """
    ready = deque(typed or [""] * (typed is not None))
    lines: list[str] = []
    while True:
        if typed is not None and not ready:
            _ask(is_going_on=bool(lines))
        line = ready.popleft() if ready else sys.stdin.readline()
        lines.append(line.rstrip("\n").removesuffix("\\"))
        if line and line.rstrip("\n").endswith("\\"):
            continue
        if any(part.strip() for part in lines):
            yield "\n".join(lines).strip()
        if not line:
            return
        lines = []


def _ask(is_going_on: bool = False) -> None:
    console.print(f"[bold]{'…' if is_going_on else '>'}[/bold] ", end="")


def _shown(parts: Iterator[str]) -> Iterator[str]:
    """Write an answer's parts as they come, and yield them."""
    has_begun = False
    for part in parts:
        # The completion begins with the template's newline, which is no part of the answer.
        shown = part if has_begun else part.lstrip()
        has_begun = has_begun or bool(shown)
        sys.stdout.write(as_shown(shown))
        sys.stdout.flush()
        yield shown
    sys.stdout.write("\n")
    sys.stdout.flush()
