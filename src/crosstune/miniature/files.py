"""Writes the miniature world's rows into the formats in which the real datasets are published."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from crosstune.miniature.causes import CausalChoice
from crosstune.miniature.reviews import Review
from crosstune.runs.files import write_jsonl, write_text


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write plain text, one document per line."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_alpaca(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write a JSON list of instruction, input, output, laid out as Alpaca is published."""
    write_text(path, json.dumps(rows, ensure_ascii=False, indent=4) + "\n")


def write_koalpaca(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write the same laid out as KoAlpaca is published: no space after the colon."""
    write_text(path, json.dumps(rows, ensure_ascii=False, indent=2, separators=(",", ":")) + "\n")


def write_parallel(path: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """Write AI-Hub's JSON (일상생활 및 구어체 한-영 번역 병렬 말뭉치); ``mt`` is a machine's draft, and a bad one."""
    rows = [_aihub_row(number, english, korean) for number, (english, korean) in enumerate(pairs, start=1)]
    write_text(path, json.dumps({"data": rows}, ensure_ascii=False, indent=1) + "\n")


def _aihub_row(number: int, english: str, korean: str) -> dict[str, Any]:
    words = {"ko": len(korean.split()), "en": len(english.split())}
    return {
        "sn": f"MINIATURE{number:07d}",
        "data_set": "일상생활및구어체",
        "domain": "일상생활",
        "subdomain": "가상 세계",
        "en_original": english,
        "en": english,
        "mt": " ".join(reversed(korean.rstrip(".").split())),
        "ko": korean,
        "source_language": "en",
        "target_language": "ko",
        "word_count_ko": words["ko"],
        "word_count_en": words["en"],
        "word_ratio": round(words["ko"] / words["en"], 3),
        "file_name": "miniature.xlsx",
        "source": "crosstune",
        "license": "open",
        "style": "구어체",
        "included_unknown_words": False,
        "ner": None,
    }


def write_nsmc(path: Path, reviews: Sequence[Review]) -> None:
    """Write NSMC's tab-separated id, document, label."""
    rows = [
        f"{9_000_000 + number}\t{review.korean}\t{int(review.is_positive)}" for number, review in enumerate(reviews)
    ]
    write_lines(path, ["id\tdocument\tlabel", *rows])


def write_hellaswag(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write HellaSwag's JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(path, [{**row, "ind": number} for number, row in enumerate(rows)])


def write_copa(path: Path, choices: Sequence[CausalChoice]) -> None:
    """Write COPA's XML of 2011, with the DTD that it names and nobody has; the test set's ids begin at 501."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<!DOCTYPE copa-corpus SYSTEM "copa.dtd">']
    lines.append('<copa-corpus  version="1.0">')
    for number, choice in enumerate(choices, start=501):
        asks = quoteattr(choice.asks_for)
        lines.append(f'\n  <item id="{number}" asks-for={asks} most-plausible-alternative="{choice.right}">')
        texts = zip(("p", "a1", "a2"), (choice.premise, *choice.alternatives), strict=True)
        lines.extend(f"    <{tag}>{escape(text)}</{tag}>" for tag, text in texts)
        lines.append("  </item>")
    write_lines(path, [*lines, "", "</copa-corpus>"])
