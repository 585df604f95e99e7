"""The data stage: the miniature world if asked, evaluation sets, then mixtures that are free of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from crosstune.artifacts import (
    RunFolder,
    fingerprint,
    fingerprint_of,
    hash_file,
    is_current,
    read_jsonl,
    whole_folder,
    write_jsonl,
)
from crosstune.data.evaluation_sets import read_evaluation_set, texts_of
from crosstune.data.files import find_files
from crosstune.data.filters import EvaluationTexts, clean, key, problem_of
from crosstune.data.mixture import Wrapping, make_examples, shuffle
from crosstune.data.sources import BadRow, RawRow, read_source
from crosstune.errors import BadInputError
from crosstune.examples import Example, write_examples
from crosstune.prompts import TEMPLATES
from crosstune.recipe import Recipe, Source
from crosstune.terminal import console, note


@dataclass(frozen=True)
class Corpus:
    """A source, read and filtered.

    Attributes:
        rows: what is left.
        dropped: with ``reason``, ``origin`` and the row's own fields.
        num_read: rows in the files.
    """

    rows: list[RawRow]
    dropped: list[dict[str, Any]]
    num_read: int


def run(recipe: Recipe, run: RunFolder) -> None:
    """Write every evaluation set and every mixture that is not there yet."""
    root = _data_root(recipe, run)
    for name in recipe.evaluate.tasks:
        _make_evaluation_set(recipe, run, name, root)
    evaluation = _evaluation_texts(recipe, run)
    corpora: dict[str, Corpus] = {}
    for name in recipe.data.mixtures:
        _make_mixture(recipe, run, name, (root, evaluation, corpora))


def _data_root(recipe: Recipe, run: RunFolder) -> Path:
    if recipe.data_root is not None:
        return recipe.data_root
    assert recipe.world is not None
    wanted = fingerprint(recipe.world)
    if not is_current(run.world, wanted):
        from crosstune.miniature import WorldSize, write_world

        settings = recipe.world.model_dump(exclude={"seed"})
        with whole_folder(run.world, wanted, {}) as folder:
            write_world(folder, WorldSize(**settings), recipe.world.seed)
        note(f"wrote the miniature world into {run.world}")
    return run.world


def _make_evaluation_set(recipe: Recipe, run: RunFolder, name: str, root: Path) -> None:
    task = recipe.evaluate.tasks[name]
    files = find_files(root, task.paths, f"evaluate.tasks.{name}.paths")
    drawn = (task.task, task.max_items, task.sample_seed)
    wanted = fingerprint(drawn, recipe.languages, [hash_file(path) for path in files])
    folder = run.evaluation_set(name)
    if is_current(folder, wanted):
        return
    found = read_evaluation_set(task, files, recipe.languages)
    reasons = Counter(row["reason"] for row in found.dropped)
    with whole_folder(folder, wanted, {"items": len(found.items), "dropped": reasons}) as temporary:
        write_jsonl(temporary / "items.jsonl", found.items)
        write_jsonl(temporary / "dropped.jsonl", found.dropped)
    note(f"{name}: {len(found.items):,} items{_reasons(reasons)}")


def _evaluation_texts(recipe: Recipe, run: RunFolder) -> EvaluationTexts:
    texts = EvaluationTexts()
    for name in recipe.evaluate.tasks:
        for item in read_jsonl(run.evaluation_set(name) / "items.jsonl"):
            texts.add(name, texts_of(item))
    return texts


def _make_mixture(
    recipe: Recipe, run: RunFolder, name: str, inputs: tuple[Path, EvaluationTexts, dict[str, Corpus]]
) -> None:
    root, evaluation, corpora = inputs
    parts = recipe.data.mixtures[name]
    sources = {part.source: recipe.data.sources[part.source] for part in parts}
    files = {source: find_files(root, sources[source].paths, f"data.sources.{source}.paths") for source in sources}
    wanted = fingerprint(
        [part.model_dump(mode="json") for part in parts],
        {source: settings.model_dump(mode="json", exclude={"paths"}) for source, settings in sources.items()},
        {source: [hash_file(path) for path in paths] for source, paths in files.items()},
        [fingerprint_of(run.evaluation_set(task)) for task in recipe.evaluate.tasks],
        [recipe.seed, recipe.data.prompt, recipe.data.quality, recipe.languages],
    )
    if is_current(run.mixture(name), wanted):
        note(f"mixture {name}: made already")
        return
    for source, settings in sources.items():
        if source not in corpora:
            corpora[source] = _read(recipe, source, settings, (files[source], evaluation))
    examples: list[Example] = []
    counts: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        seed = f"{recipe.seed}/{name}/{index}"
        wrapping = Wrapping(part.source, sources[part.source], recipe.languages, TEMPLATES[recipe.data.prompt], seed)
        taken = make_examples(corpora[part.source].rows, part, wrapping)
        examples += taken
        counts.append(_count(part.source, corpora[part.source], len(taken)))
    with whole_folder(run.mixture(name), wanted, {"parts": counts, "total": len(examples)}) as folder:
        write_examples(folder / "examples.parquet", shuffle(examples, f"{recipe.seed}/{name}"))
        write_jsonl(folder / "dropped.jsonl", [row for source in sources for row in corpora[source].dropped])
    _print_counts(name, counts)


def _read(recipe: Recipe, name: str, source: Source, inputs: tuple[list[Path], EvaluationTexts]) -> Corpus:
    """Read a source and drop what teaches nothing, repeats itself, or repeats an evaluation item."""
    files, evaluation = inputs
    quality = recipe.data.quality
    rows: list[RawRow] = []
    dropped: list[dict[str, Any]] = []
    seen: set[tuple[str, ...]] = set()
    num_read = 0
    for row in read_source(source, files, recipe.languages):
        num_read += 1
        if isinstance(row, BadRow):
            if quality.on_bad_row == "stop":
                raise BadInputError(
                    f"{row.origin}: {row.problem}: {row.content}\nCorrect the file, or drop and count such rows with "
                    "data.quality.on_bad_row=drop"
                )
            dropped.append({"source": name, "reason": "bad row", "origin": row.origin, "problem": row.problem})
            continue
        fields = {field: clean(text) for field, text in row.fields.items()}
        identity = tuple(key(text) for text in fields.values())
        reason = problem_of(fields, source.kind)
        if reason is None and quality.drop_duplicates and identity in seen:
            reason = "duplicate"
        if reason is None and quality.drop_evaluation_overlap:
            overlapping = evaluation.find(fields, is_document=source.kind == "text")
            reason = f"overlap with {overlapping}" if overlapping else None
        if reason is None:
            seen.add(identity)
            rows.append(RawRow(fields, row.origin))
        else:
            dropped.append({"source": name, "reason": reason, "origin": row.origin, **fields})
    if not rows:
        raise BadInputError(f"data.sources.{name}: no row is left of {num_read} read from {files[0]} …: {dropped[:1]}")
    return Corpus(rows, dropped, num_read)


def _count(source: str, corpus: Corpus, num_examples: int) -> dict[str, Any]:
    reasons = Counter(row["reason"] for row in corpus.dropped)
    return {"source": source, "rows_read": corpus.num_read, "dropped": dict(reasons), "examples": num_examples}


def _print_counts(name: str, counts: Sequence[dict[str, Any]]) -> None:
    table = Table(title=f"mixture {name}", title_justify="left", title_style="", box=None, padding=(0, 2))
    for column in ("source", "rows read", "dropped", "examples"):
        table.add_column(column, justify="left" if column == "source" else "right")
    for row in counts:
        dropped = sum(row["dropped"].values())
        why = _reasons(Counter(row["dropped"]))
        table.add_row(row["source"], f"{row['rows_read']:,}", f"{dropped:,}{why}", f"{row['examples']:,}")
    console.print(table)


def _reasons(reasons: Counter[str]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in reasons.most_common())})" if reasons else ""
