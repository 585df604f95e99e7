"""Gettext catalogues (.po): program messages and their translations."""

import polib

from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError


def gettext(file: TextFile, source: str, target: str) -> Records:
    """Yield message and translation as ``{source: ..., target: ...}``.

    As gettext's own compiler does, a fuzzy translation counts as none, and so is an empty text; obsolete entries are
    comments. A message with plural forms is two: the singular with the first form, the plural with the last.

    Raises:
        BadInputError: when it is no catalogue, or its header names another language than the target.
    """
    text = file.text()
    try:
        # polib takes a text without line end for a path.
        catalogue = polib.pofile(text + "\n")
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{file.path} is no gettext catalogue: {error}. Check it with `msgfmt -c`, or correct `format`"
        ) from None
    language = catalogue.metadata.get("Language", "").strip()
    if language and language.lower().replace("_", "-").split("-")[0] != target:
        raise BadInputError(
            f"{file.path} translates into {language!r} (its header's Language), but the recipe's target language is "
            f"{target!r}. Give the catalogue of that language, or correct the header"
        )
    for entry in catalogue:
        if entry.obsolete:
            continue
        for message, translation in _messages(entry):
            texts = {source: message, target: "" if entry.fuzzy else translation}
            yield Record(f"{file.name}:{entry.linenum}", texts)


def _messages(entry: polib.POEntry) -> list[tuple[str, str]]:
    if not entry.msgid_plural:
        return [(entry.msgid, entry.msgstr)]
    forms = [entry.msgstr_plural[index] for index in sorted(entry.msgstr_plural)] or [""]
    singular = [(entry.msgid, forms[0])] if len(forms) > 1 else []
    return [*singular, (entry.msgid_plural, forms[-1])]
