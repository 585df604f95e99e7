"""Control tokens in what users write: marked as text, so that only those that a chat template writes are read."""

from collections.abc import Collection

# Of Unicode's last private plane, as the signs of turns: no text holds them once it is cleaned.
TEXT = "\U0010fff4"
SIGN = "\U0010fff5"


def as_text(text: str, controls: Collection[str]) -> str:
    """Return a text in which a mark stands inside each control token that it holds; `without_marks` takes it out."""
    # The longest first: one may be part of another.
    for name in sorted(controls, key=len, reverse=True):
        text = text.replace(name, name[:1] + TEXT + name[1:])
    return text


def without_marks(text: str) -> str:
    """Return a text as its writer wrote it."""
    return text.replace(TEXT, "")
