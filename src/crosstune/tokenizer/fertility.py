"""How long text becomes: tokens per word and bytes per token, before and after the extension, per language."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from tokenizers import Tokenizer

from crosstune.recipe import Languages
from crosstune.terminal.output import new_table

# Words are what stands between white space: no tool's version changes them, and Korean is written with spaces.
WORD_SPLITTER = "whitespace"


@dataclass(frozen=True)
class Fertility:
    """The length of one text in one language under one tokenizer."""

    text: str
    language: str
    tokenizer: str
    lines: int
    words: int
    bytes: int
    tokens: int
    tokens_per_word: float
    bytes_per_token: float


def measure(text: str, language: str, lines: list[str], name: str, tokenizer: Tokenizer) -> Fertility:
    """Measure one text in one language, cut by the tokenizer of a name."""
    # Files that were saved behind a training hold its padding and its longest row.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(lines, add_special_tokens=False))
    words = sum(len(line.split()) for line in lines)
    num_bytes = sum(len(line.encode("utf-8")) for line in lines)
    per_word = round(tokens / max(words, 1), 4)
    per_token = round(num_bytes / max(tokens, 1), 4)
    return Fertility(text, language, name, len(lines), words, num_bytes, tokens, per_word, per_token)


def parity(rows: list[Fertility], texts: Mapping[str, Languages]) -> list[dict[str, Any]]:
    """Return, for each parallel text and tokenizer, the tokens of its target side per token of its source side.

    ``texts`` are the parallel ones, with their languages.

    1 means that both languages cost the same (Petrov et al. 2023, https://arxiv.org/abs/2305.15425).
    """
    tokens = {(row.text, row.tokenizer, row.language): row.tokens for row in rows if row.text in texts}
    return [
        {
            "text": text,
            "tokenizer": name,
            "languages": f"{texts[text].target} / {texts[text].source}",
            "parity": round(tokens[text, name, texts[text].target] / count, 4),
        }
        for (text, name, language), count in tokens.items()
        if language == texts[text].source and count
    ]


def as_json(rows: list[Fertility], parities: list[dict[str, Any]], made_from: str) -> dict[str, Any]:
    """Return the content of ``fertility.json``."""
    return {
        "fingerprint": made_from,
        "word_splitter": WORD_SPLITTER,
        "rows": [asdict(row) for row in rows],
        "parity": parities,
    }


def parity_line(row: dict[str, Any]) -> str:
    """Return one parity for the terminal."""
    return f"parity (tokens {row['languages']}), {row['text']}, {row['tokenizer']}: {row['parity']:.3f}"


def as_table(rows: list[Fertility]) -> Table:
    """Return the rows as a table for the terminal, the tokenizers side by side."""
    table = new_table(f"fertility (words: {WORD_SPLITTER})")
    for heading in ("text", "language"):
        table.add_column(heading, overflow="fold")
    names = list(dict.fromkeys(row.tokenizer for row in rows))
    measures = ("tokens\nper word", "bytes\nper token")
    for heading in ("lines", *(f"{measure}\n{name}" for measure in measures for name in names)):
        table.add_column(heading, justify="right")
    found = {(row.text, row.language, row.tokenizer): row for row in rows}
    for text, language in dict.fromkeys((row.text, row.language) for row in rows):
        sides = [found[text, language, name] for name in names]
        per_word = (f"{row.tokens_per_word:.3f}" for row in sides)
        per_token = (f"{row.bytes_per_token:.3f}" for row in sides)
        table.add_row(text, language, f"{sides[0].lines:,}", *per_word, *per_token)
    return table
