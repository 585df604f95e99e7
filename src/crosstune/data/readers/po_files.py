"""Gettext catalogues (.po): program messages and their translations."""

import re

import polib

from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError
from crosstune.languages.registry import is_in

_STATEMENT = re.compile(r'\s*(?:(?:msgctxt|msgid|msgid_plural|msgstr(?:\[\d+\])?)\s+)?"(?:[^"\\]|\\.)*"\s*')


def gettext(file: TextFile, source: str, target: str) -> Records:
    """Yield message and translation as ``{source: ..., target: ...}``.

    As gettext's own compiler does, a fuzzy translation counts as none, and so is an empty text; obsolete entries are
    comments. A message with plural forms is two: the singular with the first form, the plural with the last.

    Raises:
        BadInputError: when it is no catalogue, or its header names another language than the target.
    """
    text = file.text()
    _check_statements(text, file)
    try:
        # polib takes a text without line end for a path.
        catalogue = polib.pofile(text + "\n")
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{file.path} is not a gettext catalog: {error}. Check it with `msgfmt -c`, or correct `format`"
        ) from None
    language = catalogue.metadata.get("Language", "").strip()
    if language and not is_in(language, target):
        raise BadInputError(
            f"{file.path} translates into {language!r} (its header's Language), but the recipe's target language is "
            f"{target!r}. Give the catalog of that language, or correct the header"
        )
    for entry in catalogue:
        if entry.obsolete:
            continue
        for form, message, translation in _messages(entry):
            texts = {source: message, target: "" if entry.fuzzy else translation}
            yield Record(f"{file.name}:{entry.linenum}{form}", texts)


def _check_statements(text: str, file: TextFile) -> None:
    """Refuse texts that are not quoted whole: polib cuts off the first and the last character, whatever they are."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith("#") and not _STATEMENT.fullmatch(line):
            raise BadInputError(
                f"{file.path} is not a gettext catalog: line {number} should be a comment, or a quoted text after "
                f"msgid, msgstr or nothing, but is {line[:80]!r}. Check it with `msgfmt -c`, or correct `format`"
            )


def _messages(entry: polib.POEntry) -> list[tuple[str, str, str]]:
    """Return form (for the origin), message and translation."""
    if not entry.msgid_plural:
        return [("", entry.msgid, entry.msgstr)]
    forms = [entry.msgstr_plural[index] for index in sorted(entry.msgstr_plural)] or [""]
    singular = [("", entry.msgid, forms[0])] if len(forms) > 1 else []
    return [*singular, (" plural", entry.msgid_plural, forms[-1])]
