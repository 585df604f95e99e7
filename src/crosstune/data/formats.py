"""Which format a corpus file has: as the recipe says, or by its first characters."""

import json
import re
from pathlib import Path

from crosstune.data.files import read_text
from crosstune.errors import BadInputError

# kind -> the formats that it can be read from.
FORMATS = {
    "parallel": ("aihub_json", "json", "jsonl", "tsv", "aligned_text"),
    "instructions": ("json", "jsonl"),
    "text": ("text", "jsonl"),
}
_LAYOUTS = {
    "aihub_json": '{"data": [{"en": ..., "ko": ...}]}',
    "json": "[{...}, {...}]",
    "jsonl": "one JSON object per line",
    "tsv": "tab-separated columns",
    "aligned_text": "two plain-text files with the same number of lines",
    "text": "one document per line",
}
_OBJECT = re.compile(r'\{\s*["}]')
_ARRAY = re.compile(r"\[\s*[{\]]")


def choose(kind: str, asked: str, path: Path, text: str) -> str:
    """Return the format of a file: the one asked for, or found out when that is ``auto``.

    Raises:
        BadInputError: when this kind of source has no such format, or the file shows none of them.
    """
    allowed = FORMATS[kind]
    if asked not in ("auto", *allowed):
        raise BadInputError(
            f"{path}: format {asked!r} was asked for, but a source of kind {kind!r} is read from "
            f"{', '.join(allowed)}. Correct `format`, or leave it out to have it found out"
        )
    found = _detect(kind, text) if asked == "auto" else asked
    if not text.strip():
        raise BadInputError(f"{path} is empty: a source of kind {kind!r} needs rows. Check the file, or leave it out")
    if found not in allowed:
        layouts = "; ".join(f"{name} ({_LAYOUTS[name]})" for name in allowed)
        raise BadInputError(
            f"{path}: the format of this {kind} file was not recognised. It begins with {text[:80]!r}. "
            f"Readable: {layouts}. Name one as `format`, or convert the file"
        )
    return found


def aligned(paths: list[Path]) -> bool:
    """Return whether these are two plain-text files, neither JSON nor with tabs: an aligned pair."""
    return len(paths) == 2 and all(_detect("parallel", read_text(path)) == "" for path in paths)


def _detect(kind: str, text: str) -> str:
    start = text.lstrip()
    first_line = start.partition("\n")[0]
    # A plain text may begin with a bracket or brace, as headlines do ("[속보] ..."); JSON goes on as JSON does.
    if start.startswith("{") and (kind != "text" or _OBJECT.match(start)):
        return _detect_object(first_line, kind)
    if _ARRAY.match(start) or (kind == "instructions" and start.startswith("[")):
        return "json"
    if kind == "text":
        return "text"
    return "tsv" if kind == "parallel" and _has_columns(start) else ""


def _has_columns(text: str) -> bool:
    """Return whether most of the first lines hold tabs: a stray tab occurs in plain text, too."""
    lines = [line for line in text.split("\n", 20)[:20] if line.strip()]
    return sum("\t" in line for line in lines) > len(lines) / 2


def _detect_object(first_line: str, kind: str) -> str:
    try:
        row = json.loads(first_line)
    except (ValueError, RecursionError):
        # One object over several lines, or a broken first row: its reader says where it breaks.
        if kind == "parallel" and (first_line.strip() == "{" or '"data"' in first_line[:100]):
            return "aihub_json"
        return "" if first_line.strip() == "{" else "jsonl"
    if kind == "parallel" and isinstance(row.get("data"), list):
        return "aihub_json"
    return "jsonl"
