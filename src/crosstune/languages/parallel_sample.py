"""Thirty everyday sentences in several languages, line by line: enough to see what a tokenizer does with a language."""

from importlib.resources import files

from crosstune.languages.registry import is_in

_FOLDER = files("crosstune.languages") / "samples"


def sampled_languages() -> list[str]:
    """Return the codes of the languages that have a sample."""
    return sorted(entry.name.removesuffix(".txt") for entry in _FOLDER.iterdir() if entry.name.endswith(".txt"))


def sample_of(code: str) -> list[str] | None:
    """Return the sentences in a language; None for one that has none, in this script."""
    found = next((known for known in sampled_languages() if is_in(known, code)), None)
    return (_FOLDER / f"{found}.txt").read_text(encoding="utf-8").splitlines() if found else None
