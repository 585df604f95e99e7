"""`crosstune chat` in a pipe, and which lines make a question."""

import io
import os
import threading
from collections.abc import Sequence
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from crosstune.cli import app
from crosstune.errors import BadInputError
from crosstune.prompts.conversation import Turn
from crosstune.serve.assistant import Assistant
from crosstune.serve.chat import chat
from crosstune.serve.decoding import Decoding
from crosstune.terminal.output import console


def asked(assistant: Assistant, monkeypatch: pytest.MonkeyPatch, typed: str) -> list[tuple[str, str]]:
    questions: list[tuple[str, str]] = []

    def encode(turns: Sequence[Turn]) -> list[int]:
        ((instruction, _, text),) = [turn.content.partition("\n") for turn in turns]
        questions.append((instruction, text))
        return [1, 5]

    monkeypatch.setattr(assistant, "encode_turns", encode)
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    chat(lambda: assistant, Decoding(4))
    return questions


@pytest.mark.parametrize(
    ("typed", "questions"),
    [
        ("one\ntwo\n", [("one", ""), ("two", "")]),
        ("one", [("one", "")]),
        ("do this\\\nwith that\n", [("do this", "with that")]),
        ("do this\\\nwith that\\\nand that\nnext\n", [("do this", "with that\nand that"), ("next", "")]),
        ("\n  \nlast\n", [("last", "")]),
        ("cut off\\", [("cut off", "")]),
        ("", []),
    ],
)
def test_lines_make_questions(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, typed: str, questions: list[tuple[str, str]]
) -> None:
    assert asked(assistant, monkeypatch, typed) == questions


def test_answers_stand_one_behind_another_on_standard_output(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decoding = Decoding(6)
    expected = [assistant.answers([assistant.encode(question)], decoding)[0][0] for question in ("Hi", "Bye")]
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi\nBye\n"))
    chat(lambda: assistant, decoding)
    written = capsys.readouterr().out
    assert [part.strip() for part in written.split("\n") if part.strip()] == [
        part.strip() for answer in expected for part in answer.split("\n") if part.strip()
    ]


def test_with_history_earlier_turns_are_sent_along_until_they_are_forgotten_or_do_not_fit(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conversations: list[list[tuple[str, str]]] = []

    def encode(turns: Sequence[Turn]) -> list[int]:
        conversations.append([(turn.role, turn.content) for turn in turns])
        return [1] * len(turns)

    def room_for(prompt: Sequence[int]) -> int:
        if len(prompt) > 4:
            raise BadInputError("too long")
        return 8

    monkeypatch.setattr(assistant, "encode_turns", encode)
    monkeypatch.setattr(assistant, "room_for", room_for)
    monkeypatch.setattr(assistant, "stream", lambda *_: iter(["\n", "yes ", "it is"]))
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n/new\nthree\n"))
    chat(lambda: assistant, Decoding(4), system="Be kind.", keeps_history=True)
    told, one, two, three = ("system", "Be kind."), ("user", "one"), ("user", "two"), ("user", "three")
    yes = ("assistant", "yes it is")
    assert conversations == [[told, one], [told, one, yes, two], [told, three]]

    conversations.clear()
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\nthree\n"))
    chat(lambda: assistant, Decoding(4), system="Be kind.", keeps_history=True)
    assert conversations[-2:] == [[told, one, yes, two, yes, three], [told, two, yes, three]]
    assert "dropped the oldest question to make room: 'one'" in capsys.readouterr().err


class Terminal(io.TextIOWrapper):
    """What a person types, line by line: the end of a pipe that says it is a terminal."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        super().__init__(os.fdopen(reading, "rb"))

    def isatty(self) -> bool:
        return True

    def type(self, text: str) -> None:
        """Type a text, and nothing more after it."""
        os.write(self._writing, text.encode())
        os.close(self._writing)


def test_a_terminal_asks_for_a_question_while_the_model_is_read(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal, asked = Terminal(), threading.Event()
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr(
        "crosstune.serve.chat.console",
        Mock(wraps=console, print=lambda text, **_: asked.set() if ">" in text else None),
    )

    def load() -> Assistant:
        assert asked.wait(10), "no prompt while the model is read"
        terminal.type("Hi\n")
        return assistant

    chat(load, Decoding(6))
    assert assistant.answers([assistant.encode("Hi")], Decoding(6))[0][0].strip() in capsys.readouterr().out


def test_a_model_that_cannot_be_loaded_is_told_of_before_a_question_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Assistant:
        raise BadInputError("no such model")

    monkeypatch.setattr("sys.stdin", Terminal())
    with pytest.raises(BadInputError, match="no such model"):
        chat(load, Decoding(4))


def test_several_lines_may_be_typed_while_the_model_is_read(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []

    def encode(turns: Sequence[Turn]) -> list[int]:
        questions.append(turns[-1].content)
        return [1, 5]

    terminal = Terminal()
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr(assistant, "encode_turns", encode)

    def load() -> Assistant:
        terminal.type("do this\\\nwith that\nand then\nlast")
        return assistant

    chat(load, Decoding(4))
    assert questions == ["do this\nwith that", "and then", "last"]


@pytest.mark.parametrize("option", [["--top-p", "0.9"], ["--seed", "2"]])
def test_settings_of_sampling_need_a_temperature(option: list[str]) -> None:
    done = CliRunner().invoke(app.app, ["chat", "nowhere", *option])
    assert isinstance(done.exception, BadInputError) and "add --temperature 0.7" in str(done.exception)
