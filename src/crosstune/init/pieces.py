"""How many new pieces a recipe asks for: by a quick sweep over the texts that were found, and by what is trained."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from crosstune.data import files
from crosstune.data.rows import Row
from crosstune.data.sources import read_source
from crosstune.doctor.pieces import DEAD, HOW_MANY, try_new_pieces
from crosstune.errors import BadInputError
from crosstune.init.sources import Sources
from crosstune.languages.registry import shares_letters
from crosstune.recipe import Languages, Source
from crosstune.tokenizer.bpe import BpeTokenizer

_LEAST_CHARACTERS = 50_000
_MOST_CHARACTERS = 5_000_000
_MOST_ROWS = 200_000


# A row that is seen seldom stays near where it began. Read 4 times each (SmolLM2, half an hour, 6,000 pieces), they
# made translations better (chrF++ 6.2 for 5.3, and 23.0 for 19.2 back) and text worse (2.80 bits per byte for 2.40);
# recipes/smollm2_korean reads each some 25 times. What lies between was not measured.
_LEAST_SEEN = 10


@dataclass(frozen=True)
class PieceChoice:
    """The extension that a recipe asks for.

    Attributes:
        number: of new pieces; 0 for none.
        why: what the number follows from.
        saved_by_size: by what share each number that was tried shortens text.
        settings: of the extension, besides its mixture.
    """

    number: int
    why: str
    saved_by_size: Mapping[int, float] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def saved(self) -> float:
        """By what share they shorten text."""
        return self.saved_by_size[self.number] if self.number else 0.0

    @property
    def extension(self) -> dict[str, object] | None:
        """Settings of the extension; None for none."""
        return {"num_new_pieces": self.number, **self.settings} if self.number else None

    def and_fewer(self) -> Iterator["PieceChoice"]:
        """Yield the choice, and those of fewer pieces, down to none, for a memory that has no room for their rows."""
        yield self
        for size in sorted({size for size in self.saved_by_size if size < self.number} | {0}, reverse=True):
            if self.number:
                why = f"{size:,} of {self.number:,} that text would pay for: there is no memory for the rows of more"
                yield replace(self, number=size, why=why)

    def trainable(self, num_tokens: float, language: str) -> "PieceChoice":
        """Return no more pieces than so many tokens in the target language train: each is seen often on average."""
        if num_tokens >= _LEAST_SEEN * self.number:
            return self
        fewer = max((size for size in self.saved_by_size if size * _LEAST_SEEN <= num_tokens), default=0)
        trained = f"training reads about {num_tokens:,.0f} tokens in {language}"
        if fewer:
            why = f"{fewer:,} of {self.number:,} that text would pay for: {trained}, {num_tokens / fewer:.0f} a piece"
        else:
            least = min(self.saved_by_size)
            why = (
                f"{trained}, {num_tokens / least:.0f} for each of the fewest pieces ({least:,}); it takes {_LEAST_SEEN}"
            )
        return replace(self, number=fewer, why=why)


def try_pieces(chosen: Sources, root: Path, languages: Languages, base: BpeTokenizer) -> PieceChoice:
    """Return as many new pieces as the texts pay for, whatever is trained; none where they are too short."""
    lines = _lines(chosen, languages.target, root, languages)
    length = sum(map(len, lines))
    if length < _LEAST_CHARACTERS:
        return PieceChoice(
            0, f"{length:,} characters of text are too few to learn pieces from; it takes {_LEAST_CHARACTERS:,}"
        )
    is_shared = shares_letters(languages.target, languages.source)
    source = _lines(chosen, languages.source, root, languages) if is_shared else []
    try:
        found = try_new_pieces(base, languages, lines, source)
    except BadInputError as error:
        return PieceChoice(0, str(error))
    by_name = {finding.name: finding for finding in found}
    number = int(by_name[HOW_MANY].values["num_new_pieces"])
    if not number:
        return PieceChoice(0, by_name[HOW_MANY].says)
    saved = {one.values["num_new_pieces"]: one.values["saved"] for one in found if "saved" in one.values}
    settings: dict[str, object] = {"required_syllables": "seen"}
    if DEAD in by_name and by_name[DEAD].setting:
        settings["keep_words_whole"] = True
    return PieceChoice(
        number, "; ".join(f"{one.name}: {one.says}" for one in found if "piece" in one.name), saved, settings
    )


def _lines(chosen: Sources, language: str, root: Path, languages: Languages) -> list[str]:
    """Return lines in a language, of every source alike, and one with what else is written in the others.

    A syllable that was seen once gets a piece, and so each counts in how many pieces there must be.
    """
    wanted = [name for name in chosen.files if chosen.settings[name]["kind"] == "parallel"]
    wanted += chosen.of("text", language) + chosen.of("instructions", language)
    found: list[str] = []
    others: set[str] = set()
    for name in wanted:
        source = Source.model_validate(chosen.settings[name], strict=False)
        paths = [] if source.format == "hugging_face" else files.find(source.paths, root, name)
        length = 0
        key = {"parallel": language, "text": "text", "instructions": "output"}[source.kind]
        for row in islice(read_source(source, paths, root, languages), _MOST_ROWS):
            if not isinstance(row, Row):
                continue
            if length <= _MOST_CHARACTERS / len(wanted):
                found += row.texts[key].splitlines()
                length += len(row.texts[key])
            else:
                others.update(row.texts[key])
    rest = "".join(sorted(others.difference(*found)))
    # Twice: what is tried holds some lines out, never two that follow each other.
    return [*found, rest, rest] if rest else found
