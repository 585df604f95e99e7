"""What each file of a folder is: its kind, language and rows, or why it is of no use."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Any

from huggingface_hub import HfApi

from crosstune.data.files import place
from crosstune.data.rows import BadRow, Row
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.init.columns import advice, guesses, names_in
from crosstune.init.language_of import language_of
from crosstune.init.media import media_of
from crosstune.languages.registry import language_name
from crosstune.recipe import Languages, Source
from crosstune.runs.hub import why_not
from crosstune.terminal.bars import progress

# Instructions before pairs and text: a file that has their keys is one of them, whatever else it could be read as.
_KINDS = ("instructions", "parallel", "text")
_MOST_ROWS, _MOST_ROWS_OF_HUB = 200_000, 20_000
_LOOKED_AT = 300
# Of a typical row; short sentences of beginners have four.
_FEWEST_WORDS = 3
_SAMPLE = 200
_GOOD_SHARE = 0.9
# As the library `datasets` says which configurations there are: where none was named, or none of them.
_CONFIGS = re.compile(r"(?:available configs|not found\. Available): \[(.*?)\]")
# What machines write for machines, and what people write beside data.
_NOT_DATA = {
    *(".py", ".ipynb", ".md", ".rst", ".html", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".log", ".sh", ".css", ".js"),
    *(".lock", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".onnx", ".gguf", ".model", ".tiktoken"),
    *(".jinja", ".svg", ".pdf", ".pyc", ".so", ".dll", ".exe"),
}
_NOT_NAMES = {
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json"),
    *("special_tokens_map.json", "added_tokens.json", "merges.txt", "chat_template.json", "preprocessor_config.json"),
    *("processor_config.json", "model.safetensors.index.json", "pytorch_model.bin.index.json", "package.json"),
    *("MANIFEST.tsv",),
}

_SECONDS_FOR_AN_ANSWER = 10


@dataclass(frozen=True)
class FoundFile:
    """A file under the folder.

    Attributes:
        name: relative to the folder.
        kind: ``parallel``, ``instructions`` or ``text``; ``benchmark`` for what is kept for evaluation; else empty.
        language: of instructions, text, and benchmarks in one language.
        rows: how many there are, or were counted before that took too long (``has_more``).
        bad_rows: how many of them are not what their format says.
        characters: of the good rows, all sides.
        sample: the texts of some rows, spread over the file: what stands first may be short, or long.
        reason: why it is not used, or for what it is kept.
        encoding: of a text file that is not in UTF-8.
        columns: what its columns or keys of other names are, as a recipe says it.
        of_hub: what else a recipe says of a data set of the hub, as its split and revision.
    """

    name: str
    kind: str = ""
    language: str = ""
    rows: int = 0
    has_more: bool = False
    bad_rows: int = 0
    characters: int = 0
    sample: tuple[dict[str, str], ...] = ()
    reason: str = ""
    encoding: str = "utf-8"
    columns: tuple[tuple[str, str], ...] = ()
    of_hub: tuple[tuple[str, str], ...] = ()

    def unused(self, reason: str) -> "FoundFile":
        """Return the file as one that is not used, with the reason."""
        return replace(self, kind="", reason=reason)


def look_into(root: Path, paths: Sequence[Path], languages: Languages) -> list[FoundFile]:
    """Read each file as the data stage would, and say what it is."""
    found: list[FoundFile] = []
    if not paths:
        return found
    with progress("looking into files", len(paths)) as advance:
        for path in paths:
            found.append(_look_at(path, root, languages))
            advance(1, path.name)
    return found


def _look_at(path: Path, root: Path, languages: Languages) -> FoundFile:
    file = FoundFile(place(path, root))
    if path.suffix.lower() in _NOT_DATA or path.name in _NOT_NAMES or path.name.startswith(("LICENSE", "README")):
        return file.unused("not data: a page, a program, or a part of a model")
    if media := media_of(path):
        return file.unused(media)
    tried = [*((kind, "utf-8") for kind in _KINDS), *((kind, "cp949") for kind in _KINDS)]
    return _first_kind(file, tried, path, root, languages)


def look_at_data_sets(names: Sequence[str], root: Path, languages: Languages) -> list[FoundFile]:
    """Read the first rows of the training splits of data sets of the hub, NAME or NAME:CONFIG, and say what each is."""
    tried = [(kind, "utf-8") for kind in _KINDS]
    found = []
    for asked in names:
        name, _, config = asked.partition(":")
        settings = [("format", "hugging_face"), ("split", "train"), ("revision", revision_of(name))]
        settings += [("config", config)] if config else []
        file = _first_kind(FoundFile(name, of_hub=tuple(settings)), tried, root / name, root, languages)
        if configs := _CONFIGS.search(file.reason):
            raise BadInputError(
                f"--from-hub {asked}: it has the configurations {configs[1]}: name one of them, as --from-hub "
                f"{name}:CONFIG"
            )
        found.append(file)
    return found


def revision_of(name: str) -> str:
    """Return the newest commit of a data set of the hub.

    Raises:
        BadInputError: when the hub does not tell.
    """
    try:
        return str(HfApi().dataset_info(name, timeout=_SECONDS_FOR_AN_ANSWER).sha)
    # Without a network the client raises the errors of its HTTP library, which is another in every version.
    except Exception as error:
        raise BadInputError(f"--from-hub {name}: {why_not(error, 'data set', name)}") from None


def _first_kind(
    file: FoundFile, tried: Sequence[tuple[str, str]], path: Path, root: Path, languages: Languages
) -> FoundFile:
    """Return the file as the first kind that it can be read as."""
    reasons: dict[str, str] = {}
    for kind, encoding in tried:
        if encoding != "utf-8" and "cp949" not in reasons.get(kind, ""):
            continue
        file = replace(file, encoding=encoding)
        read = _read(replace(file, kind=kind), path, root, languages)
        if read.kind:
            return _with_language(read, languages)
        reasons[kind] = read.reason
    if not (names := names_in(reasons.values())):
        return file.unused(_shortest(reasons))

    def texts_of(name: str) -> list[str]:
        one = replace(file, kind="text", columns=(("text", name),))
        try:
            rows = islice(_rows(one, path, root, languages), _LOOKED_AT)
            return [row.texts["text"] for row in rows if isinstance(row, Row)]
        except BadInputError:  # A column of numbers, or of lists.
            return []

    for kind, columns in guesses(names, texts_of, languages):
        read = _read(replace(file, kind=kind, columns=tuple(columns.items())), path, root, languages)
        if read.kind and (known := _with_language(read, languages)).kind:
            return known
    return file.unused(advice(names, languages))


def _read(file: FoundFile, path: Path, root: Path, languages: Languages) -> FoundFile:
    """Return the file with what one kind of reader made of it; without a kind where that cannot read it."""
    try:
        rows = _rows(file, path, root, languages)
        first = list(islice(rows, _LOOKED_AT))
        good = [row for row in first if isinstance(row, Row)]
        if len(good) < _GOOD_SHARE * len(first) or not good:
            bad = next((row.problem for row in first if isinstance(row, BadRow)), "no rows")
            return file.unused(f"{len(first) - len(good)} of its first {len(first)} rows are not readable: {bad}")
        num_rows, num_bad, length, sample = 0, 0, 0, _Spread()
        for row in chain(first, islice(rows, _MOST_ROWS_OF_HUB if file.of_hub else _MOST_ROWS)):
            if isinstance(row, BadRow):
                num_bad += 1
            else:
                length += sum(map(len, row.texts.values()))
                sample.see(num_rows, row.texts)
            num_rows += 1
        has_more = next(rows, None) is not None
    # Whatever a photograph, an archive or a broken table makes readers say is the reason for which it is not used.
    except Exception as error:
        said = " ".join(str(error).split()).removeprefix(f"{path}: ")
        # Of an archive the file in it is meant.
        return file.unused(said.replace(f"{path}/", "").replace(str(path), "the file"))
    return replace(file, rows=num_rows, has_more=has_more, bad_rows=num_bad, characters=length, sample=sample.texts)


class _Spread:
    """Some rows of a file that is read once: every n-th, where n doubles each time that there are twice enough."""

    def __init__(self) -> None:
        self._kept: dict[int, dict[str, str]] = {}
        self._every = 1

    def see(self, index: int, texts: dict[str, str]) -> None:
        if index % self._every == 0:
            self._kept[index] = texts
        if len(self._kept) == 2 * _SAMPLE:
            self._every *= 2
            self._kept = {place: one for place, one in self._kept.items() if place % self._every == 0}

    @property
    def texts(self) -> tuple[dict[str, str], ...]:
        return tuple(self._kept.values())


def _rows(file: FoundFile, path: Path, root: Path, languages: Languages) -> Iterator[Row | BadRow]:
    content: dict[str, Any] = {"kind": file.kind, "paths": [file.name], "encoding": file.encoding, **dict(file.of_hub)}
    content |= {"columns": dict(file.columns)} if file.columns else {}
    # Which language it is in is seen afterwards; a reader needs one to be named.
    content |= {} if file.kind == "parallel" else {"language": languages.target}
    return iter(read_source(Source.model_validate(content, strict=False), [path], root, languages))


def _with_language(file: FoundFile, languages: Languages) -> FoundFile:
    if file.kind == "parallel":
        return _with_right_sides(file, languages)
    key = "output" if file.kind == "instructions" else "text"
    text = "\n".join(row[key] for row in file.sample)
    code, seen = language_of(text, languages)
    if not seen:
        return file.unused("no letters: numbers or symbols only")
    if not code:
        return file.unused(f"in {language_name(seen, 'en')}, neither {languages.source} nor {languages.target}")
    return replace(file, language=code)


def _with_right_sides(file: FoundFile, languages: Languages) -> FoundFile:
    # Rows without words between spaces, as Chinese has them, are one word: the side with more of them tells.
    words = max(median(len(row[side].split()) for row in file.sample) for side in (languages.source, languages.target))
    if words < _FEWEST_WORDS:
        return file.unused("a dictionary or a list: most rows have one or two words, and sentences teach more")
    for side in (languages.source, languages.target):
        code, seen = language_of("\n".join(row[side] for row in file.sample), languages)
        if code != side:
            name = language_name(seen, "en") if seen else "no language"
            return file.unused(f"two columns, but what should be {side} is {name}")
    return file


def _shortest(reasons: dict[str, str]) -> str:
    """Return the reason of the reader that came nearest: that of text says what a file is, others what it lacks."""
    return reasons.get("text") or next(iter(reasons.values()), "not readable")
