"""Text that outgrows a machine: a source's files through the data stage's own checks, as a datatrove pipeline.

Each task takes a share of the files and writes one Parquet shard; tasks that are done are not done again. datatrove
runs them here, or hands them to SLURM or Ray. https://github.com/huggingface/datatrove
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers import ParquetWriter
from rich.table import Table

from crosstune.data import files
from crosstune.data.filters import Checks, keep_usable
from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import BadRow, Drops, Row
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.recipe import Languages, Quality, Recipe, Source
from crosstune.runs.files import read_json, write_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of
from crosstune.terminal.output import console, new_table, note

ExecutorName = Literal["local", "slurm", "ray"]


@dataclass(frozen=True)
class Where:
    """Where the tasks run.

    Attributes:
        num_tasks: shards, at most one per file; one per file if 0.
        num_workers: tasks at a time; if 0, one per core here, and all by a scheduler.
        time: SLURM's limit of a task, as 12:00:00.
        partition: SLURM's.
    """

    executor: ExecutorName = "local"
    num_tasks: int = 0
    num_workers: int = 0
    time: str = "12:00:00"
    partition: str = ""


@dataclass(frozen=True)
class SourceFiles:
    """A source of the recipe, with its files, which lie below a root folder."""

    name: str
    source: Source
    paths: list[Path]
    root: Path


class UsableDocuments(PipelineStep):  # type: ignore[misc]
    """Reads a task's share of a source's files and yields what passes the checks of the data stage.

    What does not is written with its reason, as in a mixture's ``dropped.jsonl``. Holds plain values only: executors
    send it to other machines.
    """

    name = "usable documents"
    type = "READER"

    def __init__(
        self,
        files: SourceFiles,
        quality: Quality,
        languages: Languages,
        evaluation: list[Path],
        out: Path,
    ) -> None:
        super().__init__()
        self.files, self.out = files, out
        self.quality, self.languages, self.evaluation = quality, languages, evaluation

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Yield the documents of every ``world_size``-th file from ``rank`` on."""
        num_read = 0

        def counted() -> Iterator[Row | BadRow]:
            nonlocal num_read
            for row in read_source(
                self.files.source, self.files.paths[rank::world_size], self.files.root, self.languages
            ):
                num_read += 1
                yield row

        known = EvaluationTexts.read(self.evaluation, self.quality.overlap_ngram) if self.evaluation else None
        checks = Checks("text", self.files.source.language, self.quality, known)
        (self.out / "dropped").mkdir(parents=True, exist_ok=True)
        drops = Drops(self.out / "dropped" / f"{rank:05d}.jsonl")
        try:
            for row in keep_usable(counted(), checks, self.files.name, drops):
                yield Document(text=row.texts["text"], id=row.origin)
        finally:
            drops.close()
        write_json(self.out / "counts" / f"{rank:05d}.json", {"read": num_read, "dropped": drops.counts()})


def filter_source(recipe: Recipe, run: RunFolder, root: Path, name: str, out: Path, where: Where) -> None:
    """Filter a text source into ``out/text/*.parquet``, and show what became of its rows.

    Raises:
        BadInputError: when the recipe has no such text source, ``out`` holds text that was filtered otherwise, or the
            executor cannot start here.
    """
    source = _text_source(recipe, name)
    # Absolute: tasks on other machines start in folders of their own.
    root, out = root.resolve(), out.resolve()
    paths = files.find(source.paths, root, f"data.sources.{name}.paths")
    num_tasks = min(where.num_tasks or len(paths), len(paths))
    evaluation = []
    if recipe.data.quality.drop_evaluation_overlap:
        evaluation = [run.evaluation_set(label).resolve() for label in recipe.evaluate.tasks_with_files]
    # Not their hashes: to read terabytes for them takes as long as to filter them.
    states = {files.place(path, root): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}
    languages = recipe.languages_of(source)
    settings = (source, recipe.data.quality, recipe.languages, states, num_tasks)
    _claim(out, fingerprint("filtered text", *settings, [fingerprint_of(folder) for folder in evaluation]))
    step = UsableDocuments(SourceFiles(name, source, paths, root), recipe.data.quality, languages, evaluation, out)
    writer = ParquetWriter(str(out / "text"), output_filename="${rank}.parquet", max_file_size=-1)
    try:
        _executor([step, writer], out, num_tasks, where).run()
    except (FileNotFoundError, ImportError) as error:
        if where.executor == "local":
            raise
        raise BadInputError(
            f"--executor {where.executor} cannot start here: {error}. Call it where that program or package is "
            "installed, or use --executor local"
        ) from None
    if where.executor == "local":
        console.print(_table(out, name))
        note(f"as a source of a recipe: {{kind: text, language: {source.language}, paths: [{out}/text/*.parquet]}}")


def _text_source(recipe: Recipe, name: str) -> Source:
    source = recipe.data.sources.get(name)
    if source is None or source.kind != "text":
        texts = [key for key, other in recipe.data.sources.items() if other.kind == "text"]
        found = f"is of kind {source.kind}" if source else "is not one of the recipe's sources"
        raise BadInputError(
            f"{name!r} cannot be filtered as text: it {found}; text sources: {', '.join(texts) or 'none'}. "
            "Pairs and instructions fit one machine: the data stage filters them"
        )
    if source.format == "hugging_face":
        raise BadInputError(
            f"{name!r} is a data set of format hugging_face, which tasks cannot share by files. Download it "
            "(hf download NAME --repo-type dataset), and name its files in `paths`, without `format`"
        )
    return source


def _claim(out: Path, wanted: str) -> None:
    """Note how the text is filtered; a folder that was filtered otherwise is not mixed with it."""
    path = out / "filter.json"
    if path.exists() and read_json(path)["fingerprint"] != wanted:
        raise BadInputError(
            f"{out} holds text filtered with other settings, files or numbers of tasks: give another folder, or "
            f"remove this one"
        )
    write_json(path, {"fingerprint": wanted})


def _executor(pipeline: list[PipelineStep], out: Path, num_tasks: int, where: Where) -> PipelineExecutor:
    shared = {"tasks": num_tasks, "logging_dir": str(out / "logs"), "workers": where.num_workers or -1}
    if where.executor == "local":
        here = where.num_workers or os.cpu_count() or 1
        return LocalPipelineExecutor(pipeline, **{**shared, "workers": min(here, num_tasks)})
    if where.executor == "slurm":
        # Imported where they are used: each needs its scheduler's own tools.
        from datatrove.executor import SlurmPipelineExecutor

        if not where.partition:
            raise BadInputError("--executor slurm needs --partition, the name of the cluster's partition")
        return SlurmPipelineExecutor(pipeline, time=where.time, partition=where.partition, **shared)
    from datatrove.executor.ray import RayPipelineExecutor

    return RayPipelineExecutor(pipeline, **shared)


def _table(out: Path, name: str) -> Table:
    counts = [read_json(path) for path in sorted((out / "counts").glob("*.json"))]
    dropped: Counter[str] = Counter()
    for count in counts:
        dropped.update(count["dropped"])
    num_read = sum(count["read"] for count in counts)
    table = new_table(f"filtered {name}")
    for column in ("shards", "read", "kept", "dropped"):
        table.add_column(column, justify="right")
    table.add_column("dropped because")
    numbers = (len(counts), num_read, num_read - dropped.total(), dropped.total())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in dropped.most_common())
    table.add_row(*(f"{number:,}" for number in numbers), reasons)
    return table
