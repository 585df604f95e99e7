"""Which of two languages a text is in, where their letters do not tell."""

from functools import cache
from typing import Any

# Beyond this, more text changes no verdict.
_CHARACTERS = 20_000


def which_of(text: str, codes: tuple[str, str]) -> str | None:
    """Return the likelier of two languages; None where the identifier knows only one of them."""
    short = {code.split("-")[0]: code for code in codes}
    known = identifier()
    if not set(short) <= set(known.labels):
        return None
    known.set_languages(list(short))
    found: str = known.classify(text[:_CHARACTERS])[0]
    known.set_languages(None)
    return short[found]


@cache
def identifier() -> Any:
    """Return py3langid's identifier of 97 languages."""
    # Imported here: it takes a third of a second.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
