"""Evaluation sets: each published format in, items with fixed keys out."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

from crosstune.data.files import read_lines, read_text
from crosstune.data.filters import clean
from crosstune.data.sources import BadRow, read_source
from crosstune.errors import BadInputError
from crosstune.recipe import EvaluationTask, Languages, Source

Item = dict[str, Any]


@dataclass(frozen=True)
class EvaluationSet:
    """The items of one task, and what was left out.

    Attributes:
        items: with ``id``, ``origin`` and the task's own keys.
        dropped: with ``reason`` and ``origin``.
    """

    items: list[Item]
    dropped: list[Item]


def read_evaluation_set(task: EvaluationTask, files: Sequence[Path], languages: Languages) -> EvaluationSet:
    """Read, check and draw the items of a task.

    Raises:
        BadInputError: when a row is not what the task says, or no item is left. Test rows are never dropped for being
            malformed: a score over fewer items would be another score.
    """
    if task.task == "translation":
        read = _translation(files, languages)
    else:
        reader = _READERS[task.task.removesuffix("_v04")]
        read = (item for path in files for item in reader(path))
    items: list[Item] = []
    dropped: list[Item] = []
    for item in read:
        empty = [name for name, value in item.items() if value == ""]
        if empty:
            dropped.append({"reason": f"empty {empty[0]}", **item})
        else:
            items.append(item)
    if not items:
        raise BadInputError(f"{', '.join(str(path) for path in files)}: no item for task {task.task} in here")
    return EvaluationSet(_draw(items, task), dropped)


def texts_of(item: Item) -> list[str]:
    """Return the texts of an item that must not be trained on."""
    texts: list[str] = []
    for name, value in item.items():
        if name in ("id", "origin", "question", "activity_label"):
            continue
        texts.extend(value if isinstance(value, list) else [value] if isinstance(value, str) else [])
    return texts


def _draw(items: list[Item], task: EvaluationTask) -> list[Item]:
    if task.max_items is None or len(items) <= task.max_items:
        return items
    chosen = random.Random(task.sample_seed).sample(range(len(items)), task.max_items)
    return [items[index] for index in sorted(chosen)]


def _translation(files: Sequence[Path], languages: Languages) -> Iterator[Item]:
    form: Any = "aligned_text" if len(files) == 2 and all(path.suffix == ".txt" for path in files) else "auto"
    source = Source(kind="parallel", paths=tuple(str(path) for path in files), format=form)
    for number, row in enumerate(read_source(source, files, languages)):
        if isinstance(row, BadRow):
            raise BadInputError(f"{row.origin}: {row.problem}: {row.content}")
        yield {"id": str(number), "origin": row.origin, **{name: clean(text) for name, text in row.fields.items()}}


def _hellaswag(path: Path) -> Iterator[Item]:
    for origin, row in _json_lines(path, ("activity_label", "ctx_a", "ctx_b", "endings", "label")):
        if not isinstance(row["endings"], list) or len(row["endings"]) != 4:
            raise BadInputError(f"{origin}: `endings` must be a list of four texts")
        # The hub's copy stores labels as text.
        label = _label(origin, row["label"], range(4))
        texts = {name: str(row[name]) for name in ("activity_label", "ctx_a", "ctx_b")}
        # ctx_b is empty where an item has one context sentence: that is no defect, so it must not count as empty.
        context_b = {"ctx_b": texts.pop("ctx_b") or " "}
        yield {
            "id": str(row.get("ind", origin)),
            "origin": origin,
            **texts,
            **context_b,
            "endings": [str(ending) for ending in row["endings"]],
            "label": label,
        }


def _copa(path: Path) -> Iterator[Item]:
    if read_text(path).lstrip().startswith("<"):
        yield from _copa_xml(path)
        return
    for origin, row in _json_lines(path, ("premise", "choice1", "choice2", "question", "label")):
        if row["question"] not in ("cause", "effect"):
            raise BadInputError(f"{origin}: `question` is {row['question']!r}; allowed: cause, effect")
        texts = {name: str(row[name]) for name in ("premise", "choice1", "choice2", "question")}
        yield {
            "id": str(row.get("idx", origin)),
            "origin": origin,
            **texts,
            "label": _label(origin, row["label"], range(2)),
        }


def _copa_xml(path: Path) -> Iterator[Item]:
    """Read the 2011 XML. A DOCTYPE's file is not opened, and entity declarations are refused."""
    item: dict[str, str] = {}
    items: list[Item] = []
    text: list[str] = []
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        text.clear()
        if tag == "item":
            item.clear()
            item.update(attributes, line=str(parser.CurrentLineNumber))

    def end(tag: str) -> None:
        if tag in ("p", "a1", "a2"):
            item[tag] = "".join(text).strip()
        if tag == "item":
            items.append(_copa_item(path, item))

    def refuse(name: str, *_: Any) -> None:
        raise BadInputError(
            f"{path}:{parser.CurrentLineNumber}: declares the XML entity {name!r}; COPA files have none, and entities "
            "can blow up memory: remove the declaration"
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(read_text(path), True)
    except expat.ExpatError as error:
        raise BadInputError(f"{path}:{error.lineno}: not well-formed XML ({error}); is the file cut short?") from None
    yield from items


def _copa_item(path: Path, item: dict[str, str]) -> Item:
    origin = f"{path}:{item['line']}"
    missing = [name for name in ("id", "asks-for", "most-plausible-alternative", "p", "a1", "a2") if name not in item]
    if missing or item["asks-for"] not in ("cause", "effect"):
        raise BadInputError(
            f"{origin}: a COPA item needs id, asks-for (cause or effect), most-plausible-alternative, p, a1 and a2; "
            + (f"missing: {', '.join(missing)}" if missing else f"asks-for is {item['asks-for']!r}")
        )
    label = _label(origin, item["most-plausible-alternative"], range(1, 3)) - 1
    texts = {"premise": item["p"], "choice1": item["a1"], "choice2": item["a2"], "question": item["asks-for"]}
    return {"id": item["id"], "origin": origin, **texts, "label": label}


def _nsmc(path: Path) -> Iterator[Item]:
    """Read NSMC without quoting: documents with quotation marks stay as they are stored."""
    for origin, row in _tsv(path, ("id", "document", "label")):
        label = _label(origin, row["label"], range(2))
        yield {"id": row["id"], "origin": origin, "document": clean(row["document"]), "label": label}


def _kobest_copa(path: Path) -> Iterator[Item]:
    for origin, row in _tsv(path, ("ID", "sentence", "question", "1", "2", "Answer")):
        if row["question"] not in ("결과", "원인"):
            raise BadInputError(f"{origin}: `question` is {row['question']!r}; allowed: 결과, 원인")
        texts = {"premise": row["sentence"], "question": row["question"]}
        choices = {"alternative_1": row["1"], "alternative_2": row["2"]}
        yield {
            "id": row["ID"],
            "origin": origin,
            **texts,
            **choices,
            "label": _label(origin, row["Answer"], range(1, 3)) - 1,
        }


def _kobest_hellaswag(path: Path) -> Iterator[Item]:
    choices = [f"choice{number}" for number in range(1, 5)]
    for origin, row in _tsv(path, ("context", *choices, "label")):
        endings = {f"ending_{number}": row[f"choice{number}"] for number in range(1, 5)}
        identity = row.get("ID", origin)
        yield {
            "id": identity,
            "origin": origin,
            "context": row["context"],
            **endings,
            "label": _label(origin, row["label"], range(4)),
        }


def _kobest_sentineg(path: Path) -> Iterator[Item]:
    for origin, row in _tsv(path, ("ID", "Text", "Label")):
        label = _label(origin, row["Label"], range(2))
        yield {"id": row["ID"], "origin": origin, "sentence": row["Text"], "label": label}


def _json_lines(path: Path, wanted: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in read_lines(path):
        origin = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadInputError(f"{origin}: not valid JSON at column {error.colno} ({error.msg})") from None
        missing = [name for name in wanted if name not in row]
        if missing:
            raise BadInputError(f"{origin}: the key {', '.join(missing)} is missing; found {', '.join(sorted(row))}")
        yield origin, row


def _tsv(path: Path, wanted: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    header: list[str] | None = None
    for number, line in read_lines(path):
        cells = [cell.strip() for cell in line.split("\t")]
        if header is None:
            header = cells
            missing = [name for name in wanted if name not in header]
            if missing:
                raise BadInputError(
                    f"{path}:{number}: the column {', '.join(missing)} is missing; found {', '.join(header)}"
                )
            continue
        if len(cells) != len(header):
            raise BadInputError(f"{path}:{number}: {len(cells)} columns, but the header has {len(header)}")
        yield f"{path}:{number}", dict(zip(header, cells, strict=True))


def _label(origin: str, value: Any, allowed: range) -> int:
    try:
        label = int(value)
    except (TypeError, ValueError):
        label = -1
    if label not in allowed:
        raise BadInputError(f"{origin}: the label is {value!r}; allowed: {allowed.start} to {allowed.stop - 1}")
    return label


_READERS: dict[str, Callable[[Path], Iterator[Item]]] = {
    "hellaswag": _hellaswag,
    "copa_2011_test": _copa,
    "copa_superglue_val": _copa,
    "nsmc_generate": _nsmc,
    "kobest_copa": _kobest_copa,
    "kobest_hellaswag": _kobest_hellaswag,
    "kobest_sentineg": _kobest_sentineg,
}
