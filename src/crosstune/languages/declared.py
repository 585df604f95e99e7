"""Whether what a file says of its language, by a code or an English name, is the language that is wanted."""

import re
from functools import cache

from crosstune.errors import BadInputError
from crosstune.languages.registry import canonical, is_in, language_name, language_names

# What publishers call a language that CLDR calls otherwise: Bangla, Filipino.
OTHER_NAMES = {"bn": ("Bengali",), "fil": ("Tagalog",)}
_CODE = re.compile("[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?(?:[-_](?:[A-Za-z]{2}|[0-9]{3}))?")


def means(declared: str, wanted: str) -> bool | None:
    """Return whether a code or name stands for a language: ``kor_Hang`` and ``Korean`` for ``ko``.

    None where it names no language at all: nothing can be told from it.
    """
    if _CODE.fullmatch(declared) and _is_language(declared):
        return is_in(declared, wanted)
    # INCLUDE says North Macedonian.
    last = declared.casefold().split(" ")[-1]
    if last in map(str.casefold, names_of(wanted)):
        return True
    return False if last in _all_names() else None


def names_of(code: str) -> tuple[str, ...]:
    """Return the English names that publishers give a language."""
    return (language_name(code, "en"), *OTHER_NAMES.get(code, ()))


def _is_language(code: str) -> bool:
    parts = code.replace("_", "-").split("-")
    try:
        canonical(
            "-".join([parts[0].lower(), *(part.title() if len(part) == 4 else part.upper() for part in parts[1:])])
        )
    except BadInputError:
        return False
    return True


@cache
def _all_names() -> frozenset[str]:
    listed = language_names("en")
    others = (name for names in OTHER_NAMES.values() for name in names)
    return frozenset(name.casefold() for name in (*(listed[code] for code in listed), *others))
