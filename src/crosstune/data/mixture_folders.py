"""The folders of the mixtures: each made from its cleaned sources when it is not there, with its account of drops."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from rich.table import Table

from crosstune.data import files, filters
from crosstune.data.external_shuffle import Spool, batches
from crosstune.data.mixer import Mixer
from crosstune.data.mixture import Combination, Renderer, instructions_of
from crosstune.data.overlap import EvaluationSets
from crosstune.data.parts import Part
from crosstune.data.rows import BadRow, Drops, Row
from crosstune.data.sources import find_files, read_source
from crosstune.errors import BadInputError
from crosstune.models.chat_template import template_of
from crosstune.recipe import Languages, MixturePart, Recipe, Source
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of, is_current, whole_folder
from crosstune.runs.in_order import InOrder
from crosstune.terminal.bars import progress
from crosstune.terminal.output import console, new_table, note

_ROWS_PER_NOTE = 8192
_LENDING_INSTRUCTIONS = 20_000


@dataclass(frozen=True)
class _Usable:
    """A source after reading and cleaning; mixtures share it.

    Attributes:
        spool: the rows that can be learnt from.
        dropped: the others, with their reasons.
        reasons: how many for which.
        changes: how many rows were kept with another text.
    """

    num_read: int
    spool: Path
    dropped: Path
    reasons: dict[str, int]
    changes: Counter[str]


class MixtureFolders:
    """The mixtures of a recipe; a source that several of them use is read and cleaned once."""

    def __init__(self, recipe: Recipe, run: RunFolder, root: Path) -> None:
        self._recipe, self._run, self._root = recipe, run, root
        self._template = template_of(recipe)
        used = {part.source for parts in recipe.data.mixtures.values() for part in parts}
        self._paths = {
            name: find_files(source, root, f"data.sources.{name}.paths")
            for name, source in recipe.data.sources.items()
            if name in used
        }
        self._hashes = {name: files.hashes(paths, root) for name, paths in self._paths.items()}
        self._usable: dict[str, _Usable] = {}
        self._side_by_side = InOrder(filters.__name__)
        # Beside the result: the machine's own folder for temporary files may be small, or memory. One name, so that
        # what a killed run left there is found and removed; the run's lock keeps others out.
        self._waiting = run.root / ".sources"

    def __enter__(self) -> Self:
        shutil.rmtree(self._waiting, ignore_errors=True)
        self._waiting.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._side_by_side.close()
        EvaluationSets.forget()
        shutil.rmtree(self._waiting, ignore_errors=True)

    def write_all(self) -> None:
        """Write every mixture that is not there for the same inputs and settings."""
        for name, parts in self._recipe.data.mixtures.items():
            wanted = self._fingerprint(parts)
            if is_current(self._run.mixture(name), wanted):
                note(f"mixture {name}: already there")
            else:
                self._write(name, parts, wanted)

    def _fingerprint(self, parts: tuple[MixturePart, ...]) -> str:
        data = self._recipe.data
        sources = {part.source: (data.sources[part.source], self._hashes[part.source]) for part in parts}
        evaluation = [fingerprint_of(folder) for folder in self._evaluation_folders()]
        instructions = [
            wordings
            for part in parts
            for direction in part.directions
            for language in part.instruction_languages
            for wordings in self._wordings(part, (direction, language))
        ]
        return fingerprint(
            "mixture",
            parts,
            instructions,
            sources,
            evaluation,
            self._template.with_first_wordings(),
            data.quality,
            self._recipe.languages,
            self._recipe.seed,
        )

    def _wordings(self, part: MixturePart, combination: Combination) -> Iterable[tuple[str, ...]]:
        """Return the wordings that a part asks in, and those whose words its noise takes, where these are others."""
        found = [instructions_of(part, self._template, combination)]
        if part.wording_noise:
            found.append(self._template.translation_instructions(*combination, "train"))
        return dict.fromkeys(found)

    def _evaluation_folders(self) -> list[Path]:
        if not self._recipe.data.quality.drop_evaluation_overlap:
            return []
        return [self._run.evaluation_set(label) for label in self._recipe.evaluate.tasks_with_files]

    def _write(self, name: str, parts: tuple[MixturePart, ...], wanted: str) -> None:
        summary: dict[str, Any] = {"with_controls": bool(self._template.controls)}
        with whole_folder(self._run.mixture(name), wanted, summary) as folder:
            others = self._instructions(parts) if any(part.wording_noise for part in parts) else {}
            made = [self._part(settings, folder / f"dropped{index}", others) for index, settings in enumerate(parts)]
            mixer = Mixer(made, self._recipe.data.quality, self._recipe.seed, folder / "making", self._side_by_side)
            with progress(f"mixture {name}", total=mixer.num_steps) as advance:
                for step in mixer.steps(folder / "examples.parquet"):
                    advance(note=step)
            shutil.rmtree(folder / "making")
            self._collect_drops(made, folder)
            summary["parts"] = [self._facts(part) for part in made]
            summary["total"] = sum(part.num_examples for part in made)
            if not summary["total"]:
                dropped = sum((Counter(fact["dropped"]) for fact in summary["parts"]), Counter[str]())
                raise BadInputError(
                    f"data.mixtures.{name} should hold examples, but every row was dropped: {dict(dropped)}. "
                    "Check the files of its sources, or relax data.quality"
                )
        console.print(_table(name, summary["parts"]))

    def _part(self, settings: MixturePart, dropped: Path, others: Mapping[str, Sequence[str]]) -> Part:
        source = self._recipe.data.sources[settings.source]
        usable = self._read(settings.source)
        renderer = Renderer(settings, source, self._template, self._recipe.seed, others)
        return Part(settings, source, usable.spool, renderer, Drops(dropped))

    def _instructions(self, parts: tuple[MixturePart, ...]) -> dict[str, list[str]]:
        """Return, by language, instructions of a mixture's other tasks: as many as noise may borrow words of."""
        found: dict[str, dict[str, None]] = {}
        for part in parts:
            source = self._recipe.data.sources[part.source]
            if source.kind == "instructions" and source.language:
                texts = found.setdefault(source.language, {})
                for batch in batches(self._read(part.source).spool):
                    texts.update(dict.fromkeys(batch.column("instruction").to_pylist()))
                    if len(texts) > _LENDING_INSTRUCTIONS:
                        break
        return {language: list(texts)[:_LENDING_INSTRUCTIONS] for language, texts in found.items()}

    def _collect_drops(self, parts: Sequence[Part], folder: Path) -> None:
        """Write ``dropped.jsonl``: part by part, what was unusable of its source, then what the mixture dropped."""
        with (folder / "dropped.jsonl").open("wb") as target:
            for index, part in enumerate(parts):
                part.drops.close()
                for path in (self._usable[part.settings.source].dropped, folder / f"dropped{index}"):
                    with path.open("rb") as lines:
                        shutil.copyfileobj(lines, target)
                (folder / f"dropped{index}").unlink()

    def _facts(self, part: Part) -> dict[str, Any]:
        """Return how many rows of a part went where."""
        usable, settings = self._usable[part.settings.source], part.settings
        facts = {
            "source": settings.source,
            "rows_read": usable.num_read,
            "dropped": dict(Counter(usable.reasons) + Counter(part.drops.counts())),
            "not_drawn": part.num_unique - part.num_drawn + part.num_left_out,
            "used": part.num_used - part.num_left_out,
            "examples": part.num_examples,
        }
        if usable.changes:
            facts["changed"] = dict(usable.changes)
        if settings.directions:
            facts["wordings"] = part.renderer.num_wordings
            facts["wording_noise"] = {"share": settings.wording_noise, "changed": sum(part.renderer.noise.changes)}
        if settings.weight is not None:
            once = part.num_used * part.renderer.examples_per_row
            facts["repeats"] = round(part.num_examples / once, 4)
        return facts

    def _read(self, name: str) -> _Usable:
        """Read and check the rows of a source, once for all mixtures; they wait on disk."""
        if name in self._usable:
            return self._usable[name]
        recipe, source, num_read = self._recipe, self._recipe.data.sources[name], 0
        languages = recipe.languages_of(source)
        folder = self._waiting
        drops = Drops(folder / f"{name}.jsonl")
        checks = filters.Checks(
            source.kind, source.language, recipe.data.quality, self._evaluation_sets(), self._template.controls
        )
        spool = Spool(folder / f"{name}.arrows", _schema(source, languages))

        def counted() -> Iterator[Row | BadRow]:
            nonlocal num_read
            for row in read_source(source, self._paths[name], self._root, languages):
                num_read += 1
                if num_read % _ROWS_PER_NOTE == 0:
                    advance(_ROWS_PER_NOTE)
                yield row

        with progress(f"read {name}", total=None) as advance:
            for row in filters.keep_usable(counted(), checks, name, drops, self._side_by_side):
                texts = [row.texts[column] for column in spool.schema.names[1:]]
                spool.add((row.origin, *texts), sum(map(len, texts)))
            advance(num_read % _ROWS_PER_NOTE)
        spool.close()
        drops.close()
        files.refuse_changed(self._paths[name], self._root, self._hashes[name])
        if not num_read:
            raise BadInputError(
                f"data.sources.{name} should hold rows, but there is none in {', '.join(source.paths)}. "
                "Check the files, or remove the source from the mixtures"
            )
        self._usable[name] = _Usable(num_read, spool.path, folder / f"{name}.jsonl", drops.counts(), +drops.changes)
        return self._usable[name]

    def _evaluation_sets(self) -> EvaluationSets | None:
        folders = self._evaluation_folders()
        if not folders:
            return None
        return EvaluationSets(
            tuple(folders), tuple(map(fingerprint_of, folders)), self._recipe.data.quality.overlap_ngram
        )


def _schema(source: Source, languages: Languages) -> pa.Schema:
    """Return the columns of a source's spool: origin, then the texts in the order in which readers give them."""
    names = {
        "text": ["text"],
        "instructions": ["instruction", "input", "output"],
        "parallel": [*languages.codes],
    }[source.kind]
    return pa.schema([(name, pa.string()) for name in ("origin", *names)])


def _table(name: str, facts: list[dict[str, Any]]) -> Table:
    table = new_table(f"mixture {name}")
    for column in ("source", "read", "dropped", "not drawn", "used", "examples"):
        table.add_column(column, justify="left" if column == "source" else "right")
    table.add_column("dropped because")
    for fact in facts:
        numbers = (fact["rows_read"], sum(fact["dropped"].values()), fact["not_drawn"], fact["used"], fact["examples"])
        # The whole account is in the manifest; the table names the commonest reasons.
        reasons = sorted(fact["dropped"].items(), key=lambda entry: -entry[1])[:3]
        why = ", ".join(f"{reason} {count:,}" for reason, count in reasons)
        table.add_row(fact["source"], *(f"{number:,}" for number in numbers), why)
    return table
