"""Text files are decoded line by line, unpacked as they are read, or refused with what to do."""

import gzip
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from crosstune.data.readers import text_files, unpack
from crosstune.data.readers.text_files import Line, TextFile
from crosstune.errors import BadInputError


def file(tmp_path: Path, content: bytes, name: str = "a.txt", encoding: str = "utf-8") -> TextFile:
    (tmp_path / name).write_bytes(content)
    return TextFile(tmp_path / name, name, encoding)


def zstandard(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


@contextmanager
def limited_memory(num_bytes: float) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < num_bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_and_text_are_unpacked_and_have_no_byte_order_mark(
    tmp_path: Path, pack: Callable[[bytes], bytes], mark: str
) -> None:
    # Packed files are known by their first bytes, whatever their names.
    found = file(tmp_path, pack(f"{mark}가나다\n\ufeff라".encode()))
    assert found.text() == "가나다\n\ufeff라"
    assert list(found.lines()) == [Line(1, "가나다"), Line(2, "\ufeff라")]
    assert found.start == "가나다\n\ufeff라"


def test_several_packed_parts_are_one_file(tmp_path: Path) -> None:
    assert file(tmp_path, gzip.compress(b"a\n") + gzip.compress(b"b\n")).text() == "a\nb\n"


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    assert [line[:2] for line in file(tmp_path, "a\u2028b\r\n\x0cc\n\n".encode()).lines()] == [
        (1, "a\u2028b"),
        (2, "\x0cc"),
        (3, ""),
    ]
    assert list(file(tmp_path, b"").lines()) == []


def test_the_encoding_is_a_setting(tmp_path: Path) -> None:
    found = file(tmp_path, "첫 줄\r\n둘째".encode("cp949"), encoding="cp949")
    assert [line.text for line in found.lines()] == ["첫 줄", "둘째"]
    assert found.text() == "첫 줄\r\n둘째"


def test_a_header_in_another_encoding_is_told_so(tmp_path: Path) -> None:
    header = "질문,답변\n".encode("cp949")
    with pytest.raises(BadInputError, match=r"line 1\. It can be read as cp949"):
        file(tmp_path, header + b"a,b\n").refuse_undecodable_header()
    file(tmp_path, header, encoding="cp949").refuse_undecodable_header()
    # A start that is cut within a character is no fault of it.
    file(tmp_path, "질문".encode()[:-1]).refuse_undecodable_header()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("a.gz", lambda content: content[:-9]),
        ("a.gz", lambda content: b"no gzip"),
        ("a.gz", lambda content: content[:12] + b"\xff\xff" + content[14:]),
        ("a.zst", lambda content: b"no zstd"),
        ("a.zst", lambda content: zstandard("안녕하세요 여러분".encode() * 9)[:-3]),
    ],
)
def test_a_broken_packed_file_is_refused(tmp_path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    found = file(tmp_path, damage(gzip.compress("안녕하세요 여러분".encode() * 9)), name)
    with pytest.raises(BadInputError, match=r"not a whole (gzip|zstd) file .* `(gzip|zstd) -t`"):
        list(found.lines())


@pytest.mark.parametrize("pack", [gzip.compress, zstandard])
def test_a_bomb_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(unpack, "MIN_BOMB_BYTES", 2**20)
    found = file(tmp_path, pack(b"\n" * 2**25))
    message = r"unpacks to more than [\d,]+ bytes from [\d,]+; text unpacks to at most 200"
    with limited_memory(20e6), pytest.raises(BadInputError, match=message):
        found.text()


def test_repetitive_text_is_no_bomb(tmp_path: Path) -> None:
    assert len(file(tmp_path, gzip.compress(b"the same line\n" * 100_000)).text()) == 1_400_000


def test_what_is_parsed_as_a_whole_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_WHOLE_BYTES", 10)
    assert file(tmp_path, b"0123456789").text() == "0123456789"
    with pytest.raises(BadInputError, match="more than 10 bytes, but it is parsed as a whole"):
        file(tmp_path, b"0123456789a").text()


def test_what_is_parsed_as_a_whole_leaves_room_for_its_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "free_memory", lambda: 40)
    assert file(tmp_path, b"0123456789").text() == "0123456789"
    with pytest.raises(BadInputError, match=r"takes 4 times its size in memory; 40 bytes are free here.*into several"):
        file(tmp_path, b"0123456789a").text()


@pytest.mark.slow
def test_a_gigabyte_without_line_end_is_one_bad_row_in_constant_memory(tmp_path: Path) -> None:
    found = file(tmp_path, b"short\n")
    with found.path.open("r+b") as content:
        content.seek(0, 2)
        content.write(b"text " * 20_000)
        # A hole: it takes no room on disk, and is read as a gigabyte of NUL bytes.
        content.seek(2**30, 1)
        content.write(b"end\nlast\n")
    with limited_memory(3 * text_files.MAX_LINE_BYTES):
        first, long, last = found.lines()
    assert (first, last) == (Line(1, "short"), Line(3, "last"))
    assert long.number == 2 and long.text.startswith("text text") and len(long.text) == 300
    assert long.problem.startswith("longer than 67,108,864 bytes")


def test_a_line_may_have_the_limit_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MAX_LINE_BYTES", 5)
    found = list(file(tmp_path, b"12345\n6\n123456\n7\n123456").lines())
    assert [(line.number, bool(line.problem)) for line in found] == [
        (1, False),
        (2, False),
        (3, True),
        (4, False),
        (5, True),
    ]


@pytest.mark.slow
def test_lines_are_read_as_they_are_needed(tmp_path: Path) -> None:
    found = file(tmp_path, "한국어 문장 하나.\n".encode() * 100_000)
    with limited_memory(500_000):
        assert sum(1 for _ in found.lines()) == 100_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("첫 줄\n둘째".encode("cp949"), r"byte 0x\w\w in line 1.*encoding: cp949.*iconv -f cp949 -t utf-8 a.txt"),
        ("ok\n둘째".encode("cp949"), r"byte 0x\w\w in line 2.*encoding: cp949"),
        # Of both, cp949 makes text, as "It뭩" and "p狎": what is advised must not be it.
        ("It’s late.\nWe don’t know.\n".encode("cp1252"), r"line 1\. Find out its encoding .*often cp1252"),
        ("pää\n".encode("cp1252"), r"line 1\. Find out its encoding .*often cp1252"),
        ("글".encode("utf-16"), "iconv -f utf-16"),
        (b"PK\x03\x04\xff\xff", "zip archive or spreadsheet"),
        (b"ok\n\xff\xff\xff", "line 2.*Find out its encoding"),
        (b"a\0b", "NUL bytes"),
        (b"en\tko\ra\tb\r", r"CR alone.*`tr '\\r' '\\n' < a.txt > lf_a.txt`"),
    ],
)
def test_other_encodings_are_refused_with_how_to_read_them(tmp_path: Path, content: bytes, message: str) -> None:
    found = file(tmp_path, content)
    for read in (found.text, lambda: list(found.lines())):
        with pytest.raises(BadInputError, match=message):
            read()


def test_a_line_in_another_encoding_is_one_bad_row(tmp_path: Path) -> None:
    found = file(tmp_path, "하나\n둘\n".encode() + "셋\n".encode("cp949") + b"four\n\xff\n")
    one, two, three, four, five = found.lines()
    assert [one, two, four] == [Line(1, "하나"), Line(2, "둘"), Line(4, "four")]
    assert three.problem == (
        "not utf-8: byte 0xbc at byte 1 of the line (it can be read as cp949, the Korean Windows encoding), "
        "but most lines of the file are utf-8. Convert this line"
    )
    assert "cp949" not in five.problem and five.text == "\\xff"


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        TextFile(tmp_path, "x").text()
