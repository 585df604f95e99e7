"""What the tokenizer stage reads: the text of mixtures, and the two sides of translation sets."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from hashlib import blake2b
from heapq import heappush, heappushpop
from pathlib import Path
from zlib import crc32

import pyarrow.parquet as pq

from crosstune.errors import RunFolderError
from crosstune.recipe import LearnedExtension, LearnedTokenizer, Recipe
from crosstune.runs.files import read_jsonl
from crosstune.runs.folder import RunFolder
from crosstune.terminal.bars import progress

_ROWS_PER_BATCH = 4096
_HELD_OUT = 10


def mixture_texts(folder: Path, description: str = "") -> Iterator[str]:
    """Yield the text of each example of a mixture, without holding them all; with a description, show the progress.

    Raises:
        RunFolderError: when the data stage has not written it.
    """
    path = folder / "examples.parquet"
    _refuse_missing(path)
    file = pq.ParquetFile(path)
    with progress(description, file.metadata.num_rows) if description else nullcontext() as advance:
        for batch in file.iter_batches(_ROWS_PER_BATCH, columns=["prompt", "completion"]):
            for prompt, completion in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield prompt + completion
            if advance is not None:
                advance(batch.num_rows)


def language_texts(folder: Path, language: str) -> Iterator[str]:
    """Yield the completion of each example of a mixture that is in one language: prompts are in either.

    Raises:
        RunFolderError: when the data stage has not written it.
    """
    path = folder / "examples.parquet"
    _refuse_missing(path)
    for batch in pq.ParquetFile(path).iter_batches(_ROWS_PER_BATCH, columns=["completion", "language"]):
        for text, written_in in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if written_in == language:
                yield text


def source_texts(recipe: Recipe, run: RunFolder, held_out: bool) -> Iterator[str]:
    """Yield the source-language texts of all mixtures; one in ten is held out from learning, equal ones alike."""
    for name in recipe.data.mixtures:
        for text in language_texts(run.mixture(name), recipe.languages.source):
            if (crc32(text.encode("utf-8")) % _HELD_OUT == 0) == held_out:
                yield text


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise RunFolderError(f"{path} is missing: run the data stage first (crosstune data RECIPE)")


def recipe_texts(recipe: Recipe, run: RunFolder) -> Iterator[str]:
    """Yield the texts that the recipe's tokenizers learn from; those of all mixtures if none learns."""
    for name in learnt_mixtures(recipe):
        yield from mixture_texts(run.mixture(name))


def learnt_mixtures(recipe: Recipe) -> list[str]:
    """Return the mixtures whose text is that of `recipe_texts`."""
    sections = (recipe.tokenizer.base, recipe.tokenizer.extension)
    learned = [section.mixture for section in sections if isinstance(section, LearnedTokenizer | LearnedExtension)]
    return list(dict.fromkeys(learned or recipe.data.mixtures))


def data_root(recipe: Recipe, run: RunFolder) -> Path:
    """Return the folder that paths of a recipe are relative to."""
    return run.world if recipe.data_root is None else recipe.data_root


def translation_lines(recipe: Recipe, run: RunFolder) -> dict[str, dict[str, list[str]]]:
    """Return the sentences of each translation set, by its label and language.

    Raises:
        RunFolderError: when the data stage has not written one.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for label in translation_sets(recipe):
        path = run.evaluation_set(label) / "items.jsonl"
        _refuse_missing(path)
        items, codes = read_jsonl(path), recipe.languages_of(recipe.evaluate.tasks[label]).codes
        found[label] = {language: [item[language] for item in items] for language in codes}
    return found


def translation_sets(recipe: Recipe) -> list[str]:
    """Return the labels of the translation sets."""
    return [label for label, task in recipe.evaluate.tasks.items() if task.task == "translation"]


def sample_lines(texts: Iterable[str], num_lines: int, seed: int) -> list[str]:
    """Draw different non-empty lines, in one pass and in bounded memory; equal texts and seed, equal lines.

    Those with the smallest hashes: a line that stands there a thousand times, as those of a prompt do, counts once.
    """
    hash_with_seed = blake2b(str(seed).encode(), digest_size=8)
    kept: dict[bytes, str] = {}
    largest: list[tuple[int, bytes]] = []
    for line in (line for text in texts for line in text.split("\n") if line.strip()):
        hashing = hash_with_seed.copy()
        hashing.update(line.encode("utf-8", "surrogatepass"))
        drawn = hashing.digest()
        place = (-int.from_bytes(drawn), drawn)
        if drawn in kept or (len(kept) == num_lines and place < largest[0]):
            continue
        if len(kept) == num_lines:
            del kept[heappushpop(largest, place)[1]]
        else:
            heappush(largest, place)
        kept[drawn] = line
    return sorted(kept.values())
