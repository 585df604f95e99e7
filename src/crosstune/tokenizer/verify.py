"""Prove that an extended tokenizer keeps what the base does, and does what was promised for the target language."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

from crosstune.errors import BadInputError
from crosstune.languages.registry import language_name
from crosstune.runs.files import write_json
from crosstune.terminal.output import new_table
from crosstune.tokenizer.bpe import BYTE_PIECES, BpeTokenizer
from crosstune.tokenizer.extend import padding_ids
from crosstune.tokenizer.unused import Unused

SOURCE_STAYS = "source-language text is tokenized as before"
NEW_PIECES_ARE_USED = "new pieces occur in the text that they were learned from"
HELD_OUT_STAYS = "words of held-out source text are cut as before"
AWKWARD = (
    "",
    " ",
    "  ",
    " leading",
    "  two leading",
    "trailing ",
    "trailing  ",
    "many    inner     spaces",
    "\ttab\n\nnewlines\r\n",
    "👍 🏽 👩‍👩‍👧‍👦 🇰🇷",
    "한국어와 English가 섞인 문장 123개, 3.14%!",
    "  앞뒤에 빈칸  ",
    "ㅋㅋㅋㅋ ㅠㅠ 뷁 쀍",
    "한",
    "a한b한c",
    "日本語 русский عربى ไทย café",
    "<0x41> ▁ <crosstune_pad_0>",
)


@dataclass(frozen=True)
class Samples:
    """What the properties are checked on.

    Attributes:
        source_lines: lines without any letter that the source language does not use.
        other_lines: lines with such letters, but none of the target language.
        target_lines: lines with letters of the target language.
        promised: characters that must never fall apart into bytes.
        dead_allowed: whether dead pieces are only counted.
        letters: every letter of the target language.
        held_out_words: words of source text that nothing was learnt from, where both languages share their letters.
        source_may_change: whether source text that is cut otherwise is only counted.
        targets: of several target languages, the lines and the letters of each; all of them are in those above, too.
    """

    source_lines: list[str]
    other_lines: list[str]
    target_lines: list[str]
    promised: list[str]
    dead_allowed: bool = False
    letters: list[str] = field(default_factory=list)
    held_out_words: list[str] = field(default_factory=list)
    source_may_change: bool = False
    targets: tuple["TargetSamples", ...] = ()


@dataclass(frozen=True)
class TargetSamples:
    """The lines and the letters of one of several target languages."""

    language: str
    lines: list[str]
    letters: list[str]


@dataclass
class Property:
    """One thing that must hold, how often it was checked, and every case where it does not."""

    name: str
    checked: int
    failures: list[Any] = field(default_factory=list)
    required: bool = True


def verify(base: BpeTokenizer, extended: BpeTokenizer, samples: Samples) -> list[Property]:
    """Check every property."""
    properties = [
        _old_pieces_stay(base, extended),
        _same_tokens("added tokens are recognized in text as before", base, extended, _with_added(base), around=False),
        _same_tokens("special tokens are added to a text as before", base, extended, ["", "a"], around=True),
        _stays(SOURCE_STAYS, base, extended, samples.source_lines, required=not samples.source_may_change),
        # Byte-level pieces of the target's characters may begin as those of another script do.
        _stays("text in other scripts is tokenized as before", base, extended, samples.other_lines, required=False),
        *_targets_survive(base, extended, samples),
        _round_trip("spaces, emoji and mixed text survive", base, extended, list(AWKWARD)),
        _promised_stay_whole(extended, samples.promised),
        _new_pieces_are_reachable(base, extended, samples.dead_allowed),
        _dummies_are_never_produced(extended, samples),
        _saved_is_loaded(extended, [*samples.source_lines[:500], *samples.target_lines[:500], *AWKWARD]),
    ]
    if samples.held_out_words:
        words = [f" {word}" for word in samples.held_out_words]
        properties.insert(4, _stays(HELD_OUT_STAYS, base, extended, words, required=False))
    return properties


def equals_slow(extended: BpeTokenizer, model: Path, samples: Samples) -> Property:
    """Check that SentencePiece itself cuts each line as the fast tokenizer does."""
    slow = SentencePieceProcessor(model_file=str(model))
    lines = [*samples.source_lines, *samples.other_lines, *samples.target_lines, *AWKWARD, *samples.letters]
    # Special tokens inside a text are found by the fast one alone; SentencePiece reads them as letters.
    plain = [line for line in lines if not any(token in line for token in extended.added)]
    pairs = zip(plain, extended.encode_lines(plain), slow.encode(plain), strict=True)
    different = [
        {"text": line, "fast": _spelt(extended, fast), "slow": _spelt(extended, ids)}
        for line, fast, ids in pairs
        if fast != ids
    ]
    return Property("fast and SentencePiece's own tokenizer agree", len(plain), different)


def new_pieces_are_used(unused: Unused) -> Property:
    """Count the new pieces that no text is cut into; single characters are for words that the learning text lacks."""
    checked = unused.num_pieces - unused.characters
    return Property(NEW_PIECES_ARE_USED, checked, [*unused.steps], required=False)


def as_json(properties: list[Property]) -> dict[str, Any]:
    """Return the content of ``verification.json``; ``share`` is that of the checked cases in which a property holds."""
    rows = [
        asdict(item)
        | {
            "failed": len(item.failures),
            "share": 1 - len(item.failures) / max(item.checked, 1),
            "holds": not item.failures,
        }
        for item in properties
    ]
    return {"holds": all(row["holds"] or not row["required"] for row in rows), "properties": rows}


def as_table(report: dict[str, Any]) -> Table:
    """Return the properties of ``verification.json`` as a table for the terminal."""
    table = new_table("verification")
    table.add_column("property")
    for heading in ("checked", "failed"):
        table.add_column(heading, justify="right")
    table.add_column("result")
    for row in report["properties"]:
        result = "holds" if row["holds"] else "FAILS" if row["required"] else "counted only"
        table.add_row(row["name"], f"{row['checked']:,}", f"{row['failed']:,}", result)
    return table


def refuse_failures(report: dict[str, Any], path: Path) -> None:
    """Stop when a required property fails, and leave every failing case at ``path``.

    Raises:
        BadInputError: with the properties that fail.
    """
    if report["holds"]:
        path.unlink(missing_ok=True)
        return
    write_json(path, report)
    failed = [
        f"  {row['name']}: fails in {row['failed']:,} of {row['checked']:,} cases, first {row['failures'][0]}"
        for row in report["properties"]
        if row["required"] and not row["holds"]
    ]
    raise BadInputError(
        "tokenizer.extension: the extended tokenizer fails its verification:\n"
        + "\n".join(failed)
        + f"\nEvery case is in {path}. Do not train a model with it: give another extended tokenizer, or let `kind: "
        f"learned` make one. If it did, please report a bug in crosstune."
    )


def _old_pieces_stay(base: BpeTokenizer, extended: BpeTokenizer) -> Property:
    moved = [
        {"piece": piece, "before": index, "after": extended.pieces.get(piece)}
        for piece, index in base.pieces.items()
        if extended.pieces.get(piece) != index
    ]
    return Property("old pieces keep their ids", len(base.pieces), moved)


def _with_added(base: BpeTokenizer) -> list[str]:
    return [text for token in sorted(base.added) for text in (token, f"a {token}b")]


def _same_tokens(name: str, base: BpeTokenizer, extended: BpeTokenizer, texts: list[str], around: bool) -> Property:
    """Compare tokens by their names: a control token that falls apart, or a BOS that is gone, changes every prompt."""
    before, after = (
        [found.tokens for found in one.tokenizer.encode_batch(texts, add_special_tokens=around)]
        for one in (base, extended)
    )
    different = [
        {"text": text, "before": left, "after": right}
        for text, left, right in zip(texts, before, after, strict=True)
        if left != right
    ]
    return Property(name, len(texts), different)


def _stays(name: str, base: BpeTokenizer, extended: BpeTokenizer, lines: list[str], required: bool = True) -> Property:
    pairs = zip(lines, base.encode_lines(lines), extended.encode_lines(lines), strict=True)
    different = [
        {"text": line, "before": _spelt(base, before), "after": _spelt(extended, after)}
        for line, before, after in pairs
        if before != after
    ]
    return Property(name, len(lines), different, required)


def _spelt(tokenizer: BpeTokenizer, ids: list[int]) -> list[str]:
    return [tokenizer.piece_of.get(index, f"id {index}") for index in ids]


def _round_trip(name: str, base: BpeTokenizer, extended: BpeTokenizer, lines: list[str]) -> Property:
    """Check decode(encode(x)) == x; where the base's own normalizer changes x, the base's result is the measure."""
    decoded = extended.decode_lines(extended.encode_lines(lines))
    changed = [(line, result) for line, result in zip(lines, decoded, strict=True) if line != result]
    before = base.decode_lines(base.encode_lines([line for line, _ in changed]))
    failures = [
        {"text": line, "decoded": result}
        for (line, result), by_base in zip(changed, before, strict=True)
        if result != by_base
    ]
    return Property(name, len(lines), failures)


def _targets_survive(base: BpeTokenizer, extended: BpeTokenizer, samples: Samples) -> Iterator[Property]:
    for one in samples.targets or (TargetSamples("", samples.target_lines, samples.letters),):
        name = language_name(one.language, "en") if one.language else ""
        yield _round_trip(f"{name or 'target'} text survives encoding and decoding", base, extended, one.lines)
        whose = name or "the target language"
        yield _round_trip(f"every letter of {whose} survives", base, extended, one.letters)


def _promised_stay_whole(extended: BpeTokenizer, promised: list[str]) -> Property:
    texts = [*promised, *(f" {character}" for character in promised)]
    spelt = [_spelt(extended, ids) for ids in extended.encode_lines(texts)]
    broken = [
        {"text": text, "pieces": pieces}
        for text, pieces in zip(texts, spelt, strict=True)
        if any(_is_part(extended, piece) for piece in pieces)
    ]
    return Property("required characters are never split into bytes", len(texts), broken)


def _is_part(extended: BpeTokenizer, piece: str) -> bool:
    return piece in BYTE_PIECES if extended.style == "sentencepiece" else extended.surface(piece) is None


def _new_pieces_are_reachable(base: BpeTokenizer, extended: BpeTokenizer, dead_allowed: bool) -> Property:
    dummies = set(padding_ids(extended))
    pieces = [piece for piece, index in extended.pieces.items() if piece not in base.pieces and index not in dummies]
    alive = extended.produces(pieces)
    dead = [piece for piece, lives in zip(pieces, alive, strict=True) if not lives and piece not in extended.added]
    return Property(
        "the text of every new piece is tokenized into that piece", len(pieces), dead, required=not dead_allowed
    )


def _dummies_are_never_produced(extended: BpeTokenizer, samples: Samples) -> Property:
    dummies = set(padding_ids(extended))
    lines = [*(extended.piece_of[index] for index in dummies), *samples.source_lines, *samples.target_lines]
    produced = [
        line for line, ids in zip(lines, extended.encode_lines(lines), strict=True) if not dummies.isdisjoint(ids)
    ]
    return Property("dummy pieces are never produced", len(lines), produced)


def _saved_is_loaded(extended: BpeTokenizer, lines: list[str]) -> Property:
    reloaded = Tokenizer.from_str(extended.tokenizer.to_str())
    pairs = zip(
        lines, extended.encode_lines(lines), reloaded.encode_batch_fast(lines, add_special_tokens=False), strict=True
    )
    different = [line for line, before, after in pairs if before != after.ids]
    if reloaded.get_vocab() != extended.pieces:
        different.append("the vocabulary itself")
    return Property("saving and loading keeps the ids of texts", len(lines), different)
