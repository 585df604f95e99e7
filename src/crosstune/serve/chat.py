"""`crosstune chat`: ask a model, read its answer as it is written."""

import sys
from collections.abc import Iterator

from crosstune.serve.assistant import Assistant, Decoding
from crosstune.terminal import console
from crosstune.terminal import shown as as_shown

_GREETING = (
    "Each question stands for itself, as in training. A line that ends in \\ goes on in the next one "
    "(an instruction first, then its input). Ctrl-C stops an answer, Ctrl-D ends."
)


def chat(assistant: Assistant, decoding: Decoding) -> None:
    """Answer the questions on standard input: a conversation at a terminal, one answer per question in a pipe."""
    interactive = sys.stdin.isatty()
    if interactive:
        console.print(_GREETING, style="dim")
    for question in _questions(interactive):
        instruction, _, text = question.partition("\n")
        try:
            _print_answer(assistant.stream(assistant.encode(instruction, text), decoding))
        except KeyboardInterrupt:
            if not interactive:
                raise
            sys.stdout.write("\n")


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


def _print_answer(parts: Iterator[str]) -> None:
    has_begun = False
    for part in parts:
        # The completion begins with the template's newline, which is no part of the answer.
        shown = part if has_begun else part.lstrip()
        has_begun = has_begun or bool(shown)
        sys.stdout.write(as_shown(shown))
        sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()
