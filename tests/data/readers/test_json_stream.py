"""JSON is read row by row in constant memory, and its faults are placed as the json module places them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.readers.test_text_files import limited_memory

from crosstune.data.readers import json_stream, text_files
from crosstune.data.readers.json_files import aihub_json, json_array
from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def file(folder: Path, content: str, encoding: str = "utf-8") -> TextFile:
    path = folder / "f.json"
    path.write_text(content, encoding=encoding)
    return TextFile(path, "f")


def rows(found: TextFile) -> list[Any]:
    return [record.content for record in json_array(found)]


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(VALUES, max_size=4), st.integers(1, 9), st.booleans(), st.sampled_from([None, 1]))
def test_rows_are_the_json_module_s_however_the_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], size: int, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(values, ensure_ascii=ascii_only, indent=indent)
    if not ascii_only:
        text = text.encode("utf-8", "replace").decode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "CHUNK_BYTES", size)
        found = rows(file(tmp_path_factory.getbasetemp(), text))
    # NaN is not equal to itself.
    assert repr(found) == repr(json.loads(text))


@pytest.mark.parametrize("size", [1, 3, 2**20])
def test_a_file_that_is_cut_off_anywhere_is_refused_at_the_place_where_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(text_files, "CHUNK_BYTES", size)
    whole = '{"sn": [1,\n2], "data": [\n {"en": "a\\u00e9", "ko": "가\\n나"},\n {"en": -12.5, "ko": null}]}'
    assert [record.origin for record in aihub_json(file(tmp_path, whole), ("en", "ko"))] == ["f:row 1", "f:row 2"]
    for end in range(1, len(whole)):
        with pytest.raises(json.JSONDecodeError) as expected:
            json.loads(whole[:end])
        place = f"line {expected.value.lineno}, column {expected.value.colno} (character {expected.value.pos})"
        with pytest.raises(BadInputError, match=re.escape(place)):
            list(aihub_json(file(tmp_path, whole[:end]), ("en", "ko")))


def test_a_fault_is_told_before_the_rest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "CHUNK_BYTES", 2**12)
    found = file(tmp_path, '[\n{"en": "a"},\n{"en": oops},\n' + '{"en": "a"},\n' * 50_000)
    with (
        limited_memory(1e6),
        pytest.raises(BadInputError, match=r"not valid JSON: Expecting value at line 3, column 8"),
    ):
        rows(found)


@pytest.mark.slow
def test_an_array_of_any_length_is_read_in_constant_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "CHUNK_BYTES", 2**12)
    row = '{"en": "Hello there.", "ko": "안녕하세요."}'
    for content, read in (
        (f"[{', '.join([row] * 8_000)}]", lambda found: json_array(found)),
        (f'{{"data": [{", ".join([row] * 8_000)}]}}', lambda found: aihub_json(found, ("en", "ko"))),
    ):
        found = file(tmp_path, content)
        with limited_memory(3e5):
            assert sum(1 for _ in read(found)) == 8_000


def test_a_row_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "CHUNK_BYTES", 2**10)
    monkeypatch.setattr(json_stream, "MAX_VALUE_CHARACTERS", 2**14)
    found = file(tmp_path, '[{"en": "' + "a" * 2**22 + '"}]')
    with limited_memory(1e6), pytest.raises(BadInputError, match=r"longer than 16,384 characters.*line 1, column 2"):
        rows(found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2] 3", "Extra data at line 1, column 8"),
        ('{"data": []} x', "the keys data|Extra data"),
        ('{"data": [], "data": []}', "the key 'data' occurs twice.*one file for each"),
        ('{"data": {"a": 1}}', "a `data` that is no array"),
        ('{"data": [1 2]}', r"Expecting ',' or '\]' at line 1, column 13"),
        ("[" + "9" * 5000 + "]", "a number that cannot be read"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_document_of_rows_is_refused(tmp_path: Path, content: str, message: str) -> None:
    found = file(tmp_path, content)
    with pytest.raises(BadInputError, match=message):
        list(aihub_json(found, ("en", "ko")) if content.startswith("{") else json_array(found))


def test_another_encoding_is_named_with_its_line_far_behind_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "CHUNK_BYTES", 2**6)
    content = (
        "[\n"
        + '{"en": "a"},\n' * 20_000
        + '{"ko": "안녕하세요, 손님. 오늘 밤에 빈 방이 있습니까? 방을 하나 예약하고 싶습니다."}]'
    )
    with pytest.raises(BadInputError, match=r"byte 0xbe in line 20002. It can be read as cp949"):
        rows(file(tmp_path, content, "cp949"))
