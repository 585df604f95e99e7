"""Which of the found files a recipe uses, and for what: training, new pieces, evaluation."""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from crosstune.init.aligned import Aligned, aligned_files
from crosstune.init.benchmarks import Recognised, as_label, translation_cells
from crosstune.init.found import FoundFile
from crosstune.recipe import Languages

# Files whose names say that they are for scoring are never trained on.
_FOR_SCORING = re.compile(r"(?:^|[^a-z])(test|dev|devtest|valid|validation|eval|held_?out)(?:[^a-z]|$)")
_LEAST_FOR_SCORING = 20


@dataclass
class Sources:
    """The sources of a recipe, by name.

    Attributes:
        settings: as the recipe has them.
        files: what each was found to be; of aligned files, the target's.
        tasks: evaluation sets.
        uses: what becomes of each file, by its name.
    """

    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, FoundFile] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    uses: dict[str, str] = field(default_factory=dict)

    def of(self, kind: str, language: str = "") -> list[str]:
        """Return the names of sources of a kind, in a language where one is given."""
        return [
            name
            for name, file in self.files.items()
            if self.settings[name]["kind"] == kind and language in ("", file.language)
        ]


def choose_sources(files: Sequence[FoundFile], recognised: Recognised, languages: Languages) -> Sources:
    """Sort files into sources and evaluation sets; benchmarks are evaluation sets already."""
    chosen = Sources(tasks=dict(recognised.tasks))
    pairs = aligned_files(files, languages)
    for pair in pairs:
        _take_pair(chosen, pair, languages)
    taken = {file.name for pair in pairs for file in (pair.source, pair.target)}
    for file in files:
        if file.kind in ("parallel", "instructions", "text") and file.name not in taken:
            _take(chosen, file, languages)
    return chosen


def _take_pair(chosen: Sources, pair: Aligned, languages: Languages) -> None:
    names = [pair.source.name, pair.target.name]
    if _is_for_scoring(pair.target):
        _score_translations(chosen, _new_task(chosen, pair.target.name), names, languages)
    else:
        label = _new_label(chosen, pair.target.name)
        chosen.settings[label] = {"kind": "parallel", "paths": names}
        both = zip(pair.source.sample, pair.target.sample, strict=False)
        sample = tuple({languages.source: one["text"], languages.target: other["text"]} for one, other in both)
        chosen.files[label] = replace(pair.target, sample=sample)
    use = "evaluation" if _is_for_scoring(pair.target) else "training: lines of the two files are translations"
    chosen.uses |= dict.fromkeys(names, use)


def _take(chosen: Sources, file: FoundFile, languages: Languages) -> None:
    if _is_for_scoring(file):
        chosen.uses[file.name] = _keep_for_scoring(chosen, file, languages)
        return
    label = _new_label(chosen, file.name)
    settings: dict[str, Any] = {"kind": file.kind}
    if file.kind != "parallel":
        settings["language"] = file.language
    if file.encoding != "utf-8":
        settings["encoding"] = file.encoding
    if file.columns:
        settings["columns"] = dict(file.columns)
    chosen.settings[label] = {**settings, **dict(file.of_hub), "paths": [file.name]}
    chosen.files[label] = file
    chosen.uses[file.name] = "training"


def _is_for_scoring(file: FoundFile) -> bool:
    is_named_so = not file.of_hub and _FOR_SCORING.search(file.name.lower())
    return bool(is_named_so) and file.rows >= _LEAST_FOR_SCORING


def _keep_for_scoring(chosen: Sources, file: FoundFile, languages: Languages) -> str:
    label = _new_task(chosen, file.name)
    if file.encoding != "utf-8":
        return f"not used: by its name a test set, and it is in {file.encoding}: convert it to UTF-8"
    columns = {"columns": dict(file.columns)} if file.columns else {}
    if file.kind == "parallel":
        if not _score_translations(chosen, label, [file.name], languages, columns):
            return "not used: no instruction asks for translations in either language"
        return "evaluation: translations"
    if file.kind == "text":
        settings = {"task": "bits_per_byte", "language": file.language, "paths": [file.name], "max_items": 100}
        chosen.tasks[label] = settings | columns
        return "evaluation: bits per byte"
    return "not used: by its name a test set, and no task scores instructions"


def _score_translations(
    chosen: Sources,
    label: str,
    names: list[str],
    languages: Languages,
    of_file: Mapping[str, Any] = MappingProxyType({}),
) -> bool:
    cells = translation_cells(languages)
    if not cells["instruction_languages"]:
        return False
    of_task = {"task": "translation", "paths": names, **of_file, **cells, "max_items": 200, "max_new_tokens": 128}
    chosen.tasks[label] = of_task
    return True


def _new_label(chosen: Sources, name: str) -> str:
    stem = as_label(name.rsplit("/", 1)[-1].split(".")[0])
    if stem == "file":
        stem = f"file_{len(chosen.settings) + 1}"
    return _unlike(stem, chosen.settings)


def _new_task(chosen: Sources, name: str) -> str:
    return _unlike(as_label(name), chosen.tasks)


def _unlike(stem: str, others: Container[str]) -> str:
    """Return a label that no other is: `a/test.tsv` and `a_test.tsv` are two."""
    number, label = 2, stem
    while label in others:
        label, number = f"{stem}_{number}", number + 1
    return label
