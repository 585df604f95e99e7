"""Whatever rows are written in a format, the same rows are read."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import openpyxl
import polib
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstune.data.rows import BadRow, Row
from crosstune.data.sources import read_source
from crosstune.recipe import Languages, Source

LANGUAGES = Languages(source="en", target="ko")

# All of Unicode but half characters and what XML cannot hold; a marker keeps texts from being blank or exchanged.
_ANY = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff\ufeff"), max_size=20)
_LINE = _ANY
_TEXT = st.lists(_ANY, min_size=1, max_size=3).map("\n".join)


def pairs(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, str]]]:
    pair = st.tuples(texts, texts).map(lambda sides: {"en": f"a {sides[0]} z", "ko": f"가 {sides[1]} 하"})
    return st.lists(pair, min_size=1, max_size=5)


def as_jsonl(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_tsv(rows: list[dict[str, str]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in [list(rows[0]), *(row.values() for row in rows)]).encode()


def as_xlsx(rows: list[dict[str, str]]) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["SID", "원문", "번역문"])
    for number, row in enumerate(rows):
        book.active.append([number, row["ko"], row["en"]])
    book.save(content)
    return content.getvalue()


def as_po(rows: list[dict[str, str]]) -> bytes:
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Language": "ko"}
    catalogue.extend(polib.POEntry(msgid=row["en"], msgstr=row["ko"]) for row in rows)
    return str(catalogue).encode()


def as_tmx(rows: list[dict[str, str]]) -> bytes:
    def unit(row: dict[str, str]) -> str:
        return "".join(f'<tuv xml:lang="{key}"><seg>{escape(text)}</seg></tuv>' for key, text in row.items())

    return f'<tmx version="1.4"><body>{"".join(f"<tu>{unit(row)}</tu>" for row in rows)}</body></tmx>'.encode()


def as_parquet(rows: list[Any]) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), content)
    return content.getvalue()


def zstandard(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def texts_of(tmp_path: Path, kind: str, *contents: bytes, **chosen: Any) -> list[dict[str, str]]:
    paths = [tmp_path / f"f{index}" for index in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    language = None if kind == "parallel" else "ko"
    source = Source.model_validate({"kind": kind, "paths": ("*",), "language": language, **chosen})
    rows: list[Row | BadRow] = list(read_source(source, paths, tmp_path, LANGUAGES))
    assert len({row.origin for row in rows}) == len(rows)
    return [row.texts if isinstance(row, Row) else {"problem": row.problem} for row in rows]


a_property = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WRITERS: dict[str, tuple[st.SearchStrategy[str], Callable[[list[dict[str, str]]], bytes]]] = {
    "aihub_json": (_TEXT, lambda rows: json.dumps({"data": [{"sn": "1", "mt": "", **row} for row in rows]}).encode()),
    "json": (_TEXT, lambda rows: json.dumps(rows).encode()),
    "jsonl": (_TEXT, as_jsonl),
    "jsonl with translation": (_TEXT, lambda rows: as_jsonl([{"translation": row} for row in rows])),
    "tsv": (_LINE, as_tsv),
    "csv": (_TEXT, as_csv),
    "xlsx": (_TEXT, as_xlsx),
    "po": (_TEXT, as_po),
    "tmx": (_TEXT, as_tmx),
    "parquet": (_TEXT, as_parquet),
    "parquet with translation": (_TEXT, lambda rows: as_parquet([{"id": 1, "translation": row} for row in rows])),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
@a_property
@given(data=st.data())
def test_pairs_are_the_same_in_every_format(tmp_path: Path, name: str, data: st.DataObject) -> None:
    texts, write = WRITERS[name]
    rows = data.draw(pairs(texts))
    assert texts_of(tmp_path, "parallel", write(rows)) == rows
    assert texts_of(tmp_path, "parallel", write(rows), format=name.split()[0]) == rows


@a_property
@given(rows=pairs(_LINE))
def test_aligned_lines_are_the_same(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    sides = ["".join(row[language] + "\n" for row in rows).encode() for language in ("en", "ko")]
    assert texts_of(tmp_path, "parallel", *sides, format="aligned_text") == rows


_instructions = st.lists(
    st.fixed_dictionaries({"instruction": _TEXT, "input": _TEXT, "output": _TEXT}), min_size=1, max_size=5
)


@pytest.mark.slow
@pytest.mark.parametrize("write", [lambda rows: json.dumps(rows, indent=4).encode(), as_jsonl, as_parquet])
@a_property
@given(rows=_instructions)
def test_instructions_are_the_same_in_every_format(
    tmp_path: Path, write: Callable[[list[Any]], bytes], rows: list[dict[str, str]]
) -> None:
    assert texts_of(tmp_path, "instructions", write(rows)) == rows


@pytest.mark.parametrize("write", [as_jsonl, as_parquet, as_csv])
@a_property
@given(rows=_instructions)
def test_columns_may_have_other_names(
    tmp_path: Path, write: Callable[[list[Any]], bytes], rows: list[dict[str, str]]
) -> None:
    # A text of its own stands in front, because a table's rows without any text are blank rows.
    rows = [{**row, "output": f"답 {row['output']}"} for row in rows]
    other = [
        {"질문": row["instruction"], "instruction": "x", "Answer": row["output"], "input": row["input"]} for row in rows
    ]
    columns = {"instruction": "질문", "output": "Answer"}
    assert texts_of(tmp_path, "instructions", write(other), columns=columns) == rows


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys", [("messages", "role", "content", "user", "assistant"), ("conversations", "from", "value", "human", "gpt")]
)
@a_property
@given(rows=_instructions)
def test_conversations_give_all_answers_or_the_first(
    tmp_path: Path, keys: tuple[str, ...], rows: list[dict[str, str]]
) -> None:
    layout, speaker, text, user, assistant = keys
    turns = [
        turn
        for row in rows
        for turn in ({speaker: user, text: row["instruction"]}, {speaker: assistant, text: row["output"]})
    ]
    for write in (as_jsonl, as_parquet):
        found = texts_of(tmp_path, "instructions", write([{layout: turns}]))
        assert [(row["instruction"], row["output"]) for row in found] == [
            (row["instruction"], row["output"]) for row in rows
        ]
        assert texts_of(tmp_path, "instructions", write([{layout: turns}]), chat_turns="first") == found[:1]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard])
@a_property
@given(lines=st.lists(_LINE, min_size=1, max_size=5))
def test_text_is_the_same_in_every_format_and_packing(
    tmp_path: Path, pack: Callable[[bytes], bytes], lines: list[str]
) -> None:
    rows = [{"text": f"글 {line}"} for line in lines]
    assert texts_of(tmp_path, "text", pack("".join(row["text"] + "\n" for row in rows).encode())) == rows
    assert texts_of(tmp_path, "text", pack(as_jsonl(rows))) == rows
    assert texts_of(tmp_path, "text", as_parquet(rows)) == rows


@a_property
@given(lines=st.lists(st.text("가힣각똠a ,.!", min_size=1, max_size=20), min_size=1, max_size=5))
def test_korean_windows_files_are_read_with_their_encoding(tmp_path: Path, lines: list[str]) -> None:
    rows = [{"text": f"글 {line}"} for line in lines]
    content = "".join(row["text"] + "\r\n" for row in rows).encode("cp949")
    assert texts_of(tmp_path, "text", content, encoding="cp949") == rows
