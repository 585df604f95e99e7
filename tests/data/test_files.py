"""Files are found, unpacked and decoded, or refused with what to do."""

import gzip
from pathlib import Path

import pytest

from crosstune.data import files
from crosstune.errors import BadInputError


def test_a_glob_names_its_files_in_order_and_none_twice(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("x")
    assert files.find(["*.txt", "a.txt"], tmp_path, "s") == [tmp_path / "a.txt", tmp_path / "b.txt"]
    assert files.find([f"{tmp_path}/*.txt"], Path("/elsewhere"), "s")[0] == tmp_path / "a.txt"


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    (tmp_path / "1_구어체[1].txt").write_text("x")
    assert files.find(["1_구어체[1].txt"], tmp_path, "s") == [tmp_path / "1_구어체[1].txt"]


def test_a_missing_file_is_named_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "alpaca_data.json").write_text("[]")
    with pytest.raises(BadInputError, match=r"data.sources.x.paths: there is no file .*gone.json.*alpaca_data.json"):
        files.find(["deep/gone.json"], tmp_path, "data.sources.x.paths")


def test_a_glob_without_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no file matches .*\*\.tsv.*there is: nothing"):
        files.find(["*.tsv"], tmp_path, "s")


def test_a_malformed_glob_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"^s: .*(a\*\*b\.txt' is no path and no glob|no file matches)"):
        files.find(["a**b.txt"], tmp_path, "s")


def test_a_folder_and_a_missing_data_root_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    with pytest.raises(BadInputError, match=r"is a folder: name its files, as text/\*\.json"):
        files.find(["text/"], tmp_path, "s")
    with pytest.raises(BadInputError, match="which is not a folder: set data_root"):
        files.find(["a.txt"], tmp_path / "none", "s")


def test_text_is_read_with_and_without_gzip_and_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeff가나다".encode())
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("가나다".encode()))
    assert files.read_text(tmp_path / "a.txt") == files.read_text(tmp_path / "b.txt.gz") == "가나다"


def test_only_line_feeds_end_a_line() -> None:
    assert list(files.lines_of("a\u2028b\r\n\x0cc\n\n")) == [(1, "a\u2028b"), (2, "\x0cc"), (3, "")]
    assert list(files.lines_of("")) == []


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"no gzip", lambda b: b[:12] + b"\xff\xff" + b[14:]])
def test_a_broken_gzip_file_is_refused(tmp_path: Path, damage: object) -> None:
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress("안녕하세요 여러분".encode() * 9)))  # type: ignore[operator]
    with pytest.raises(BadInputError, match=r"not a whole gzip file .* `gzip -t`"):
        files.read_text(tmp_path / "a.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("첫 줄\n둘째".encode("cp949"), r"byte 0x\w\w in line 1.*iconv -f cp949 -t utf-8 a.txt"),
        ("글".encode("utf-16"), "iconv -f utf-16"),
        (b"PK\x03\x04\xff\xff", "zip archive or spreadsheet"),
        (b"ok\n\xff\xff\xff", "line 2.*Find out its encoding"),
        (b"a\0b", "NUL bytes"),
        (b"en\tko\ra\tb\r", r"CR alone.*`tr '\\r' '\\n' < a.txt > lf_a.txt`"),
    ],
)
def test_other_encodings_are_refused_with_how_to_convert(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        files.read_text(tmp_path / "a.txt")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        files.read_text(tmp_path)


def test_truncated_json_is_refused_with_its_position(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"line 2, column \d+ .*cut off"):
        files.parse_json('[{"a": 1},\n{"b', tmp_path / "a.json")
    with pytest.raises(BadInputError, match="nested too deeply"):
        files.parse_json("[" * 200_000, tmp_path / "a.json")
    with pytest.raises(BadInputError, match=r"a number that cannot be read .*4300 digits"):
        files.parse_json("[" + "9" * 5000 + "]", tmp_path / "a.json")
