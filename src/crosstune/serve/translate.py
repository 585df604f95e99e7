"""`crosstune translate`: line by line, from a pipe as lines come, or a whole file with progress and resume."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from crosstune.errors import BadInputError
from crosstune.languages.registry import canonical
from crosstune.prompts.cleaning import clean
from crosstune.prompts.templates import translation_instructions
from crosstune.runs.files import read_json, write_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.hashes import hash_file, hash_model
from crosstune.runs.lock import only_writer_of
from crosstune.serve.assistant import Assistant
from crosstune.serve.decoding import Decoding
from crosstune.terminal.bars import progress
from crosstune.terminal.output import note, shown

# Lines are sorted by length within a window and written when it is done: what a kill can lose.
WINDOW_LINES = 128


@dataclass(frozen=True)
class TranslationRequest:
    """What is asked.

    Attributes:
        direction: source-target, as ``en-ko``.
        instruction_language: of the instruction that asks for the translation.
    """

    direction: str
    instruction_language: str
    decoding: Decoding

    def instruction(self, trained: Mapping[str, Mapping[str, str]]) -> str:
        """Return the instruction put before every line: the one that the model was trained with, else the bank's.

        ``trained`` are a model's own, by direction and language.

        Raises:
            BadInputError: when there is none for these languages.
        """
        own = trained.get(self.direction, {}).get(self.instruction_language)
        if own is not None:
            return own
        try:
            return translation_instructions(self.direction, self.instruction_language, "paper")[0]
        except ValueError as error:
            raise BadInputError(f"{error}. Give --from and --to, and --instruction-language") from None


def request_of(to: str, source: str, instruction_language: str, decoding: Decoding) -> TranslationRequest:
    """Return a request, its languages by their usual codes; without a source that is English, and into English Korean.

    Raises:
        BadInputError: for a code that names no language, or the same language twice.
    """
    target = canonical(to)
    origin = canonical(source) if source else "ko" if target == "en" else "en"
    if origin == target:
        raise BadInputError(
            f"a translation from {origin} into {target} was asked for: name two languages by --from and --to (in "
            "Python, `source` and `to`)"
        )
    return TranslationRequest(f"{origin}-{target}", canonical(instruction_language), decoding)


def translate_pipe(assistant: Assistant, request: TranslationRequest) -> None:
    """Translate standard input to standard output, each line as soon as it is there.

    Raises:
        BadInputError: when it is not UTF-8.
    """
    num_lines = num_cut = num_copies = 0
    try:
        for line in sys.stdin:
            ((written, finished),) = translate_lines(assistant, request, [line])
            sys.stdout.write(written + "\n")
            sys.stdout.flush()
            num_lines += 1
            num_cut += not finished
            num_copies += is_copy(line, written)
    except UnicodeDecodeError as error:
        raise BadInputError(f"standard input is not UTF-8 (byte {error.start}): convert it with iconv") from None
    tell_failures(num_lines, num_cut, num_copies, request)


def translate_file(assistant: Assistant, request: TranslationRequest, source: Path, target: Path, model: str) -> None:
    """Translate a file into another; a run that was interrupted goes on behind its last whole line.

    Raises:
        BadInputError: when the source cannot be read, or the target holds anything but the begin of this translation.
    """
    with only_writer_of(target, "give another --output"):
        _translate_file(assistant, request, source, target, model)


def check_files(source: Path, target: Path) -> None:
    """Look at the files of a translation before a model is loaded.

    Raises:
        BadInputError: when the source cannot be read, or the target cannot be written or is no translation.
    """
    _read_lines(source)
    if not target.parent.is_dir():
        raise BadInputError(f"{target} cannot be written: {target.parent} is no folder. Make it, or give --output")
    if target.exists() and not _journal_of(target).exists():
        raise _other(target, "already exists")


def _translate_file(assistant: Assistant, request: TranslationRequest, source: Path, target: Path, model: str) -> None:
    lines = _read_lines(source)
    identity = hash_model(Path(model)) if Path(model).exists() else model
    how = [asdict(request), assistant.chat_template, assistant.precision]
    wanted = fingerprint("translation", identity, hash_file(source), *how)
    journal = _journal_of(target)
    num_done = _resume(target, journal, wanted)
    if num_done:
        note(f"{target}: resumes after line {num_done} of {len(lines)}")
    write_json(journal, {"fingerprint": wanted})
    num_cut = num_copies = 0
    with target.open("a", encoding="utf-8") as output, progress(f"translate {source.name}", len(lines)) as advance:
        advance(num_done)
        for first in range(num_done, len(lines), WINDOW_LINES):
            window = lines[first : first + WINDOW_LINES]
            for line, (text, finished) in zip(window, translate_lines(assistant, request, window), strict=True):
                output.write(text + "\n")
                num_cut += not finished
                num_copies += is_copy(line, text)
            output.flush()
            advance(len(window))
    journal.unlink()
    tell_failures(len(lines) - num_done, num_cut, num_copies, request)


def is_copy(line: str, translation: str) -> bool:
    """Return whether a line with letters came back as it was."""
    return clean(line) == clean(translation) and any(map(str.isalpha, line))


def tell_failures(num_lines: int, num_cut: int, num_copies: int, request: TranslationRequest) -> None:
    """Say how many translations were cut off, and how many lines came back unchanged, if any."""
    if num_cut:
        note(
            f"{num_cut:,} of {num_lines:,} translations did not end within {request.decoding.max_new_tokens} tokens "
            "(--max-new-tokens), or within the model's context, and stand there cut off"
        )
    if num_copies:
        note(
            f"{num_copies:,} line{'s' * (num_copies > 1)} came back unchanged: models copy what they cannot translate, "
            "or was it in the target language already (--from, --to)?"
        )


def translate_lines(assistant: Assistant, request: TranslationRequest, lines: Sequence[str]) -> list[tuple[str, bool]]:
    """Return each line's translation as one line, and whether it ended by itself; blank lines stay blank."""
    instruction = request.instruction(assistant.instructions)
    # By what is asked of a line: control characters alone are no text.
    asked = [index for index, line in enumerate(lines) if clean(line)]
    prompts = [assistant.encode(instruction, lines[index]) for index in asked]
    found = [("", True)] * len(lines)
    for index, (text, finished) in zip(asked, assistant.answers(prompts, request.decoding), strict=True):
        # Also what only some programs take for the end of a line: one line of the file is one line's translation.
        found[index] = (shown(" ".join(text.splitlines())), finished)
    return found


def _read_lines(source: Path) -> list[str]:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInputError(
            f"{source} cannot be read: {error.strerror}. Give a text file, one sentence per line"
        ) from None
    except UnicodeDecodeError as error:
        raise BadInputError(f"{source} is not UTF-8 (byte {error.start}): convert it with iconv") from None
    return list(_lines(text))


def _lines(text: str) -> Iterator[str]:
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    yield from (line.removesuffix("\r") for line in lines)


def _resume(target: Path, journal: Path, wanted: str) -> int:
    """Return how many lines of the target are whole, cutting off a line that was interrupted."""
    if not target.exists():
        return 0
    if not journal.exists() or read_json(journal).get("fingerprint") != wanted:
        raise _other(target, "holds a translation of something else" if journal.exists() else "already exists")
    content = target.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    target.write_bytes(whole)
    return whole.count(b"\n")


def _journal_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.progress.json")


def _other(target: Path, what: str) -> BadInputError:
    return BadInputError(f"{target} {what}, and is not overwritten: remove it, or give another --output")
