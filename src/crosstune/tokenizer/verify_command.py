"""Verify an extended tokenizer against its base outside a run: files in, properties and text lengths out."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table

from crosstune.errors import BadInputError
from crosstune.languages import characters
from crosstune.languages.identify import which_of
from crosstune.languages.registry import shares_letters
from crosstune.recipe import Languages
from crosstune.tokenizer import extension, fertility, given, verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import new_pieces, padding_ids
from crosstune.tokenizer.line_kinds import Parted, part_lines

_SHOWN_FAILURES = 5


@dataclass(frozen=True)
class ComparedTexts:
    """What two tokenizers are compared on.

    Attributes:
        files: UTF-8 text, one line each; every file is a domain of its own.
        parallel: the two sides of a translation, source language first, for the parity of token counts.
        languages: source and target.
    """

    files: list[Path]
    parallel: tuple[Path, Path] | None
    languages: Languages


def compare(tokenizer: Path, base: Path, texts: ComparedTexts) -> dict[str, Any]:
    """Check every property of ``verify`` and measure lengths before and after, per file.

    Raises:
        BadInputError: when a file cannot be read, or the tokenizer is no extension of the base.
    """
    domains = {_name(path, texts.files): _read_lines(path) for path in texts.files}
    before = BpeTokenizer(_load(base, "--base"))
    extended = extension.as_given(before, BpeTokenizer(_load(tokenizer, "TOKENIZER")), "--base", "TOKENIZER")
    pairs = _parallel_lines(texts)
    parted = {name: _parted(name, domain, texts.languages) for name, domain in domains.items()}
    samples = samples_of([*parted.values(), *_parted_pairs(pairs, texts.languages)], extended, texts.languages)
    properties = verify.verify(before, extended.tokenizer, samples)
    slow = tokenizer if tokenizer.suffix == ".model" else tokenizer / "tokenizer.model"
    if slow.is_file():
        properties.append(verify.equals_slow(extended.tokenizer, slow, samples))
    measured = {"base": before.tokenizer, "extended": extended.tokenizer.tokenizer}
    sides = [
        *((name, texts.languages.source, parts["source"]) for name, parts in parted.items()),
        *((name, texts.languages.target, parts["target"]) for name, parts in parted.items()),
        *(("parallel", language, side) for language, side in pairs.items()),
    ]
    rows = [
        fertility.measure(name, language, side, label, compiled)
        for name, language, side in sides
        if side
        for label, compiled in measured.items()
    ]
    dummies = set(padding_ids(extended.tokenizer))
    added = {extended.tokenizer.pieces[piece] for piece in new_pieces(before, extended.tokenizer)} - dummies
    lines = [line for _, language, side in sides if language == texts.languages.target for line in side]
    ids = {index for line in extended.tokenizer.encode_lines(lines) for index in line}
    return verify.as_json(properties) | {
        "new_pieces": {"number": len(added), "used": len(added & ids)},
        "word_splitter": fertility.WORD_SPLITTER,
        "fertility": [asdict(row) for row in rows],
        "parity": fertility.parity(rows, {"parallel": texts.languages}),
    }


def print_report(report: dict[str, Any], console: Console) -> None:
    """Print the properties, the first failures of each, and the lengths."""
    tables: list[Table] = [verify.as_table(report)]
    if report["fertility"]:
        tables.append(fertility.as_table([fertility.Fertility(**row) for row in report["fertility"]]))
    console.print(Group(*tables))
    if report["fertility"]:
        new = report["new_pieces"]
        console.print(f"{new['used']:,} of {new['number']:,} new pieces occur in the target-language lines")
    for row in report["parity"]:
        console.print(fertility.parity_line(row), markup=False)
    for row in report["properties"]:
        if not row["holds"]:
            console.print(_failures(row), markup=False)
    if not report["fertility"]:
        console.print(
            "Checked on a few built-in lines only: give --text FILE, in both languages, to prove and measure."
        )


def _failures(row: dict[str, Any]) -> str:
    shown = row["failures"][:_SHOWN_FAILURES]
    rest = "" if len(shown) == row["failed"] else f"; the first {len(shown)} of them, all with --json"
    counts = f"{row['failed']:,} of {row['checked']:,} fail, {row['share']:.2%} hold"
    return "\n".join([f"{row['name']}: {counts}{rest}", *(f"  {case}" for case in shown)])


def _name(path: Path, others: list[Path]) -> str:
    """Return a short name of a file: whole paths only where the names are the same."""
    return path.name if [other.name for other in set(others)].count(path.name) == 1 else str(path)


def _load(path: Path, setting: str) -> dict[str, Any]:
    if not path.exists():
        raise BadInputError(
            f"{setting}: {path} was not found. Give a tokenizer folder with tokenizer.json, such as "
            "`save_pretrained` writes, or a SentencePiece .model file."
        )
    return given.load(path, setting)[0]


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"{path} cannot be read as text ({error}). Give files of UTF-8 text, one line each."
        ) from None


def _parallel_lines(texts: ComparedTexts) -> dict[str, list[str]]:
    if texts.parallel is None:
        return {}
    source, target = (_read_lines(path) for path in texts.parallel)
    if len(source) != len(target):
        raise BadInputError(
            f"--parallel: the files must be line-by-line translations, but {texts.parallel[0]} has {len(source)} "
            f"lines and "
            f"{texts.parallel[1]} has {len(target)}. Give two files whose n-th lines are translations."
        )
    return {texts.languages.source: source, texts.languages.target: target}


def _parted(name: str, lines: list[str], languages: Languages) -> Parted:
    """Part a file's lines by their letters; where both languages share them, the whole file is in the likelier one."""
    if not shares_letters(languages.target, languages.source):
        return part_lines(lines, languages)
    pair = (languages.source, languages.target)
    found = which_of("\n".join(lines), pair)
    if found is None:
        raise BadInputError(
            f"--text: {name} is in {pair[0]!r} or {pair[1]!r}, which share their letters, and no list of words tells "
            "them apart. Give the texts of both languages by --parallel."
        )
    return (
        {"source": lines, "target": [], "other": []}
        if found == pair[0]
        else {"source": [], "target": lines, "other": []}
    )


def _parted_pairs(pairs: dict[str, list[str]], languages: Languages) -> list[Parted]:
    if not shares_letters(languages.target, languages.source):
        return [part_lines(side, languages) for side in pairs.values()]
    sides = {"source": pairs.get(languages.source, []), "target": pairs.get(languages.target, []), "other": []}
    return [sides]


def samples_of(parts: list[Parted], extended: extension.Extended, languages: Languages) -> verify.Samples:
    """Return what a tokenizer is proved on: lines by language, and a few awkward ones."""
    is_shared = shares_letters(languages.target, languages.source)
    if not is_shared:
        parts = [part_lines(verify.AWKWARD, languages), *parts]
    lines = {kind: [line for part in parts for line in part[kind]] for kind in ("source", "other", "target")}
    return verify.Samples(
        lines["source"],
        lines["other"],
        lines["target"],
        extended.promised,
        extended.dead_allowed,
        characters.every_letter(languages.target, languages.source),
        source_may_change=is_shared,
    )
