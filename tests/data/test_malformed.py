"""Malformed files stop the run and say where, what was found and what to do; a bad row can be dropped instead."""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crosstune.data import evaluation_sets
from crosstune.data.readers import sheet_parts, text_files, unpack
from crosstune.data.rows import BadRow, Drops, Row, readable
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.recipe import EvaluationTask, Languages, Source

LANGUAGES = Languages(source="en", target="ko")
BOMB = b" " * 2**23
DOCTYPE_BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
GOOD = '{"instruction": "가", "output": "나"}\n'
GOOD_PAIR = '{"en": "a", "ko": "가"}\n'


class Case(NamedTuple):
    """What a file holds, and what its error says."""

    kind: str
    content: bytes | str
    message: str
    settings: Mapping[str, Any] = MappingProxyType({})


def sheet(*rows: list[Any], merge: str = "", entity: bool = False, bomb: bool = False, cell: str = "") -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    if cell:
        book.active[cell] = "x"
    if merge:
        book.active.merge_cells(merge)
    book.save(content)
    if entity or bomb:
        with zipfile.ZipFile(content) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, member in members.items():
                is_sheet = name == "xl/worksheets/sheet1.xml"
                start, end = (
                    (DOCTYPE_BOMB.encode() if entity and is_sheet else b""),
                    (BOMB if bomb and is_sheet else b""),
                )
                archive.writestr(name, start + member + end)
    return content.getvalue()


def table(**columns: list[Any]) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    return content.getvalue()


def tmx(unit: str, start: str = "") -> str:
    return f"{start}<tmx><body>{unit}</body></tmx>"


def zstandard(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


HEADER = ["SID", "원문", "번역문"]
# Nothing of such a file is read.
BAD_FILES = {
    "truncated JSON array": Case("instructions", '[{"instruction": "a", "output": "b"}, {"inst', "line 1.*cut off"),
    "truncated AI-Hub JSON": Case("parallel", '{"data": [\n{"en": "a", "ko": "가"},\n{"en"', "line 3.*cut off"),
    "a comma too many": Case("instructions", '[{"instruction": "a"},]', "not valid JSON: .*line 1, column 2"),
    "JSON nested too deeply": Case("instructions", "[" * 100_000, "nested too deeply"),
    "a number of 5,000 digits": Case("instructions", '[{"n": ' + "9" * 5000 + "}]", "a number that cannot be read"),
    "an object for an array": Case(
        "instructions", '{"rows": []}', "holds an object with the keys rows", {"format": "json"}
    ),
    "a text for an array": Case("parallel", '"rows"', "but holds 'rows'", {"format": "json"}),
    "AI-Hub JSON without data": Case("parallel", '{"rows": []}', "the keys rows", {"format": "aihub_json"}),
    "no format": Case("instructions", "hello", "was not recognized. It starts with 'hello'"),
    "no parallel format": Case("parallel", "hello", "was not recognized.*aligned_text"),
    "a format of another kind": Case("text", "hello", "cannot have format 'tmx', only text", {"format": "tmx"}),
    "an empty file": Case("text", "", "is empty"),
    "white space": Case("instructions", " \n\n", "is empty"),
    "an empty packed file": Case("text", gzip.compress(b""), "is empty"),
    "a TSV column of another name": Case("parallel", "en\tkorea\na\t가\n", "no ko: en, korea"),
    "a TSV column twice": Case("parallel", "en\ten\tko\na\tb\t가\n", "twice: en, en, ko"),
    "a TSV without the column of the recipe": Case(
        "parallel", "en\tko\na\t가\n", "no ko: en, ko", {"columns": {"ko": "korean"}}
    ),
    "a TSV without a renamed input": Case(
        "instructions",
        "instruction\toutput\na\tb\n",
        "header of a table needs instruction and input and output",
        {"columns": {"input": "context"}},
    ),
    "a CSV without output": Case(
        "instructions", "instruction,answer\na,b\n", "no output: instruction", {"format": "csv"}
    ),
    "exchanged columns": Case("parallel", "가\ta\n나\tb\n", "2 of 2 rows have them the other way round"),
    "cp949": Case("text", "안녕\n하세요\n".encode("cp949"), "line 1. It can be read as cp949.*`encoding: cp949`"),
    "cp949 in JSON": Case("instructions", GOOD.encode("cp949"), "line 1. It can be read as cp949.*`encoding: cp949`"),
    "cp949 in an array": Case("instructions", f"[\n{GOOD}]".encode("cp949"), "line 2. It can be read as cp949"),
    "UTF-8 read as cp949": Case("text", "갃\n", "is not cp949.*line 1", {"encoding": "cp949"}),
    "UTF-16": Case("text", "안녕\n".encode("utf-16"), "iconv -f utf-16"),
    "no known encoding": Case("text", b"\xff\xff\xff\n", "line 1. Find out its encoding"),
    "NUL bytes": Case("text", b"a\0b\n", "NUL bytes"),
    "lines of old Macs": Case("parallel", "en\tko\ra\t가\r", "CR alone"),
    "an old spreadsheet": Case("parallel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 9, "old Office"),
    "a truncated gzip file": Case("text", gzip.compress(b"hello " * 99)[:-9], "not a whole gzip file"),
    "a damaged gzip file": Case("text", gzip.compress(b"hello")[:-8] + b"\0" * 8, "not a whole gzip file"),
    "a truncated Zstandard file": Case("text", zstandard(b"hello " * 99)[:-4], "not a whole zstd file"),
    "a gzip bomb": Case(
        "text",
        gzip.compress(BOMB),
        r"unpacks to more than 1,\d{3},\d{3} bytes from 8,\d{3}; text unpacks to at most 200 times",
    ),
    "a gzip bomb in JSON": Case("parallel", gzip.compress(b'{"data": [' + BOMB), "unpacks to more than"),
    "a gzip bomb in gzip parts": Case("text", gzip.compress(b"a\n") + gzip.compress(BOMB), "unpacks to more than"),
    "a Zstandard bomb": Case("text", zstandard(BOMB * 4), "unpacks to more than 1,048,576 bytes"),
    "a Zstandard bomb in XML": Case("parallel", zstandard(BOMB * 4), "unpacks to more than", {"format": "tmx"}),
    "too large to be parsed as a whole": Case("parallel", BOMB, "parsed as a whole", {"format": "po"}),
    "an array that never begins": Case("parallel", b'{"data": [' + BOMB, "line 1.*cut off"),
    "a spreadsheet with merged header cells": Case("parallel", sheet(HEADER, [1, "가", "a"], merge="B1:C1"), "B1:C1"),
    "a spreadsheet with a merged title": Case("parallel", sheet(["x"], HEADER, [1, "가", "a"], merge="A1:C1"), "A1:C1"),
    "a spreadsheet without a column": Case("parallel", sheet(["SID", "원문"], [1, "가"]), "no en: sid, 원문"),
    "a spreadsheet with a column twice": Case("parallel", sheet([*HEADER, "원문"]), "twice: sid, 원문, 번역문, 원문"),
    "an empty spreadsheet": Case("parallel", sheet(), "first sheet 'Sheet' is empty"),
    "a truncated spreadsheet": Case("parallel", sheet(HEADER)[:-99], "not a complete spreadsheet"),
    "a spreadsheet bomb": Case("parallel", sheet(HEADER, [1, "가", "a"], bomb=True), "unpacks to more than"),
    "a spreadsheet with entities": Case("parallel", sheet(HEADER, [1, "가", "a"], entity=True), "has a DOCTYPE"),
    "a cell far out": Case("parallel", sheet(HEADER, cell="XFD1048576"), "spans 1,048,576 rows x 16,384 columns"),
    "a spreadsheet of text": Case("parallel", "hello", "not a complete spreadsheet", {"format": "xlsx"}),
    "a truncated Parquet file": Case("text", table(text=["a"])[:-9], "not a complete Parquet file"),
    "a Parquet file of text": Case("text", "hello\n", "not a complete Parquet file", {"format": "parquet"}),
    "XML entities in a translation memory": Case("parallel", tmx("&c;", DOCTYPE_BOMB), "declares the XML entity 'a'"),
    "an outer XML entity": Case(
        "parallel", tmx("&a;", '<!DOCTYPE x [<!ENTITY a SYSTEM "/etc/passwd">]>'), "declares the XML entity 'a'"
    ),
    "an unknown XML entity": Case("parallel", tmx("&c;", '<!DOCTYPE x SYSTEM "y">'), "unknown XML entity &c;"),
    "truncated XML": Case("parallel", tmx("<tu>")[:-7], "not well-formed XML: .* at line 1"),
    "a catalogue of another language": Case(
        "parallel", 'msgid ""\nmsgstr "Language: ja\\n"\n', "translates into 'ja'.*target language is 'ko'"
    ),
    "a catalogue without quotes": Case("parallel", 'msgid "a"\nmsgstr 가\n', "line 2 should be a comment"),
    "one aligned file": Case("parallel", "hello\n", "needs two files.*1 were given", {"format": "aligned_text"}),
}
# One row of such a file is bad; a good one stands beside it.
BAD_ROWS = {
    "a truncated JSON line": Case("instructions", GOOD + '{"instruction": "a", "outp', "f:2 .*not valid JSON"),
    "a column of another name": Case(
        "instructions", GOOD + '{"instruction": "a", "response": "b"}\n', "f:2 .*no key 'output'; needed.*response"
    ),
    "a text that is a number": Case("instructions", GOOD + '{"instruction": "a", "output": 3}', "f:2 .*not a text"),
    "a text that is NaN": Case("instructions", GOOD + '{"instruction": "a", "output": NaN}', "f:2 .*not a text"),
    "a renamed column that is not there": Case(
        "instructions",
        '{"instruction": "가", "context": "x", "output": "나"}\n' + GOOD,
        "f:2 .*no key 'context', which `columns` names; there are instruction, output",
        {"columns": {"input": "context"}},
    ),
    "an input that is a list": Case(
        "instructions", GOOD + '{"instruction": "a", "input": [1], "output": "b"}', "f:2 .*'input' is not a text"
    ),
    "no object": Case("instructions", f"[{GOOD}, 3]", "f:row 2 .*not a JSON object"),
    "a null for a row": Case("parallel", GOOD_PAIR + "null\n", "f:2 .*not a JSON object"),
    "half a character": Case("parallel", GOOD_PAIR + r'{"en": "\ud83d", "ko": "가"}', "f:2 .*half a surrogate pair"),
    "a pair with the draft only": Case(
        "parallel", '{"data": [{"en": "a", "ko": "가"}, {"en": "a", "mt": "가"}]}', "f:row 2 .*no key 'ko'.*en, mt"
    ),
    "a translation that lacks a side": Case(
        "parallel", GOOD_PAIR + '{"translation": {"en": "a"}}', "f:2 .*no key 'ko'"
    ),
    "JSON lines nested too deeply": Case("text", '{"text": "a"}\n' + "[" * 4000, "f:2 .*not valid JSON"),
    "a line in cp949": Case(
        "text", "하나\n".encode() + "둘\n".encode("cp949"), "f:2 .*it can be read as cp949, .*most lines .*are utf-8"
    ),
    "a JSON line in cp949": Case("instructions", GOOD.encode() + GOOD.encode("cp949"), "f:2 .*can be read as cp949"),
    "an endless line": Case("text", b"one\n" + b"x" * 5000 + b"\n", "f:2 .*longer than 4,096 bytes"),
    "an endless JSON line": Case("text", b'{"text": "a"}\n{"text": "' + b"x" * 5000, "f:2 .*longer than 4,096 bytes"),
    "a TSV line with one column": Case("parallel", "One\t하나\nTwo\n", "f:2 .*1 columns; needed: 2", {"format": "tsv"}),
    "a CSV cell without its end": Case("parallel", 'en,ko\na,가\nb,"나\n', "f:3 .*not valid CSV"),
    "a CSV cell with a quote inside": Case("parallel", 'en,ko\nb,"나"x\na,가\n', "f:2 .*not valid CSV"),
    "a number in a spreadsheet": Case(
        "parallel", sheet(HEADER, [1, "가", "a"], [2, "나", 3.5]), "f:3 .*'en' is not a text"
    ),
    "a null in a Parquet file": Case("text", table(text=["a", None]), "f:row 2 .*'text' is not a text"),
    "a NaN in a Parquet file": Case(
        "parallel",
        table(translation=[{"en": "a", "ko": "가"}, {"en": "b", "ko": None}]),
        "f:row 2 .*'ko' is not a text",
    ),
    "a unit in another language": Case(
        "parallel",
        tmx(
            '<tu><tuv lang="en"><seg>a</seg></tuv><tuv lang="ko"><seg>가</seg></tuv></tu>\n'
            '<tu><tuv lang="en"><seg>b</seg></tuv><tuv lang="ja"><seg>か</seg></tuv></tu>'
        ),
        "f:2 unit 2 .*needs one segment each in en and ko; this one has en, ja",
    ),
    "a conversation of one": Case(
        "instructions", GOOD + '{"messages": [{"role": "user", "content": "a"}]}', "f:2 .*nothing to learn"
    ),
    "a role of another kind": Case(
        "instructions", GOOD + '{"messages": [{"role": "tool", "content": "a"}]}', "f:2 .*the role 'tool'; read are"
    ),
}
HELLASWAG = {"activity_label": "x", "ctx_a": "He sat.", "ctx_b": "he", "endings": ["a", "b", "c", "d"]}
COPA = '<c>\n<item id="1" asks-for="cause" most-plausible-alternative="{}"><p>a</p><a1>b</a1><a2>c</a2></item></c>'
BAD_ITEMS = {
    "a NaN label": (
        "hellaswag",
        json.dumps({**HELLASWAG, "label": float("nan")}),
        "f:1 .*label nan is not one of",
    ),
    "a null label": ("hellaswag", json.dumps({**HELLASWAG, "label": None}), "f:1 .*label None is not one of"),
    "an infinite label": (
        "hellaswag",
        json.dumps({**HELLASWAG, "label": float("inf")}),
        "f:1 .*label inf is not one of",
    ),
    "a NaN label in a TSV": ("nsmc_generate", "id\tdocument\tlabel\n1\t가\tnan\n", "f:2 .*label 'nan' is not one of"),
    "a label with a fraction": (
        "nsmc_generate",
        "id\tdocument\tlabel\n1\t가\t1.5\n",
        "f:2 .*label '1.5' is not one of",
    ),
    "a NaN label in XML": ("copa_2011_test", COPA.format("NaN"), "f:2 .*label 'NaN' is not one of"),
    "a NaN answer": ("kobest_copa", "ID\tsentence\tquestion\t1\t2\tAnswer\n1\t가\t원인\t나\t다\tNaN\n", "f:2 .*'NaN'"),
    "a line of a test set in cp949": (
        "nsmc_generate",
        "id\tdocument\tlabel\n2\t하나\t1\n".encode() + "1\t가\t1\n".encode("cp949"),
        "f:3 .*can be read as cp949",
    ),
}


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MIN_BOMB_BYTES", 2**20)
    monkeypatch.setattr(sheet_parts, "MIN_BOMB_BYTES", 2**20)
    monkeypatch.setattr(unpack, "MAX_WHOLE_BYTES", 2**22)
    monkeypatch.setattr(text_files, "MAX_LINE_BYTES", 2**12)


def rows(tmp_path: Path, case: Case) -> list[Row | BadRow]:
    (tmp_path / "f").write_bytes(case.content.encode() if isinstance(case.content, str) else case.content)
    language = None if case.kind == "parallel" else "ko"
    given = {"kind": case.kind, "paths": ("f",), "language": language, **case.settings}
    return list(read_source(Source.model_validate(given), [tmp_path / "f"], tmp_path, LANGUAGES))


def test_there_are_many_malformed_files() -> None:
    assert len(BAD_FILES) + len(BAD_ROWS) + len(BAD_ITEMS) >= 80


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_its_path_and_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError) as caught:
        rows(tmp_path, BAD_FILES[name])
    message = str(caught.value)
    assert re.search(BAD_FILES[name].message, message)
    assert re.search(r"(^|/| )f\b", message)
    advice = (
        "Correct|Check|Convert|Copy|Find|Delete|Undo|Unpack|Name|Open|Make|Give|Put|Shorten|Rename|Exchange|Cut|Write"
    )
    assert re.search(rf"\b({advice}|set|or convert)\b", message), message


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_stops_the_run_or_is_dropped_alone(tmp_path: Path, name: str) -> None:
    found = rows(tmp_path, BAD_ROWS[name])
    with pytest.raises(BadInputError, match=rf"{BAD_ROWS[name].message}.*on_bad_row=drop"):
        list(readable(found, "x", "stop", Drops()))
    drops = Drops()
    assert len(list(readable(found, "x", "drop", drops))) == 1
    assert drops.counts() == {"bad row": 1}
    json.dumps(drops.records, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", BAD_ITEMS)
def test_a_bad_item_stops_the_run_or_is_dropped(tmp_path: Path, name: str) -> None:
    label, content, message = BAD_ITEMS[name]
    (tmp_path / "f").write_bytes(content.encode() if isinstance(content, str) else content)
    task = EvaluationTask.model_validate({"task": label, "paths": ("f",)})
    found = list(evaluation_sets.read(task, [tmp_path / "f"], tmp_path, LANGUAGES))
    with pytest.raises(BadInputError, match=message):
        evaluation_sets.choose("my_task", task, found, "stop", LANGUAGES)
    assert sum(isinstance(item, BadRow) for item in found) == 1
