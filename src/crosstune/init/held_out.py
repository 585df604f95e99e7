"""A test set where there is none: rows of the corpora, chosen by what they say, so that each run chooses the same."""

import hashlib
import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from crosstune.data import files
from crosstune.data.rows import Row
from crosstune.data.sources import read_source
from crosstune.init.benchmarks import translation_cells
from crosstune.init.sources import Sources
from crosstune.recipe import Languages, Source
from crosstune.runs.files import write_jsonl

_MOST_PAIRS, _MOST_TEXTS, _SHARE = 500, 100, 0.05
# Shorter texts test nothing, and stand in any corpus; of a book the first page tells as much as all of it.
_LEAST_LETTERS, _MOST_CHARACTERS = 12, 1000
# Of fewer rows nothing is held out: what is tested is not trained on.
_LEAST_ROWS = 20


@dataclass(frozen=True)
class HeldOut:
    """A test set that was written, and what it is."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.what}, in {self.path}"


def hold_out(chosen: Sources, root: Path, folder: Path, languages: Languages) -> dict[str, HeldOut]:
    """Write the test sets that are missing, take them into the tasks, and return them by their tasks' labels.

    The rows stay in their files: the data stage drops what a test set holds.
    """
    held_out: dict[str, HeldOut] = {}
    has_translations = any("directions" in task for task in chosen.tasks.values())
    parallel = chosen.of("parallel")
    if parallel and not has_translations and translation_cells(languages)["instruction_languages"]:
        rows = _drawn(_texts(chosen, parallel, root, languages), _num_rows(chosen, parallel), _MOST_PAIRS)
        if rows:
            path = _write(folder / "test_pairs.jsonl", rows)
            settings = {"task": "translation", "paths": [_relative(path, root)], **translation_cells(languages)}
            chosen.tasks["held_out_pairs"] = {**settings, "max_items": 200, "max_new_tokens": 128}
            held_out["held_out_pairs"] = HeldOut(path, f"{len(rows)} pairs for translation")
    for language in (languages.target, languages.source):
        has_text = any(
            task.get("language") == language and task["task"] == "bits_per_byte" for task in chosen.tasks.values()
        )
        # Answers to instructions are text, too, where nothing else is there to score with.
        names = chosen.of("text", language) or ([] if chosen.tasks else chosen.of("instructions", language))
        if names and not has_text:
            found = ({"text": row.get("text", row.get("output", ""))} for row in _texts(chosen, names, root, languages))
            rows = _drawn(found, _num_rows(chosen, names), _MOST_TEXTS)
            if rows:
                held_out |= _take_texts(chosen, rows, language, folder, root)
    return held_out


def _take_texts(
    chosen: Sources, rows: list[dict[str, str]], language: str, folder: Path, root: Path
) -> dict[str, HeldOut]:
    rows = [{"text": _beginning(row["text"])} for row in rows]
    path = _write(folder / f"test_text_{language}.jsonl", rows)
    settings = {"task": "bits_per_byte", "language": language, "paths": [_relative(path, root)], "max_items": 100}
    label = f"held_out_text_{language.replace('-', '_').lower()}"
    chosen.tasks[label] = settings
    return {label: HeldOut(path, f"{len(rows)} texts in {language}")}


def _num_rows(chosen: Sources, names: Sequence[str]) -> int:
    return sum(chosen.files[name].rows for name in names)


def _relative(path: Path, root: Path) -> str:
    """Return a path as a recipe has it: absolute where the folder of data is; of a link, from where it leads to."""
    return str(path.resolve()) if root.is_absolute() else os.path.relpath(path.resolve(), root.resolve())


def _texts(chosen: Sources, names: Sequence[str], root: Path, languages: Languages) -> Iterator[dict[str, str]]:
    for name in names:
        source = Source.model_validate(chosen.settings[name], strict=False)
        paths = [] if source.format == "hugging_face" else files.find(source.paths, root, name)
        rows = islice(read_source(source, paths, root, languages), chosen.files[name].rows)
        yield from (row.texts for row in rows if isinstance(row, Row))


def _drawn(rows: Iterable[dict[str, str]], num_rows: int, most: int) -> list[dict[str, str]]:
    """Return different rows whose texts have the smallest hashes: the same ones, wherever they stand; of few none."""
    if num_rows < _LEAST_ROWS:
        return []
    long_enough = (row for row in rows if min(map(_num_letters, row.values())) >= _LEAST_LETTERS)
    keyed = ((hashlib.blake2b("\0".join(row.values()).encode()).hexdigest(), row) for row in long_enough)
    wanted = max(1, min(most, round(_SHARE * num_rows)))
    return _smallest(keyed, wanted)


def _smallest(keyed: Iterable[tuple[str, dict[str, str]]], wanted: int) -> list[dict[str, str]]:
    """Return the rows with the smallest keys, each once: a sentence that occurs often tests nothing but itself."""
    kept: dict[str, dict[str, str]] = {}

    def smallest() -> list[tuple[str, dict[str, str]]]:
        return heapq.nsmallest(wanted, kept.items(), key=lambda pair: pair[0])

    for key, row in keyed:
        kept[key] = row
        if len(kept) == 2 * wanted:
            kept = dict(smallest())
    return [row for _, row in smallest()]


def _beginning(text: str) -> str:
    """Return a text up to a limit, to the end of a line or word where there is one."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    start = text[:_MOST_CHARACTERS]
    ends = (start.rfind(mark) for mark in ("\n", ". ", " "))
    end = next((place for place in ends if place > _MOST_CHARACTERS // 2), _MOST_CHARACTERS - 1)
    return start[: end + 1].strip()


def _num_letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(path, rows)
    return path
