"""The one form in which text is learnt, asked and compared: training rows, prompts, evaluation items, references."""

import re
import unicodedata

# Form feeds and their kind part words: removed like other control characters, they would glue two together.
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85]")
# All control characters but tab and line feed; a byte order mark inside a text is one, too, and so are the signs by
# which `controls` tells a text's from a template's control tokens.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\U0010fff4\U0010fff5]")


def clean(text: str) -> str:
    """Return a text in NFC, with LF line ends, without control characters and outer white space.

    A model knows text in this form only: Korean as macOS writes it, decomposed, is ten times as many tokens to it.
    """
    # Line ends are the one sign of ordinary text that is not printable, and stay.
    if text.isprintable() or text.replace("\n", "").isprintable():
        return unicodedata.normalize("NFC", text).strip()
    text = unicodedata.normalize("NFC", _BREAKS.sub("\n", text))
    return _CONTROL.sub("", text).strip()


def normalised(text: str) -> str:
    """Return what two texts must share to count as the same: NFC, any white space one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())
