"""How many of the rows that were looked at hold an item of an evaluation set: the data stage drops such rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosstune.data import evaluation_sets
from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import BadRow
from crosstune.errors import BadInputError
from crosstune.init.sources import Sources
from crosstune.prompts.cleaning import normalised
from crosstune.recipe import EvaluationTask, Languages

_NGRAM = 13


def overlaps(
    chosen: Sources, tasks: Mapping[str, Mapping[str, Any]], root: Path, languages: Languages
) -> dict[str, int]:
    """Return for each source how many of its sampled rows hold an item of the tasks, where some do."""
    texts: dict[str, str] = {}
    options: dict[str, str] = {}
    for label, settings in tasks.items():
        task = EvaluationTask.model_validate(settings, strict=False)
        try:
            paths, folder = evaluation_sets.files_of(task, root, label)
            items = list(evaluation_sets.read(task, paths, folder, languages))
        except BadInputError:
            continue  # The data stage says what is wrong with it; here it only cannot be compared.
        for item in (item for item in items if not isinstance(item, BadRow)):
            for found, are_options in ((texts, False), (options, True)):
                for text in task.spec.own_texts(item, are_options):
                    found.setdefault(normalised(text), label)
    known = EvaluationTexts(texts, _NGRAM, options)
    counts = {
        name: sum(match is not None for match in known.find(list(file.sample))) for name, file in chosen.files.items()
    }
    return {name: count for name, count in counts.items() if count}
