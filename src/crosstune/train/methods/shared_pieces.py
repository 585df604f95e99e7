"""Which embedding rows of two models stand for the same piece."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosstune.models.load import load_tokenizer
from crosstune.recipe import Recipe
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.train.new_rows.rows import read_subwords
from crosstune.train.start import Start, own_tokenizer


@dataclass(frozen=True)
class Other:
    """Another system's model, as it lies on the disk or the hub.

    Attributes:
        pieces: the rows of its pieces, those that the changed system's tokenizer may have, too.
        num_common: where both have tokenizers of the run, and one is extended, the pieces that they have in common.
    """

    name: str
    model: str
    revision: str | None
    pieces: Mapping[str, int]
    num_common: int | None = None


def find_other(recipe: Recipe, run: RunFolder, name: str, other: str, start: Start) -> Other:
    """Find a model that a system is merged with: one of the recipe's systems, or the system's own start.

    What was made from a model of its own tokenizer knows pieces by that: a chat model may have tokens that its base
    has not, or the same under other numbers. What the run trained has the run's tokenizer.
    """
    if other not in recipe.systems:
        model, revision, differs, is_untrained = start.model, start.revision, start.needs_new_rows, True
    else:
        facts = read_json(run.system(other) / "system.json")
        model, revision = run.locate(facts["model"]), facts["revision"]
        differs = recipe.systems[other].tokenizer != recipe.systems[name].tokenizer
        is_untrained = Path(model) != run.system(other) / "model"
    if is_untrained and (own := own_tokenizer(model, revision)) is not None:
        return Other(other, model, revision, own.get_vocab())
    num_common = read_subwords(run.tokenizer("extended")).old_size if differs else None
    pieces = load_tokenizer(str(start.tokenizer)).get_vocab()
    return Other(other, model, revision, _first(pieces, num_common), num_common)


def pieces_here(start: Start, other: Other) -> Mapping[str, int]:
    """Return the rows of a system's own pieces, those that the other may have, too."""
    return _first(load_tokenizer(str(start.tokenizer)).get_vocab(), other.num_common)


def _first(pieces: Mapping[str, int], number: int | None) -> Mapping[str, int]:
    """Return the pieces before the extension: their numbers are the same with and without it."""
    return pieces if number is None else {piece: index for piece, index in pieces.items() if index < number}
