"""Words of hundreds of languages at hand: what CLDR calls countries, languages, months and days in each."""

from babel import Locale
from babel.core import UnknownLocaleError

from crosstune.languages.registry import canonical


def names_in(code: str) -> list[str]:
    """Return names in a language, in whatever letters CLDR has them; none for a language that it does not describe."""
    try:
        locale = Locale.parse(canonical(code), sep="-")
    except (UnknownLocaleError, ValueError):
        return []
    calendar = [*locale.months["format"]["wide"].values(), *locale.days["format"]["wide"].values()]
    return [str(name) for name in (*locale.territories.values(), *locale.languages.values(), *calendar)]
