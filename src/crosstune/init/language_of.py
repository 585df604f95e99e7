"""In which of a recipe's two languages a text is, or in which other: by its letters, and by an identifier."""

import re

from crosstune.languages.characters import letters_of
from crosstune.languages.identify import identifier
from crosstune.languages.registry import shares_letters
from crosstune.recipe import Languages

_CHARACTERS = 20_000
_SHARE = 0.3


def language_of(text: str, languages: Languages) -> tuple[str, str]:
    """Return the recipe's language of a text, empty if neither, and what the text seems to be in, empty if nothing."""
    text = text[:_CHARACTERS]
    letters = "".join(filter(str.isalpha, text))
    if not letters:
        return "", ""
    known, seen = identifier(), ""
    known.set_languages(None)
    seen = str(known.classify(text)[0])
    by_code = {code.split("-")[0]: code for code in (languages.source, languages.target)}
    if shares_letters(languages.target, languages.source):
        return by_code.get(seen, ""), seen
    own = len(re.findall(f"[{letters_of(languages.target, languages.source)}]", letters)) / len(letters)
    if own >= _SHARE:
        # Another language of the same script: Marathi for Hindi, Ukrainian for Russian. What the identifier does not
        # know is what its letters say.
        is_known = languages.target.split("-")[0] in known.labels
        is_other = is_known and seen not in by_code and _is_of_script(seen, languages)
        return ("", seen) if is_other else (languages.target, languages.target)
    return (languages.source, seen) if by_code.get(seen) == languages.source else ("", seen)


def _is_of_script(seen: str, languages: Languages) -> bool:
    try:
        return shares_letters(seen, languages.target)
    except ValueError:
        return False
