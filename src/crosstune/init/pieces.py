"""How many new pieces a recipe asks for: by a quick sweep over the texts that were found."""

from itertools import islice
from pathlib import Path

from crosstune.data import files
from crosstune.data.rows import Row
from crosstune.data.sources import read_source
from crosstune.doctor.findings import Finding
from crosstune.doctor.pieces import DEAD, HOW_MANY, try_new_pieces
from crosstune.errors import BadInputError
from crosstune.init.sources import Sources
from crosstune.languages.registry import shares_letters
from crosstune.recipe import Languages, Source
from crosstune.tokenizer.bpe import BpeTokenizer

_LEAST_CHARACTERS = 50_000
_MOST_CHARACTERS = 5_000_000


class NoExtension(Exception):
    """Why a recipe keeps the tokenizer as it is."""


def number_of_pieces(
    chosen: Sources, root: Path, languages: Languages, base: BpeTokenizer
) -> tuple[dict[str, object], list[Finding]]:
    """Return what the recipe says of the extension besides its mixture, and what the sweep found.

    Raises:
        NoExtension: where there is too little text, or new pieces buy little.
    """
    lines = _lines(chosen, languages.target, root, languages)
    length = sum(map(len, lines))
    if length < _LEAST_CHARACTERS:
        raise NoExtension(
            f"{length:,} characters of text are too few to learn pieces from; it takes {_LEAST_CHARACTERS:,}"
        )
    is_shared = shares_letters(languages.target, languages.source)
    source = _lines(chosen, languages.source, root, languages) if is_shared else []
    try:
        found = try_new_pieces(base, languages, lines, source)
    except BadInputError as error:
        raise NoExtension(str(error)) from None
    by_name = {finding.name: finding for finding in found}
    number = int(by_name[HOW_MANY].values["num_new_pieces"])
    if not number:
        raise NoExtension(by_name[HOW_MANY].says)
    settings: dict[str, object] = {"num_new_pieces": number, "required_syllables": "seen"}
    if DEAD in by_name and by_name[DEAD].setting:
        settings["keep_words_whole"] = True
    return settings, found


def _lines(chosen: Sources, language: str, root: Path, languages: Languages) -> list[str]:
    """Return lines in a language, of every source alike."""
    wanted = [name for name in chosen.files if chosen.settings[name]["kind"] == "parallel"]
    wanted += chosen.of("text", language) + chosen.of("instructions", language)
    found: list[str] = []
    for name in wanted:
        source = Source.model_validate(chosen.settings[name], strict=False)
        paths = [] if source.format == "hugging_face" else files.find(source.paths, root, name)
        length = 0
        key = {"parallel": language, "text": "text", "instructions": "output"}[source.kind]
        for row in islice(read_source(source, paths, root, languages), 200_000):
            if isinstance(row, Row):
                found += row.texts[key].splitlines()
                length += len(row.texts[key])
            if length > _MOST_CHARACTERS / len(wanted):
                break
    return found
