"""`crosstune chat`: ask a model, read its answer as it is written."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crosstune.errors import BadInputError
from crosstune.prompts.conversation import Turn
from crosstune.terminal import console, note
from crosstune.terminal import shown as as_shown

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
    with _in_background(load) if interactive else _at_once(load) as loaded:
        for question in _questions(interactive):
            if keeps_history and question == _NEW:
                history = []
                continue
            assistant = loaded()
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


@contextmanager
def _at_once(load: Callable[[], Assistant]) -> Iterator[Callable[[], Assistant]]:
    assistant = load()
    yield lambda: assistant


@contextmanager
def _in_background(load: Callable[[], Assistant]) -> Iterator[Callable[[], Assistant]]:
    """Load in a thread; what is yielded waits for the model. A failure is raised at once, also out of `readline`."""
    failures: list[Exception] = []

    def attempt() -> Assistant:
        try:
            return load()
        except Exception as error:
            failures.append(error)
            if hasattr(signal, "pthread_kill"):  # elsewhere the failure is told when the question has been typed
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            raise

    with ThreadPoolExecutor(max_workers=1) as thread:
        loading = thread.submit(attempt)

        def loaded() -> Assistant:
            if loading.done():
                return loading.result()
            with console.status("loading the model"):
                return loading.result()

        try:
            yield loaded
        except KeyboardInterrupt:
            if not failures:
                raise
            console.print()  # the prompt's line
            raise failures[0] from None


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


def _questions(interactive: bool) -> Iterator[str]:
    """Yield the questions; lines that end in a backslash go on in the next one."""
    lines: list[str] = []
    while True:
        if interactive:
            console.print("[bold]…[/bold] " if lines else "[bold]>[/bold] ", end="")
        line = sys.stdin.readline()
        lines.append(line.rstrip("\n").removesuffix("\\"))
        if line and line.rstrip("\n").endswith("\\"):
            continue
        if any(part.strip() for part in lines):
            yield "\n".join(lines).strip()
        if not line:
            return
        lines = []


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
