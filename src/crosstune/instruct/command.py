"""`crosstune instruct`: an instruction set in the target language, with what was dropped and where it comes from."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from crosstune.data.rows import BadRow
from crosstune.data.sources import find_files, read_source
from crosstune.errors import BadInputError
from crosstune.evaluate.outputs import OutputLog
from crosstune.instruct.card import card
from crosstune.instruct.rows import FIELDS, TranslatedRow, translate_rows
from crosstune.instruct.translators import Translator
from crosstune.recipe import Languages, Source
from crosstune.runs.files import read_json, read_jsonl, write_jsonl, write_text
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import MANIFEST, whole_folder
from crosstune.runs.hashes import describe_files, hash_file
from crosstune.runs.lock import only_writer_of
from crosstune.terminal.bars import progress
from crosstune.terminal.output import note

ROWS, DROPPED = "instructions.jsonl", "dropped.jsonl"
# Translated together, and lost by a kill.
ROWS_AT_A_TIME = 32
_LOG = "instruct"


@dataclass(frozen=True)
class InstructionSet:
    """What is translated.

    Attributes:
        file: in any form that a recipe's source of instructions may have.
        languages: of the file, and of what is made.
        max_rows: the first so many; all, if None.
        min_chrf: how much of a row has to come back, from 0 to 100.
    """

    file: Path
    languages: tuple[str, str]
    max_rows: int | None
    min_chrf: float


def make(wanted: InstructionSet, translator: Translator, out: Path) -> dict[str, Any]:
    """Translate an instruction set, and write the rows that pass; return the manifest's facts.

    An interrupted call goes on where it was. A folder that holds the same is left as it is; one that another threshold
    filtered is filtered again, without another translation.

    Raises:
        BadInputError: when the file cannot be read, ``out`` holds something else, instructions made otherwise or
            corrected by hand, too, or no row passes.
    """
    made_from = {
        "file": wanted.file.name,
        "sha256": hash_file(wanted.file),
        "languages": list(wanted.languages),
        "max_rows": wanted.max_rows,
        "translator": translator.facts,
    }
    identity = fingerprint("instructions", made_from, wanted.min_chrf)
    before = read_json(out / MANIFEST) if (out / ROWS).is_file() and (out / MANIFEST).is_file() else {}
    # Whatever was corrected in it by hand since.
    if before.get("fingerprint") == identity:
        note(f"{out} holds these instructions already")
        return {}
    rows = rows_of(wanted, out)
    earlier = _translated_before(rows, out, before) if before.get("made_from") == made_from else []
    if (out / ROWS).is_file() and not earlier:
        raise BadInputError(
            f"{out} holds instructions that were made otherwise ({_differences(before, made_from, wanted.min_chrf)}) "
            "or changed since, and is not overwritten: give another OUT"
        )
    facts: dict[str, Any] = {"made_from": made_from, "min_chrf": wanted.min_chrf}
    with only_writer_of(out, "give another OUT"):
        # Other thresholds keep what was translated.
        log = OutputLog(out.with_name(f".{out.name}.partial.jsonl"), fingerprint("instructions", made_from))
        with log, whole_folder(out, identity, facts) as temporary:
            translated = earlier or _translated(rows, translator, wanted.languages, log)
            facts |= _write(translated, wanted, temporary)
            if not facts["kept"]:
                raise BadInputError(
                    f"none of {len(rows):,} rows of {wanted.file} passes: {_listed(facts['dropped'])}. Lower "
                    "--min-chrf, or give a better translator; the translations are kept for the next call"
                )
            write_text(temporary / "README.md", card(facts))
        log.remove()
    note(f"{facts['kept']:,} of {len(rows):,} rows kept; dropped: {_listed(facts['dropped']) or 'none'}")
    return facts


def _translated_before(
    rows: Sequence[tuple[str, Mapping[str, str]]], out: Path, manifest: Mapping[str, Any]
) -> list[TranslatedRow]:
    """Return the translated rows of a finished folder, if it is as it was written, corrected by nobody."""
    if describe_files(out, (MANIFEST,)) != manifest.get("files"):
        return []
    kept, dropped = (read_jsonl(out / name) for name in (ROWS, DROPPED))
    found = {row["origin"]: TranslatedRow.of_json(row) for row in dropped}
    # An earlier version did not write how they came back.
    found |= {row["origin"]: TranslatedRow.of_kept(row) for row in kept if "back" in row}
    return [found[origin] for origin, _ in rows] if found.keys() == {origin for origin, _ in rows} else []


def _differences(before: Mapping[str, Any], made_from: Mapping[str, Any], min_chrf: float) -> str:
    """Return which settings a finished folder's manifest has other values of."""
    earlier, now = ({**found, **found.get("translator", {})} for found in (before.get("made_from", {}), made_from))
    earlier["min_chrf"], now["min_chrf"] = before.get("min_chrf"), min_chrf
    names = [name for name in now if name != "translator" and earlier.get(name) != now[name]]
    return (
        ", ".join(f"{name}: {earlier.get(name)!r}, now {now[name]!r}" for name in names)
        or "by another version of crosstune"
    )


def rows_of(wanted: InstructionSet, out: Path) -> list[tuple[str, Mapping[str, str]]]:
    """Return the rows to translate: looked at before a model is loaded.

    Raises:
        BadInputError: when the file cannot be read, or ``out`` holds something else.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (out / ROWS).is_file():
        raise BadInputError(f"{out} holds something else, and is not overwritten: give another OUT")
    rows = list(_read(wanted))
    if not rows:
        raise BadInputError(f"{wanted.file} holds no instruction")
    return rows


def _read(wanted: InstructionSet) -> Iterator[tuple[str, Mapping[str, str]]]:
    source, target = wanted.languages
    settings = Source(kind="instructions", language=source, paths=(wanted.file.name,))
    root = wanted.file.parent
    paths = find_files(settings, root, "FILE")
    rows = read_source(settings, paths, root, Languages(source=source, target=target))
    for number, row in enumerate(rows):
        if number == wanted.max_rows:
            return
        if isinstance(row, BadRow):
            raise BadInputError(f"{row.origin}: {row.problem}. Correct the file, or take the row out")
        yield row.origin, row.texts


def _translated(
    rows: Sequence[tuple[str, Mapping[str, str]]], translator: Translator, languages: tuple[str, str], log: OutputLog
) -> list[TranslatedRow]:
    done = log.rows_of(_LOG)
    todo = [number for number in range(len(rows)) if str(number) not in done]
    if done:
        note(f"resumes after {len(done):,} rows of an interrupted call")
    with progress("rows translated there and back", len(rows)) as advance:
        advance(len(rows) - len(todo))
        for first in range(0, len(todo), ROWS_AT_A_TIME):
            numbers = todo[first : first + ROWS_AT_A_TIME]
            for number, row in zip(
                numbers, translate_rows([rows[number] for number in numbers], translator, languages), strict=True
            ):
                done[str(number)] = {"task": _LOG, "id": str(number), **row.as_json()}
                log.append(done[str(number)])
                advance()
    return [TranslatedRow.of_json(done[str(number)]) for number in range(len(rows))]


def _write(rows: Sequence[TranslatedRow], wanted: InstructionSet, folder: Path) -> dict[str, Any]:
    """Write what is kept and what is dropped, each with its reason and round trip; return the counts."""
    kept, dropped, scores = [], [], []
    for row in rows:
        reason = row.problem(wanted.languages, wanted.min_chrf)
        chrf = round(row.round_trip()[0], 1)
        if reason:
            dropped.append({"reason": reason, "round_trip_chrf": chrf, **row.as_json()})
        else:
            kept.append({**row.kept(), "round_trip_chrf": chrf})
            scores.append(chrf)
    write_jsonl(folder / ROWS, kept)
    write_jsonl(folder / DROPPED, dropped)
    return {
        "rows": len(rows),
        "kept": len(kept),
        "dropped": dict(Counter(row["reason"] for row in dropped).most_common()),
        "median_round_trip_chrf": round(median(scores), 1) if scores else None,
        "fields": list(FIELDS),
    }


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in counts.items())
