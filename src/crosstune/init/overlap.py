"""How many of the first rows hold an item of an evaluation set: those that the data stage will drop."""

from collections.abc import Collection
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from crosstune.data.filters import OVERLAP, Checks, keep_usable
from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import Drops, readable
from crosstune.data.sources import find_files, read_source
from crosstune.data.stage import write_evaluation_sets
from crosstune.models.chat_template import template_of
from crosstune.recipe import Recipe
from crosstune.runs.folder import RunFolder
from crosstune.terminal.output import console, quiet

NUM_ROWS = 200


def overlaps(recipe: Recipe, benchmarks: Collection[str]) -> dict[str, int]:
    """Return for each source how many of its first rows the data stage drops for an item of these, where it does."""
    controls = template_of(recipe).controls
    counts = {}
    with TemporaryDirectory() as folder, quiet(console):
        run = RunFolder(Path(folder))
        root = write_evaluation_sets(recipe, run)
        sets = [run.evaluation_set(label) for label in recipe.evaluate.tasks_with_files if label in benchmarks]
        known = EvaluationTexts.read(sets, recipe.data.quality.overlap_ngram)
        for name, source in recipe.data.sources.items():
            paths = find_files(source, root, f"data.sources.{name}.paths")
            drops = Drops()
            rows = islice(read_source(source, paths, root, recipe.languages_of(source)), NUM_ROWS)
            checks = Checks(source.kind, source.language, recipe.data.quality, known, controls)
            for _ in keep_usable(readable(rows, name, "drop", drops), checks, name, drops):
                pass
            if count := sum(number for reason, number in drops.counts().items() if reason.startswith(OVERLAP)):
                counts[name] = count
    return counts
