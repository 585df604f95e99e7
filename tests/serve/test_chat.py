"""`crosstune chat` in a pipe, and which lines make a question."""

import io

import pytest

from crosstune.serve.assistant import Assistant, Decoding
from crosstune.serve.chat import chat


def asked(assistant: Assistant, monkeypatch: pytest.MonkeyPatch, typed: str) -> list[tuple[str, str]]:
    questions: list[tuple[str, str]] = []

    def encode(instruction: str, text: str = "") -> list[int]:
        questions.append((instruction, text))
        return [1, 5]

    monkeypatch.setattr(assistant, "encode", encode)
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    chat(assistant, Decoding(4))
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
    chat(assistant, decoding)
    written = capsys.readouterr().out
    assert [part.strip() for part in written.split("\n") if part.strip()] == [
        part.strip() for answer in expected for part in answer.split("\n") if part.strip()
    ]
