"""The files of the benchmarks as their authors publish them: how each is cut into rows, and a row made an item."""

from collections.abc import Callable, Iterable
from typing import Any

from crosstune.data.copa_xml import CopaItems
from crosstune.data.readers.json_files import json_lines
from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.text_files import TextFile
from crosstune.data.rows import texts_problem
from crosstune.errors import BadInputError

Item = dict[str, Any]


class Problem(ValueError):
    """Why a row is no item of its task."""


_RowsOf = Callable[[TextFile], Records]
_ItemOf = Callable[[Any], Item]


def _copa_rows(file: TextFile) -> Records:
    """Read COPA's XML of 2011, or SuperGLUE's JSONL of the same questions."""
    if file.start.lstrip().startswith("<"):
        return (Record(f"{file.name}:{line}", row) for line, row in CopaItems(file.path))
    return json_lines(file)


def _tsv_rows(*columns: str) -> _RowsOf:
    """Return a reader of tab-separated columns, in any order, by the names in the header.

    Quotes mean nothing: NSMC's documents hold quotation marks that a CSV reader would eat, with whole rows.
    """

    def rows(file: TextFile) -> Records:
        lines = file.lines()
        first = next(lines, None)
        header = [name.strip() for name in first.text.split("\t")] if first else []
        _check_header(header, columns, file)
        for number, line, problem in lines:
            fields = line.split("\t")
            if problem:
                yield Record(f"{file.name}:{number}", line, problem)
            elif len(fields) == len(header):
                yield Record(f"{file.name}:{number}", dict(zip(header, fields, strict=True)))
            elif line.strip():
                wrong = f"{len(fields)} columns, but the header has {len(header)}"
                yield Record(f"{file.name}:{number}", line, wrong)

    return rows


def _check_header(header: list[str], columns: Iterable[str], file: TextFile) -> None:
    missing = [name for name in columns if name not in header]
    if missing:
        raise BadInputError(
            f"{file.path}: the header needs the columns {', '.join(columns)} (tab-separated), but {', '.join(missing)} "
            f"is missing; it has {', '.join(filter(None, header)) or 'nothing'}. "
            "Is this the file of this task? Correct `paths` or the header"
        )
    if len(set(header)) < len(header):
        raise BadInputError(
            f"{file.path}: the header names a column twice: {', '.join(header)}. Which one is meant cannot be known; "
            "rename or remove the others"
        )


def _label(value: Any, allowed: range) -> int:
    """Return a label counted from 0, written as a number or as text."""
    if not isinstance(value, bool) and str(value).strip() in map(str, allowed):
        return int(value) - allowed.start
    raise Problem(f"label {value!r} lies outside {allowed.start} to {allowed.stop - 1}")


def _texts(row: Any, *keys: str) -> dict[str, str]:
    problem = texts_problem(row, keys)
    if problem:
        raise Problem(problem)
    return {key: row[key] for key in keys}


def _question(value: str, allowed: tuple[str, str]) -> str:
    if value.strip() not in allowed:
        raise Problem(f"question {value!r} is neither {allowed[0]!r} nor {allowed[1]!r}")
    return value.strip()


def _hellaswag(row: Any) -> Item:
    texts = _texts(row, "activity_label", "ctx_a", "ctx_b")
    endings = row.get("endings")
    if not (
        isinstance(endings, list) and len(endings) == 4 and all(isinstance(end, str) and end.strip() for end in endings)
    ):
        raise Problem("`endings` does not hold four texts")
    number = {} if row.get("ind") is None else {"id": row["ind"]}
    return {**number, **texts, "endings": endings, "label": _label(row.get("label"), range(4))}


def _copa(row: Any) -> Item:
    texts = _texts(row, "premise", "choice1", "choice2")
    if "asks-for" in row:
        asked, identity = row["asks-for"], row.get("id")
        label = _label(row.get("most-plausible-alternative"), range(1, 3))
    else:
        asked, identity = _texts(row, "question")["question"], row.get("idx")
        label = _label(row.get("label"), range(2))
    number = {} if identity is None else {"id": identity}
    return {**number, **texts, "question": _question(asked, ("cause", "effect")), "label": label}


def _nsmc(row: Any) -> Item:
    # Kept as it stands. NSMC quotes a document that holds a quotation mark twice over: 'say "hi"' stands in the file
    # as '"""say """"hi"""""""', and that is what a reader without quoting (pandas' QUOTE_NONE) gives.
    return {"id": row["id"], "document": row["document"], "label": _label(row["label"], range(2))}


def _kobest_copa(row: Any) -> Item:
    return {
        "id": row["ID"],
        "premise": row["sentence"],
        "question": _question(row["question"], ("원인", "결과")),
        "alternative_1": row["1"],
        "alternative_2": row["2"],
        "label": _label(row["Answer"], range(1, 3)),
    }


def _kobest_hellaswag(row: Any) -> Item:
    endings = {f"ending_{number}": row[f"choice{number}"] for number in range(1, 5)}
    return {"context": row["context"], **endings, "label": _label(row["label"], range(4))}


def _kobest_boolq(row: Any) -> Item:
    # The published files say TRUE or False in any case, their copy on the hub 1 or 0.
    answer = str(row["Answer"]).strip().lower()
    label = _label({"false": 0, "true": 1}.get(answer, row["Answer"]), range(2))
    return {"id": row["ID"], "paragraph": row["Text"], "question": row["Question"], "label": label}


def _kobest_sentineg(row: Any) -> Item:
    return {"id": row["ID"], "sentence": row["Text"], "label": _label(row["Label"], range(2))}


# task -> how its file is cut into rows, and how a row becomes an item.
READERS: dict[str, tuple[_RowsOf, _ItemOf]] = {
    "hellaswag": (json_lines, _hellaswag),
    "copa_2011_test": (_copa_rows, _copa),
    "copa_2011_test_v04": (_copa_rows, _copa),
    "copa_superglue_val": (_copa_rows, _copa),
    "copa_superglue_val_v04": (_copa_rows, _copa),
    "nsmc_generate": (_tsv_rows("id", "document", "label"), _nsmc),
    "nsmc_likelihood": (_tsv_rows("id", "document", "label"), _nsmc),
    "kobest_boolq": (_tsv_rows("ID", "Text", "Question", "Answer"), _kobest_boolq),
    "kobest_copa": (_tsv_rows("ID", "sentence", "question", "1", "2", "Answer"), _kobest_copa),
    "kobest_hellaswag": (
        _tsv_rows("context", "choice1", "choice2", "choice3", "choice4", "label"),
        _kobest_hellaswag,
    ),
    "kobest_sentineg": (_tsv_rows("ID", "Text", "Label"), _kobest_sentineg),
}
