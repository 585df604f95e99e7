"""How much leakage is found: evaluation items hidden in training rows under disguises, and what clean rows lose.

    python benchmarks/leakage.py DATA_ROOT --json benchmarks/results/leakage.json

Each item of at least 15 letters is planted in a real training row: as the whole of a field, or inside a longer one. The
same search then goes through training corpora that were parted from the evaluation sets when both were made: what it
drops there is an upper bound of its false positives.
"""

import argparse
import csv
import json
import random
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from crosstune.data.comparison import letters, units
from crosstune.data.overlap import MIN_OVERLAP_LETTERS, EvaluationTexts
from crosstune.data.rows import Row
from crosstune.data.sources import find_files, read_source
from crosstune.prompts.cleaning import clean
from crosstune.recipe import Languages, Source
from crosstune.runs.provenance import commit, hardware, versions

Texts = dict[str, str]
Disguise = Callable[[str, random.Random], str]
_LANGUAGES = Languages(source="en", target="ko")
_ROWS_AT_ONCE, _HOST_CHARACTERS = 1024, 600
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_STOPS = ".!?。"


def _without_punctuation(text: str, _: random.Random) -> str:
    return re.sub(r"[^\w\s]|_", "", text)


def _one_word_changed(text: str, draw: random.Random) -> str:
    words = text.split()
    words[draw.randrange(len(words))] = "xyz"
    return " ".join(words)


def _two_thirds(text: str, _: random.Random) -> str:
    words = text.split()
    return " ".join(words[: max(1, round(len(words) * 2 / 3))])


def _before_each(text: str, mark: Callable[[int], str]) -> str:
    return " ".join(mark(place) + word for place, word in enumerate(text.split()))


def _after_each_two(text: str, inserted: str) -> str:
    return re.sub(r"(\S+ \S+) ", rf"\1{inserted}", text)


def _other_spacing(text: str, draw: random.Random) -> str:
    """Return a Korean text with spaces elsewhere: some left out, some before the last syllable of a word."""
    spaced = re.sub("(?<=[가-힣])(?=[가-힣](?: |$))", lambda _: draw.choice(("", " ")), text)
    return re.sub(" ", lambda _: draw.choice(("", " ")), spaced)


_OPTIONS = ", options"
# CHANGES alter what the text says, or leave too little of a short one: they are measured, not promised.
DISGUISES: dict[str, Disguise] = {
    "verbatim": lambda text, _: text,
    "other case": lambda text, _: text.swapcase(),
    "final stop dropped": lambda text, _: text.rstrip(_STOPS),
    "a stop added": lambda text, _: text + ".",
    "all punctuation dropped": _without_punctuation,
    "in quotation marks": lambda text, _: f"“{text}”",
    "NFD": lambda text, _: unicodedata.normalize("NFD", text),
    "full width": lambda text, _: text.translate(_FULL_WIDTH),
    "zero-width space in each word": lambda text, _: re.sub(r"(\w)(\w)", "\\1\u200b\\2", text),
    "double spaces": lambda text, _: text.replace(" ", "  "),
    "spaces dropped": lambda text, _: text.replace(" ", ""),
    "HTML entities": lambda text, _: text.replace("'", "&#39;").replace('"', "&quot;").replace(".", "&#46;"),
    "in bold type": lambda text, _: " ".join(f"**{word}**" for word in text.split()),
    "other spacing": _other_spacing,
    "hyphens at line ends": lambda text, _: re.sub(r"(\w\w)(\w\w\w)", "\\1-\n\\2", text),
    "joined by underscores": lambda text, _: text.replace(" ", "_"),
    "letters spaced out": lambda text, _: " ".join(text),
    "tags of HTML": lambda text, _: " ".join(f'<b class="x">{word}</b>' for word in text.split()),
    "commands of LaTeX": lambda text, _: _before_each(text, lambda place: (r"\emph ", r"\bf ", r"\large ")[place % 3]),
    "bullets": lambda text, _: _before_each(text, lambda _: "\n- "),
    "letters of a list": lambda text, _: _before_each(text, lambda place: f"{chr(97 + place % 26)}) "),
    "a number before every word": lambda text, _: _before_each(text, "{} ".format),
    "numbers of lines": lambda text, _: _before_each(text, "\nL{}: ".format),
    "footnote marks": lambda text, draw: re.sub(r"(\w) ", lambda found: f"{found[1]}{draw.choice('¹²³†*')} ", text),
    "notes in brackets": lambda text, _: _after_each_two(text, " (see 3) "),
    "times of subtitles": lambda text, _: _after_each_two(text, "\n\n2\n00:01:02,000 --> 00:01:05,250\n"),
}
CHANGES: dict[str, Disguise] = {
    "the same word again and again": lambda text, _: text.replace(" ", " br "),
    "two thirds of it": _two_thirds,
    "one word changed": _one_word_changed,
}


def items_of(root: Path) -> dict[str, list[str]]:
    """Return the texts of the evaluation sets by set, those of both sides of translations apart."""
    dev = json.loads((root / "parallel/translation_dev_1000.json").read_text(encoding="utf-8"))
    rows = dev["data"] if isinstance(dev, dict) else dev
    found = {f"translation, {side}": [row[side] for row in rows] for side in ("en", "ko")}
    with (root / "nsmc/ratings_test.txt").open(encoding="utf-8") as lines:
        found["NSMC"] = [line.rstrip("\n").split("\t")[1] for line in islice(lines, 1, None)]
    copa = ElementTree.fromstring(re.sub("<!DOCTYPE[^>]*>", "", (root / "copa/copa-dev.xml").read_text()))
    found["COPA"] = [item[0].text or "" for item in copa]
    found["COPA, options"] = [part.text or "" for item in copa for part in item[1:]]
    for name, context, options in (("COPA", "sentence", ("1", "2")), ("HellaSwag", "context", _choices())):
        with (root / f"kobest/{name}/dev.tsv").open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file, delimiter="\t"))
            found[f"KoBEST {name}"] = [row[context] for row in table]
            found[f"KoBEST {name}, options"] = [row[option] for row in table for option in options]
    with (root / "hellaswag/hellaswag_val.jsonl").open(encoding="utf-8") as lines:
        hellaswag = [json.loads(line) for line in lines]
    found["HellaSwag"] = [f"{item['ctx_a']} {item['ctx_b']}".strip() for item in hellaswag]
    found["HellaSwag, options"] = [ending for item in hellaswag for ending in item["endings"]]
    return {name: list(dict.fromkeys(map(clean, texts))) for name, texts in found.items()}


def _choices() -> list[str]:
    return [f"choice{number}" for number in range(1, 5)]


def sources_of(root: Path) -> dict[str, Source]:
    """Return the training corpora of the data root."""
    return {
        "pairs": Source(kind="parallel", paths=("parallel/train_*.json.gz",)),
        "alpaca": Source(kind="instructions", language="en", paths=("alpaca/alpaca_data.json", "alpaca/dolly_3k.json")),
        "koalpaca": Source(kind="instructions", language="ko", paths=("koalpaca/ko_alpaca_data.json",)),
        "english text": Source(kind="text", language="en", paths=("text/english_*.jsonl.gz",)),
        "korean documents": Source(kind="text", language="ko", paths=("text/korean_docs.jsonl.gz",)),
        "korean reviews": Source(kind="text", language="ko", paths=("text/korean_reviews.txt.gz",)),
    }


def rows_of(source: Source, root: Path) -> Iterator[Texts]:
    for row in read_source(source, find_files(source, root, "paths"), root, _LANGUAGES):
        if isinstance(row, Row):
            yield {key: clean(text) for key, text in row.texts.items()}


def planted(text: str, host: Texts, is_inside: bool, draw: random.Random) -> Texts:
    """Return a training row with a text as one of its fields, or inside one."""
    field = draw.choice(list(host))
    words = host[field].split()
    place = draw.randrange(len(words) + 1)
    inside = " ".join([*words[:place], text, *words[place:]])
    return {**host, field: clean(inside if is_inside else text)}


def share_found(known: EvaluationTexts, texts: Sequence[str], hosts: Sequence[Texts], inside: bool, seed: str) -> float:
    draw = random.Random(seed)
    rows = [planted(text, draw.choice(hosts), inside, draw) for text in texts]
    return round(sum(match is not None for match in known.find(rows)) / len(rows), 4)


def recall(
    known: EvaluationTexts, items: dict[str, list[str]], hosts: dict[str, list[Texts]], num_items: int
) -> list[dict[str, Any]]:
    """Return for each set, disguise and kind of source the share of planted items that is found."""
    table = []
    for name, texts in items.items():
        long = [text for text in texts if len(letters(units(text))) >= MIN_OVERLAP_LETTERS]
        chosen = random.Random(name).sample(long, min(len(long), num_items))
        for disguise, change in (DISGUISES | CHANGES).items():
            draw = random.Random(f"{name} {disguise}")
            changed = [change(text, draw) for text in chosen]
            for kind, kind_hosts in hosts.items():
                # An answer to choose from stands in any book: only where a row is nothing else it gives an item away.
                for inside in (False,) if name.endswith(_OPTIONS) else (False, True):
                    found = share_found(known, changed, kind_hosts, inside, f"{name} {disguise} {kind}")
                    where = "inside" if inside else "whole"
                    table.append({"set": name, "disguise": disguise, "kind": kind, "as": where, "found": found})
    return table


def dropped(known: EvaluationTexts, source: Source, root: Path, max_rows: int | None) -> dict[str, Any]:
    """Return what the search drops of a corpus, or of its first rows."""
    rows, num_rows, started = islice(rows_of(source, root), max_rows), 0, time.perf_counter()
    reasons: Counter[str] = Counter()
    examples: list[str] = []
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        num_rows += len(batch)
        for match in known.find(batch):
            if match:
                reasons["run" if match.is_stretch else "whole item"] += 1
                examples.append(f"{match.evaluation_set}: {match.text[:80]}")
    return {
        "rows": num_rows,
        "dropped": dict(reasons),
        "per_100000": round(100_000 * reasons.total() / num_rows, 1),
        "seconds": round(time.perf_counter() - started, 1),
        "commonest": Counter(examples).most_common(8),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("root", type=Path, help="the folder of the real files")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--items", type=int, default=1000, help="at most so many items of each set")
    parser.add_argument("--rows", type=int, help="at most so many rows of each corpus for the false positives [all]")
    arguments = parser.parse_args()
    items, sources = items_of(arguments.root), sources_of(arguments.root)
    texts, options = (
        {text: name for name, texts in items.items() if name.endswith(_OPTIONS) == are_options for text in texts}
        for are_options in (False, True)
    )
    known = EvaluationTexts(texts, ngram=13, options=options)
    false = {name: dropped(known, source, arguments.root, arguments.rows) for name, source in sources.items()}
    for name, facts in false.items():
        print(f"{name}: {facts['rows']:,} rows, dropped {facts['dropped']} ({facts['per_100000']} per 100,000)")
    hosts: dict[str, list[Texts]] = {}
    for name in ("pairs", "alpaca", "koalpaca", "english text", "korean reviews"):
        rows = list(islice(rows_of(sources[name], arguments.root), 3000))
        # Books and manuals have 20,000 characters each: shorter hosts tell the same, and sooner.
        rows = [{key: text[:_HOST_CHARACTERS] for key, text in row.items()} for row in rows]
        clean_rows = [row for row, match in zip(rows, known.find(rows), strict=True) if match is None]
        hosts.setdefault(sources[name].kind, []).extend(clean_rows)
    found = recall(known, items, hosts, arguments.items)
    for disguise in DISGUISES | CHANGES:
        shares = [row["found"] for row in found if row["disguise"] == disguise]
        print(f"{disguise}: {min(shares):.3f} to {max(shares):.3f} of the planted items found")
    result = {
        "false_positives": false,
        "found": found,
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
