"""New pieces that no word of the learning text ends up as: steps of merges towards longer pieces.

BPE needs both halves of every merge. Of a word that occurs twice, "publ", "publis" and "publish" become pieces, and
only the last one ever stands in the text. A model cannot learn what such a piece means: no row contains it.
"""

from dataclasses import dataclass

from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.learn import NewPieces, first_pieces

# Korean pieces on top of LLaMA-2's: 2 % of 28,000 from a million characters; from texts that stand twice in a mixture,
# once for each direction, 6 % of 8,192 from a hundred thousand characters, and 34 % from thirty thousand.
_MANY = 0.1
_SIZES = 16


@dataclass(frozen=True)
class Unused:
    """How many new pieces stand nowhere in the text that they were learned from.

    Attributes:
        num_pieces: the new pieces, dummies left out.
        steps: those of several characters, as text.
        characters: single characters, and parts of them, which stand inside longer pieces only, or are not in the text
            at all; unseen words are spelled with them.
        advised: the largest number of new pieces of which few are unused; as many as there are, if few are.
    """

    num_pieces: int
    steps: tuple[str, ...]
    characters: int
    advised: int

    @property
    def num_steps(self) -> int:
        """Return how many steps there are."""
        return len(self.steps)

    @property
    def share(self) -> float:
        """Return the share of steps among the new pieces."""
        return self.num_steps / max(1, self.num_pieces)

    @property
    def is_much(self) -> bool:
        """Return whether fewer pieces, or more text, would be better."""
        return self.share > _MANY

    def __str__(self) -> str:
        used = self.num_pieces - self.num_steps - self.characters
        parts = [f"{used:,} of {self.num_pieces:,} new pieces occur in the text that they were learned from"]
        if self.steps:
            parts.append(f"{self.num_steps:,} ({self.share:.0%}) are only steps of merges towards longer ones")
        if self.characters:
            parts.append(f"{self.characters:,} are single characters, or parts of them, for words that are not in it")
        return "; ".join(parts)

    @property
    def sentence(self) -> str:
        """Return what is found and, where it is much, what to do."""
        if not self.is_much:
            return str(self)
        fewer = f"ask for fewer pieces (num_new_pieces: {self.advised})"
        return f"{self}. No training row teaches a piece that does not occur: {fewer}, or give more text"


def unused_among(learner: BpeTokenizer, new: NewPieces) -> Unused:
    """Count them; ``learner`` is the tokenizer that the pieces were learned on."""
    steps, characters = _counts(learner, new)
    counted = Unused(len(new.pieces), steps, characters, len(new.pieces))
    return counted if not counted.is_much else Unused(len(new.pieces), steps, characters, _advised(learner, new))


def _advised(learner: BpeTokenizer, new: NewPieces) -> int:
    """Return the largest of some sizes of which few pieces are unused; more pieces leave more of them unused."""
    least, most = new.num_for_characters, len(new.pieces)
    sizes = [least + (most - least) * part // _SIZES for part in range(_SIZES)]
    low, high = 0, _SIZES - 1
    while low < high:
        middle = (low + high + 1) // 2
        fewer = first_pieces(learner, new, sizes[middle])
        steps, _ = _counts(learner, fewer)
        low, high = (middle, high) if len(steps) <= _MANY / 2 * len(fewer.pieces) else (low, middle - 1)
    return sizes[low]


def _counts(learner: BpeTokenizer, new: NewPieces) -> tuple[tuple[str, ...], int]:
    extended = learner.with_pieces(new.pieces, new.merges)
    seen = {piece for part in new.parts for piece in extended.cut(part)}
    unused = [extended.surface(piece) for piece in new.pieces if piece not in seen]
    steps = tuple(text for text in unused if text is not None and len(text.strip()) > 1)
    return steps, len(unused) - len(steps)
