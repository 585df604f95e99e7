"""The folders of the mixtures: each made from its cleaned sources when it is not there, with its account of drops."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from rich.table import Table

from crosstune.artifacts import RunFolder, fingerprint, fingerprint_of, is_current, whole_folder, write_jsonl
from crosstune.chat_template import template_of
from crosstune.data import files, filters, mixture
from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import BadRow, Drops, Row, readable
from crosstune.data.sources import find_files, read_source
from crosstune.errors import BadInputError
from crosstune.examples import Example, write_examples
from crosstune.recipe import MixturePart, Recipe
from crosstune.terminal import console, note, progress


@dataclass
class _Usable:
    """A source after reading and cleaning; mixtures share it."""

    num_read: int = 0
    rows: list[Row] = field(default_factory=list)
    drops: Drops = field(default_factory=Drops)


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
        self._evaluation: EvaluationTexts | None = None

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
        return fingerprint(
            "mixture",
            parts,
            sources,
            evaluation,
            self._template,
            data.quality,
            self._recipe.languages,
            self._recipe.seed,
        )

    def _evaluation_folders(self) -> list[Path]:
        if not self._recipe.data.quality.drop_evaluation_overlap:
            return []
        return [self._run.evaluation_set(label) for label in self._recipe.evaluate.tasks_with_files]

    def _write(self, name: str, parts: tuple[MixturePart, ...], wanted: str) -> None:
        drops, rendered, facts = Drops(), list[list[Example]](), list[dict[str, Any]]()
        seen: filters.Seen = {}
        with progress(f"mixture {name}", total=len(parts)) as advance:
            for part in parts:
                rendered.append([])
                facts.append(self._add_part(part, rendered[-1], drops, seen))
                advance(note=part.source)
        chosen = mixture.weighed(parts, rendered, self._recipe.seed)
        for part, fact, taken in zip(parts, facts, chosen, strict=True):
            if part.weight is not None:
                fact["repeats"] = round(part.repeats * len(taken) / fact["examples"], 4)
            fact["examples"] = len(taken)
        examples = list(chain.from_iterable(chosen))
        if not examples:
            raise BadInputError(
                f"data.mixtures.{name} should hold examples, but every row was dropped: {drops.counts()}. "
                "Check the files of its sources, or relax data.quality"
            )
        summary: dict[str, Any] = {"parts": facts, "total": len(examples)}
        with whole_folder(self._run.mixture(name), wanted, summary) as folder:
            write_examples(folder / "examples.parquet", mixture.shuffled(examples, self._recipe.seed))
            write_jsonl(folder / "dropped.jsonl", drops.records)
        console.print(_table(name, facts))

    def _add_part(self, part: MixturePart, examples: list[Example], drops: Drops, seen: filters.Seen) -> dict[str, Any]:
        """Append a part's examples, and return how many rows went where."""
        recipe, usable = self._recipe, self._read(part.source)
        quality, own = recipe.data.quality, Drops(list(usable.drops.records))
        rows = usable.rows if part.as_text is None else mixture.as_text(usable.rows, part.as_text)
        if quality.drop_duplicates:
            rows = filters.drop_duplicates(rows, part.source, {}, own)
        if quality.near_duplicate_threshold is not None:
            rows = filters.drop_near_duplicates(rows, part.source, quality.near_duplicate_threshold, own)
        drawn = mixture.draw(rows, part.max_rows, recipe.seed, part.source)
        not_drawn = len(rows) - len(drawn)
        # Other sources' twins go after the draw: one that the mixture does not use is no reason to drop a row, and
        # the draw stays the same in mixtures with and without the other source.
        if quality.drop_duplicates:
            drawn = filters.drop_duplicates(drawn, part.source, seen, own)
        before = len(examples)
        source = recipe.data.sources[part.source]
        examples.extend(mixture.render(part, source, drawn, self._template, recipe.seed))
        drops.records.extend(own.records)
        counts = {"rows_read": usable.num_read, "dropped": own.counts(), "not_drawn": not_drawn}
        return {"source": part.source, **counts, "used": len(drawn), "examples": len(examples) - before}

    def _read(self, name: str) -> _Usable:
        if name in self._usable:
            return self._usable[name]
        recipe, source, usable = self._recipe, self._recipe.data.sources[name], _Usable()

        def counted() -> Iterator[Row | BadRow]:
            for row in read_source(source, self._paths[name], self._root, recipe.languages):
                usable.num_read += 1
                yield row

        rows = readable(counted(), name, recipe.data.quality.on_bad_row, usable.drops)
        checks = filters.Checks(source.kind, source.language, recipe.data.quality, self._evaluation_texts())
        usable.rows.extend(filters.keep_usable(rows, checks, name, usable.drops))
        if not usable.num_read:
            raise BadInputError(
                f"data.sources.{name} should hold rows, but there is none in {', '.join(source.paths)}. "
                "Check the files, or remove the source from the mixtures"
            )
        self._usable[name] = usable
        return usable

    def _evaluation_texts(self) -> EvaluationTexts | None:
        quality = self._recipe.data.quality
        if quality.drop_evaluation_overlap and self._evaluation is None:
            self._evaluation = EvaluationTexts.read(self._evaluation_folders(), quality.overlap_ngram)
        return self._evaluation


def _table(name: str, facts: list[dict[str, Any]]) -> Table:
    table = Table(title=f"mixture {name}", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
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
