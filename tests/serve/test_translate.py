"""`crosstune translate`: lines in, lines out, in order; interrupted files go on; nothing is overwritten."""

import io
from pathlib import Path

import pytest
import torch

import crosstune
from crosstune.cli import models as commands
from crosstune.errors import BadInputError
from crosstune.serve import translate
from crosstune.serve.assistant import Assistant
from crosstune.serve.decoding import Decoding
from crosstune.serve.translate import (
    TranslationRequest,
    request_of,
    translate_file,
    translate_lines,
    translate_pipe,
)

REQUEST = TranslationRequest("en-ko", "en", Decoding(8))
LINES = ["The man opened the window.", "", "The woman dropped a hammer.", "  ", "He broke his toe."] * 3


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_file_becomes_as_many_lines_in_the_same_order(
    assistant: Assistant, chat_folder: Path, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "book.ko"
    translate_file(assistant, REQUEST, source, target, str(chat_folder))
    written = target.read_text(encoding="utf-8").split("\n")[:-1]
    assert len(written) == len(LINES)
    for line, translation in zip(LINES, written, strict=True):
        if not line.strip():
            assert translation == ""
        else:
            prompt = assistant.encode(REQUEST.instruction({}), line)
            assert translation == " ".join(assistant.answers([prompt], REQUEST.decoding)[0][0].split("\n"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["book.ko", "book.txt"]


@pytest.mark.slow
def test_a_pipe_gives_the_same_lines(
    assistant: Assistant,
    chat_folder: Path,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "book.ko"
    translate_file(assistant, REQUEST, source, target, str(chat_folder))
    monkeypatch.setattr("sys.stdin", io.StringIO(source.read_text(encoding="utf-8")))
    translate_pipe(assistant, REQUEST)
    assert capsys.readouterr().out == target.read_text(encoding="utf-8")


def test_lines_that_come_back_unchanged_are_counted(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Good morning.\n17.\n"))
    monkeypatch.setattr(translate, "translate_lines", lambda assistant, request, lines: [(lines[0].strip(), True)])
    translate_pipe(assistant, REQUEST)
    written = capsys.readouterr()
    assert written.out == "Good morning.\n17.\n"
    assert "1 line came back unchanged: models copy what they cannot translate" in written.err


def test_a_line_of_a_pipe_that_the_model_has_no_room_for_is_counted(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert assistant.max_positions
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{'the cat ' * assistant.max_positions}\n\n"))
    translate_pipe(assistant, REQUEST)
    written = capsys.readouterr()
    assert written.out == "\n\n"
    assert "1 of 2 translations did not end" in written.err and "within the model's context" in " ".join(
        written.err.split()
    )


def test_a_pipe_in_another_encoding_is_told_so(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("안녕\n".encode("cp949")), encoding="utf-8"))
    with pytest.raises(BadInputError, match=r"standard input is not UTF-8 \(byte 0\): convert it with iconv"):
        translate_pipe(assistant, REQUEST)


@pytest.mark.slow
@pytest.mark.parametrize("torn", ["", "half a li"])
def test_an_interrupted_file_goes_on_behind_its_last_whole_line(
    assistant: Assistant, chat_folder: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    whole, target = tmp_path / "whole.ko", tmp_path / "book.ko"
    translate_file(assistant, REQUEST, source, whole, str(chat_folder))
    monkeypatch.setattr(translate, "WINDOW_LINES", 4)
    answers, calls = assistant.answers, []

    def killed(prompts: list[list[int]], decoding: Decoding) -> list[tuple[str, bool]]:
        calls.append(len(prompts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return answers(prompts, decoding)

    monkeypatch.setattr(assistant, "answers", killed)
    with pytest.raises(KeyboardInterrupt):
        translate_file(assistant, REQUEST, source, target, str(chat_folder))
    with target.open("a", encoding="utf-8") as file:
        file.write(torn)
    monkeypatch.setattr(assistant, "answers", answers)
    translate_file(assistant, REQUEST, source, target, str(chat_folder))
    assert target.read_bytes() == whole.read_bytes()


def test_a_stopped_file_says_how_it_goes_on(
    chat_folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(translate, "translate_file", stopped)
    with pytest.raises(SystemExit) as ended:
        commands.translate(str(chat_folder), source)
    assert ended.value.code == 130 and "Run the same command again to resume" in capsys.readouterr().err


def test_nothing_is_overwritten_and_nothing_mixed(
    assistant: Assistant, chat_folder: Path, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "book.ko"
    target.write_text("mine\n", encoding="utf-8")
    with pytest.raises(BadInputError, match="already exists"):
        translate_file(assistant, REQUEST, source, target, str(chat_folder))
    (tmp_path / ".book.ko.progress.json").write_text('{"fingerprint": "other"}', encoding="utf-8")
    with pytest.raises(BadInputError, match="translation of something else"):
        translate_file(assistant, REQUEST, source, target, str(chat_folder))
    assert target.read_text(encoding="utf-8") == "mine\n"


@pytest.mark.slow
def test_a_translation_does_not_go_on_in_another_precision(
    assistant: Assistant, chat_folder: Path, source: Path, tmp_path: Path
) -> None:
    in_bf16 = Assistant(str(chat_folder), precision="bf16")
    assert {weights.dtype for weights in in_bf16.model.parameters()} == {torch.bfloat16}
    target = tmp_path / "book.ko"

    class Stopped(Exception): ...

    def stopped(*_: object) -> list[tuple[str, bool]]:
        raise Stopped

    in_bf16.answers = stopped  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        translate_file(in_bf16, REQUEST, source, target, str(chat_folder))
    with pytest.raises(BadInputError, match="translation of something else"):
        translate_file(assistant, REQUEST, source, target, str(chat_folder))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), ("영화".encode("cp949"), "not UTF-8")], ids=["missing", "cp949"]
)
def test_a_file_that_cannot_be_read_is_an_error(
    assistant: Assistant, chat_folder: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    source = tmp_path / "in.txt"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        translate_file(assistant, REQUEST, source, tmp_path / "out", str(chat_folder))


def test_a_direction_without_instruction_says_what_to_give() -> None:
    with pytest.raises(BadInputError, match="--from and --to"):
        TranslationRequest("xx-yy", "en", Decoding(8)).instruction({})


def test_a_line_without_text_is_not_asked_about(assistant: Assistant) -> None:
    # A byte order mark inside a file, a bell: nothing is left of them in a prompt.
    request = TranslationRequest("en-ko", "en", Decoding(8))
    assert translate_lines(assistant, request, ["\ufeff", "\a", " \x1f "]) == [("", True)] * 3


def test_lines_are_translated_from_python_as_by_the_command(
    assistant: Assistant, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["It rained.", "", "The man broke his toe."]
    request = TranslationRequest("en-ko", "en", Decoding(8))
    expected = [text for text, _ in translate_lines(assistant, request, lines)]
    assert crosstune.translate(assistant, lines, max_new_tokens=8) == expected and expected[1] == ""
    assert "of 3 translations did not end within 8 tokens" in capsys.readouterr().err


def test_a_model_is_asked_in_its_own_words_by_any_code_of_a_language() -> None:
    trained = {"en-ko": {"en": "Say it in Korean."}, "ko-en": {"en": "Say it in English."}}
    for to, source, asked in (("kor_Hang", "eng", "Korean"), ("eng", "", "English"), ("kor", "", "Korean")):
        request = request_of(to, source, "eng", Decoding(8))
        assert request.instruction(trained) == f"Say it in {asked}."
    with pytest.raises(BadInputError, match="from ko into ko was asked for: name two"):
        request_of("ko", "kor", "en", Decoding(8))


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("missing.txt", "out.ko", "missing.txt cannot be read"),
        ("book.txt", "nowhere/out.ko", "nowhere is no folder. Make it, or give --output"),
        ("book.txt", "book.txt", "already exists, and is not overwritten"),
        ("", "out.ko", "--output is for FILE"),
    ],
)
def test_files_are_looked_at_before_a_model_is_loaded(
    source: str, output: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "book.txt").write_text("One.\n", encoding="utf-8")

    def load(*_: object) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr("crosstune.serve.assistant.Assistant", load)
    with pytest.raises(BadInputError, match=message):
        commands.translate("a model", tmp_path / source if source else None, tmp_path / output)
