"""Corpora are read in their published layouts; what is no row is told with its place."""

import gzip
import json
import re
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstune.data.rows import BadRow, Drops, Row, readable
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.recipe import Languages, Source

LANGUAGES = Languages(source="en", target="ko")


def read(tmp_path: Path, kind: str, *contents: str, format: str = "auto") -> list[Row | BadRow]:
    names = [f"f{index}" for index in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).write_text(content, encoding="utf-8")
    language = None if kind == "parallel" else "ko"
    source = Source.model_validate({"kind": kind, "paths": tuple(names), "format": format, "language": language})
    return list(read_source(source, [tmp_path / name for name in names], tmp_path, LANGUAGES))


def test_alpaca_and_koalpaca_are_json_arrays(tmp_path: Path) -> None:
    rows = [{"instruction": "색은?", "input": "", "output": "빨강"}, {"instruction": "합", "input": "1", "output": "2"}]
    assert read(tmp_path, "instructions", json.dumps(rows, indent=2)) == [
        Row("f0:row 1", rows[0]),
        Row("f0:row 2", rows[1]),
    ]


def test_instruction_lines_may_have_no_input(tmp_path: Path) -> None:
    text = '{"instruction": "안녕", "output": "네", "url": "x"}\n\n{"instruction": "a", "input": null, "output": "b"}\n'
    assert read(tmp_path, "instructions", text) == [
        Row("f0:1", {"instruction": "안녕", "input": "", "output": "네"}),
        Row("f0:3", {"instruction": "a", "input": "", "output": "b"}),
    ]


@pytest.mark.parametrize("indent", [None, 1])
def test_aihub_json_gives_the_human_translation_without_the_stray_mark(tmp_path: Path, indent: int | None) -> None:
    row = {"sn": "1", "en_original": "x", "en": ">Go on.", "mt": "기계", "ko": "> 계속해.", "ner": None}
    text = json.dumps({"data": [row]}, ensure_ascii=False, indent=indent)
    assert read(tmp_path, "parallel", text) == [Row("f0:row 1", {"en": "Go on.", "ko": "계속해."})]


def test_aihub_json_with_one_row_a_line_is_recognised(tmp_path: Path) -> None:
    assert read(tmp_path, "parallel", '{"data":[\n{"en": "a", "ko": "가"}\n]}') == [
        Row("f0:row 1", {"en": "a", "ko": "가"})
    ]


def test_tsv_columns_are_found_by_their_header(tmp_path: Path) -> None:
    assert read(tmp_path, "parallel", "id\tKO\ten\r\n7\t가\tGo.\r\n") == [Row("f0:2", {"en": "Go.", "ko": "가"})]


def test_tatoeba_lines_have_no_header(tmp_path: Path) -> None:
    rows = read(tmp_path, "parallel", 'Go.\t가.\tCC-BY\nSay "hi".\t"안녕"이라고 해.\nalone\n')
    assert rows[:2] == [
        Row("f0:1", {"en": "Go.", "ko": "가."}),
        Row("f0:2", {"en": 'Say "hi".', "ko": '"안녕"이라고 해.'}),
    ]
    assert rows[2] == BadRow("f0:3", "1 columns; needed: 2", "alone")


def test_a_tsv_header_without_a_language_is_refused_with_its_columns(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"needs the columns en and ko.*no ko: en, korea"):
        read(tmp_path, "parallel", "en\tkorea\na\t가\n")


def test_parallel_lines_and_arrays_have_the_languages_as_keys(tmp_path: Path) -> None:
    expected = [{"en": "a", "ko": "가"}]
    assert [
        row.texts for row in read(tmp_path, "parallel", '{"en": "a", "ko": "가"}\n') if isinstance(row, Row)
    ] == expected
    assert [
        row.texts for row in read(tmp_path, "parallel", '[{"en": "a", "ko": "가"}]') if isinstance(row, Row)
    ] == expected


def test_aligned_files_are_joined_by_line(tmp_path: Path) -> None:
    expected = [Row("f0:1", {"en": "One.", "ko": "하나."}), Row("f0:2", {"en": "Two.", "ko": "둘."})]
    assert read(tmp_path, "parallel", "One.\nTwo.\n", "하나.\n둘.", format="aligned_text") == expected
    assert read(tmp_path, "parallel", "One.\nTwo.\n", "하나.\n둘.") == expected


def test_the_files_of_a_source_with_its_own_two_languages_come_in_their_order(tmp_path: Path) -> None:
    for name, content in (("f0", "本を読む。\n"), ("f1", "책을 읽는다.\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    pair = Languages(source="ja", target="ko")
    source = Source(kind="parallel", paths=("f0", "f1"), languages=pair.codes)
    (row,) = read_source(source, [tmp_path / "f0", tmp_path / "f1"], tmp_path, pair)
    assert isinstance(row, Row) and row.texts == {"ja": "本を読む。", "ko": "책을 읽는다."}


def test_aligned_files_of_different_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"same number of lines, but .*f0 has 2 and .*f1 has 1"):
        read(tmp_path, "parallel", "One.\nTwo.\n", "하나.\n", format="aligned_text")


def test_a_stray_tab_or_bracket_makes_no_table_and_no_json_of_aligned_text(tmp_path: Path) -> None:
    texts = [
        row.texts for row in read(tmp_path, "parallel", "[One]\tx\nTwo.\n", "[하나]\n둘.\n") if isinstance(row, Row)
    ]
    assert texts == [{"en": "[One]\tx", "ko": "[하나]"}, {"en": "Two.", "ko": "둘."}]


@pytest.mark.parametrize("sign", [",", "\t"])
def test_a_column_of_conversations_is_read_by_its_name(tmp_path: Path, sign: str) -> None:
    turns = json.dumps([{"role": "user", "content": "수도는?"}, {"role": "assistant", "content": "서울."}])
    cell = '"' + turns.replace('"', '""') + '"'
    (tmp_path / "f").write_text(f"id{sign}chat{sign}score\n1{sign}{cell}{sign}5\n", encoding="utf-8")
    source = Source(kind="instructions", language="ko", paths=("f",), columns={"messages": "chat"})
    (row,) = read_source(source, [tmp_path / "f"], tmp_path, LANGUAGES)
    assert row == Row("f:2", {"instruction": "수도는?", "input": "", "output": "서울."})


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("영어,한국어\nOne.,하나.\n", {}),
        ("원문\t번역\t검수\nOne.\t하나.\t예\n", {"en": "원문", "ko": "번역"}),
        ('{"영어": "One.", "한국어": "하나."}\n', {}),
        ('{"원문": "One.", "번역": "하나."}\n', {"en": "원문", "ko": "번역"}),
    ],
)
def test_names_of_columns_may_be_decomposed_in_the_file_or_the_recipe(
    tmp_path: Path, content: str, columns: dict[str, str]
) -> None:
    for in_file, in_recipe in (("NFD", "NFC"), ("NFC", "NFD")):
        (tmp_path / "f").write_text(normalize(in_file, content), encoding="utf-8")
        named = {code: normalize(in_recipe, name) for code, name in columns.items()}
        source = Source(kind="parallel", paths=("f",), columns=named)
        (row,) = read_source(source, [tmp_path / "f"], tmp_path, LANGUAGES)
        assert isinstance(row, Row)
        assert {code: normalize("NFC", text) for code, text in row.texts.items()} == {"en": "One.", "ko": "하나."}


@pytest.mark.parametrize("suffix", ["csv", "CSV", "tsv", "csv.gz"])
def test_two_tables_without_a_header_are_no_aligned_text(tmp_path: Path, suffix: str) -> None:
    packed = gzip.compress if suffix.endswith("gz") else bytes
    for name, content in ((f"0.{suffix}", "One.,하나.\nTwo.,둘.\n"), (f"1.{suffix}", "Three.,셋.\nFour.,넷.\n")):
        (tmp_path / name).write_bytes(packed(content.encode()))
    paths = sorted(tmp_path.iterdir())
    source = Source(kind="parallel", paths=("*",))
    with pytest.raises(BadInputError, match=r"0\..* was not recognized.*The header of a table needs en and ko"):
        list(read_source(source, paths, tmp_path, LANGUAGES))
    # Whoever says that they are gets what is asked for.
    aligned = source.model_copy(update={"format": "aligned_text"})
    assert len(list(read_source(aligned, paths, tmp_path, LANGUAGES))) == 2


@pytest.mark.parametrize("contents", [("하나.\n둘.\n", "One.\nTwo.\n"), ("하나.\tOne.\n둘.\tTwo.\n",)])
def test_exchanged_sides_are_refused(tmp_path: Path, contents: tuple[str, ...]) -> None:
    with pytest.raises(BadInputError, match=r"first side should be in en, the second in ko, but 2 of 2 rows.*a glob"):
        read(tmp_path, "parallel", *contents)


def test_sides_that_hold_both_scripts_are_not_taken_for_exchanged(tmp_path: Path) -> None:
    assert len(read(tmp_path, "parallel", '"네" is yes.\tyes는 "네"다.\n3\t3\nSQL 문\tSQL\n')) == 3


@pytest.mark.parametrize(("contents", "message"), [(("a",), "needs two files.*1 were given"), (("", ""), "are empty")])
def test_aligned_text_needs_two_files_with_lines(tmp_path: Path, contents: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        read(tmp_path, "parallel", *contents, format="aligned_text")


def test_plain_text_is_one_document_a_line_even_if_it_looks_like_json(tmp_path: Path) -> None:
    assert read(tmp_path, "text", "[속보] 눈이 온다.\n{웃음} 네.\n") == [
        Row("f0:1", {"text": "[속보] 눈이 온다."}),
        Row("f0:2", {"text": "{웃음} 네."}),
    ]


@pytest.mark.parametrize("content", ['[{"text": "가"}]', '{\n  "text": "가"\n}'])
def test_json_that_is_not_one_row_a_line_is_never_taken_for_plain_text(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadInputError, match="format of this text file was not recognized"):
        read(tmp_path, "text", content)
    assert read(tmp_path, "text", content, format="text")[0] == Row("f0:1", {"text": content.split("\n")[0]})


def test_text_lines_in_json_stay_whole(tmp_path: Path) -> None:
    long = "긴 글.\n" * 5000
    assert read(tmp_path, "text", json.dumps({"id": 1, "text": long}) + "\n") == [Row("f0:1", {"text": long})]


@pytest.mark.parametrize(
    ("kind", "content", "problem"),
    [
        ("instructions", '[{"instruction": "a", "response": "b"}]', "no key 'output'.*there are instruction, response"),
        ("instructions", '[{"instruction": "a", "output": 3}]', "'output' is not a text"),
        ("instructions", '[{"instruction": "a", "input": [1], "output": "b"}]', "'input' is not a text"),
        ("instructions", "[3]", "not a JSON object"),
        ("instructions", '{"instruction": "a", "output": "b"}\n{"instr', "not valid JSON"),
        ("parallel", '{"data": [{"ko": "가", "mt": "a"}]}', "no key 'en'; needed: en, ko; there are ko, mt"),
        ("text", r'{"text": "\ud83d"}', "half a surrogate pair"),
        ("text", '{"text": "끝이 없', "not valid JSON"),
        ("text", '{"text": "가", "n": ' + "9" * 5000 + "}", "4300 digits"),
        ("instructions", r'[{"instruction": "a", "\ud83d": 1}]', r"no key 'output'.*\\ud83d"),
    ],
)
def test_a_bad_row_stops_the_run_or_is_dropped_with_its_place(
    tmp_path: Path, kind: str, content: str, problem: str
) -> None:
    rows = read(tmp_path, kind, content)
    with pytest.raises(BadInputError, match=rf"f0:.*\(of x\): .*{problem}.*on_bad_row=drop"):
        list(readable(rows, "x", "stop", Drops()))
    drops = Drops()
    list(readable(rows, "x", "drop", drops))
    assert drops.counts() == {"bad row": 1}
    assert re.search(problem, drops.records[0]["problem"])
    json.dumps(drops.records, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("kind", "format", "content", "message"),
    [
        (
            "instructions",
            "auto",
            "hello",
            "format of this instructions file was not recognized. It starts with 'hello'",
        ),
        ("instructions", "aihub_json", "a\tb", "cannot have format 'aihub_json', only json, jsonl, tsv"),
        ("parallel", "auto", "en\ten\tko\na\tb\t가\n", "names one of them twice: en, en, ko"),
        ("instructions", "auto", '{\n"data": []}', "was not recognized"),
        ("parallel", "auto", "no tabs", "was not recognized.*aihub_json.*aligned_text"),
        ("text", "auto", " \n", "is empty"),
        ("instructions", "json", '{"rows": []}', "should hold a JSON array.*the keys rows"),
        ("parallel", "aihub_json", '{"rows": []}', "read as AI-Hub JSON.*the keys rows"),
        ("parallel", "aihub_json", "[]", "it holds a list"),
        ("parallel", "auto", '{"data":[{"en": "a", "k', "not valid JSON.*cut off"),
    ],
)
def test_a_file_of_another_format_is_refused(
    tmp_path: Path, kind: str, format: Any, content: str, message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        read(tmp_path, kind, content, format=format)


_PIECES = st.sampled_from(
    ['{"', "{", "[", "]", "}", '"', "\n", "\r", "\t", ":", "data", "en", "ko", "text", "가", "\\ud83d", "9"]
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["parallel", "instructions", "text"]), pieces=st.lists(_PIECES, max_size=25))
def test_whatever_a_file_holds_it_is_read_or_refused_with_a_message(
    tmp_path: Path, kind: str, pieces: list[str]
) -> None:
    drops = Drops()
    try:
        list(readable(iter(read(tmp_path, kind, "".join(pieces))), "x", "drop", drops))
    except BadInputError as error:
        str(error).encode()
    json.dumps(drops.records, ensure_ascii=False).encode()
