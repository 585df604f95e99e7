"""AI-Hub's spreadsheets are read by their headers; what is damaged, merged or a bomb is refused."""

import contextlib
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from crosstune.data.readers import sheet_parts
from crosstune.data.readers.archives import members
from crosstune.data.readers.records import Record
from crosstune.data.readers.spreadsheets import xlsx
from crosstune.data.readers.tables import Columns
from crosstune.data.readers.unpack import read_bytes
from crosstune.errors import BadInputError

COLUMNS = Columns({"en": frozenset({"번역문"}), "ko": frozenset({"원문"})})
PAIR = ["눈이 온다.", "It is snowing."]


def write(path: Path, *rows: list[Any], change: Callable[[Any], None] = lambda sheet: None) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(row)
    change(sheet)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (["SID", "원문", "번역문"], [1, *PAIR]),
        (["대분류", "소분류", "상황", "Set Nr.", "발화자", "원문", "번역문"], ["여가", "", "", 1, "A-1", *PAIR]),
        (
            ["ID", "날짜", "자동분류1", "자동분류2", "자동분류3", "URL", "언론사", "원문", "번역문"],
            [7, *"abcdef", *PAIR],
        ),
    ],
)
def test_both_families_of_columns_are_found_by_their_header(tmp_path: Path, header: list[str], row: list[Any]) -> None:
    path = write(tmp_path / "a.xlsx", header, row)
    assert list(xlsx(path, COLUMNS, "a")) == [Record("a:2", {"en": PAIR[1], "ko": PAIR[0]})]


def test_a_table_may_begin_anywhere_on_the_sheet(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", [None], [None, "원문", "번역문"], [None], [None, *PAIR])
    assert list(xlsx(path, COLUMNS, "a")) == [Record("a:4", {"en": PAIR[1], "ko": PAIR[0]})]


@pytest.mark.parametrize("area", ["A1:B1", "A1:A2"])
def test_merged_header_cells_are_refused(tmp_path: Path, area: str) -> None:
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR, change=lambda sheet: sheet.merge_cells(area))
    with pytest.raises(BadInputError, match=rf"the header in row 1 has merged cells \({area}\).*Undo the merging"):
        list(xlsx(path, COLUMNS, "a"))


def test_a_merged_title_above_the_header_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.xlsx", ["말뭉치"], ["원문", "번역문"], PAIR, change=lambda sheet: sheet.merge_cells("A1:AB1")
    )
    with pytest.raises(BadInputError, match=r"merged cells \(A1:AB1\)"):
        list(xlsx(path, COLUMNS, "a"))


def test_a_wrong_header_and_an_empty_sheet_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"needs the columns en and ko.*no en: id, 원문, 영어번역"):
        list(xlsx(write(tmp_path / "a.xlsx", ["ID", "원문", "영어번역"], [1, *PAIR]), COLUMNS, "a"))
    with pytest.raises(BadInputError, match="first sheet 'Sheet' is empty"):
        list(xlsx(write(tmp_path / "b.xlsx"), COLUMNS, "b"))


def damaged_members(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))
    return path


def test_a_broken_spreadsheet_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR)
    content = path.read_bytes()
    for damage in (content[:-100], b"PK\x03\x04 no zip", content[:60] + b"\xff\xff\xff\xff" + content[64:]):
        path.write_bytes(damage)
        with pytest.raises(BadInputError, match="is not a complete spreadsheet"):
            list(xlsx(path, COLUMNS, "a"))


def test_a_zip_that_is_no_spreadsheet_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(BadInputError, match="not a readable spreadsheet"):
        list(xlsx(tmp_path / "a.xlsx", COLUMNS, "a"))


def test_an_entity_is_not_resolved(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR)

    def with_entity(name: str, content: bytes) -> bytes:
        if name != "xl/worksheets/sheet1.xml":
            return content
        return b'<!DOCTYPE x [<!ENTITY boom "boom">]>' + content.replace(b"It is", b"&boom;")

    with pytest.raises(BadInputError, match=r"sheet1\.xml has a DOCTYPE, which may declare entities"):
        list(xlsx(damaged_members(path, with_entity), COLUMNS, "a"))


def test_a_bomb_is_refused_whatever_size_it_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet_parts, "MIN_BOMB_BYTES", 2**20)
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR)
    damaged_members(path, lambda name, content: content + b" " * 2**24 if name == "xl/styles.xml" else content)
    with pytest.raises(BadInputError, match="unpacks to more than"):
        list(xlsx(path, COLUMNS, "a"))
    size = next(info.file_size for info in zipfile.ZipFile(path).infolist() if info.filename == "xl/styles.xml")
    content = path.read_bytes()
    assert content.count(size.to_bytes(4, "little")) >= 2
    path.write_bytes(content.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(BadInputError, match="unpacks to more than"):
        list(xlsx(path, COLUMNS, "a"))


def test_a_stray_cell_far_out_is_refused(tmp_path: Path) -> None:
    def far_out(sheet: Any) -> None:
        sheet["XFD1048576"] = "x"

    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR, change=far_out)
    with pytest.raises(BadInputError, match=r"sheet1\.xml spans 1,048,576 rows x 16,384 columns; up to 50,000,000"):
        list(xlsx(path, COLUMNS, "a"))


FAR_OUT = {
    "spaces around the sign": ('r = "XFD1048576"', "xl/worksheets/sheet1.xml"),
    "single quotes": ("r='XFD1048576'", "xl/worksheets/sheet1.xml"),
    "small letters": ('r="xfd1048576"', "xl/worksheets/sheet1.xml"),
    "a character number": ('r="XF&#68;1048576"', "xl/worksheets/sheet1.xml"),
    "a sheet in another folder": ('r="XFD1048576"', "xl/pages/sheet1.xml"),
    "a sheet of another ending": ('r="XFD1048576"', "xl/drawings/sheet1.vml"),
    "eight digits": ('r="A99999999"', "xl/worksheets/sheet1.xml"),
    "four letters": ('r="AAAA1"', "xl/worksheets/sheet1.xml"),
}


@pytest.mark.parametrize("name", FAR_OUT)
@pytest.mark.parametrize("prefix", ["", "x:"])
def test_a_cell_far_out_is_refused_however_it_is_written(tmp_path: Path, name: str, prefix: str) -> None:
    reference, place = FAR_OUT[name]
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR)
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    cell = f'<{prefix}c {reference} t="n"><{prefix}v>1</{prefix}v></{prefix}c>'.encode()
    content = members.pop("xl/worksheets/sheet1.xml").replace(b"</row></sheetData>", cell + b"</row></sheetData>")
    if prefix:
        content = content.replace(
            b"<worksheet ", b'<worksheet xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        )
    members[place] = content
    relations = members["xl/_rels/workbook.xml.rels"]
    members["xl/_rels/workbook.xml.rels"] = relations.replace(b"/xl/worksheets/sheet1.xml", f"/{place}".encode())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, written in members.items():
            archive.writestr(member, written)
    with pytest.raises(BadInputError, match=r"spans 1,048,576 rows x 16,384 columns|but a sheet ends at XFD1048576"):
        list(xlsx(path, COLUMNS, "a"))


def test_a_row_far_out_counts_though_its_cells_have_no_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR)
    row = b'<row r="1048576">' + b"<c><v>1</v></c>" * 60 + b"</row></sheetData>"
    damaged_members(path, lambda name, content: content.replace(b"</sheetData>", row))
    with pytest.raises(BadInputError, match="spans 1,048,576 rows x 60 columns"):
        list(xlsx(path, COLUMNS, "a"))


def with_shared_texts(path: Path, texts: bytes, rows: int) -> Path:
    """Add a list of shared texts to a spreadsheet, and rows that hold the first one twice."""
    cells = b"".join(b'<row r="%d"><c r="A%d" t="s"><v>0</v></c><c r="B%d" t="s"><v>0</v></c></row>' % ((row,) * 3)
                     for row in range(3, 3 + rows))  # fmt: skip
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members["xl/sharedStrings.xml"] = texts
    members["xl/worksheets/sheet1.xml"] = members["xl/worksheets/sheet1.xml"].replace(
        b"</sheetData>", cells + b"</sheetData>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, written in members.items():
            archive.writestr(member, written)
    return path


@pytest.mark.parametrize("inside", ["", "<v/>", "<c><f/></c>"])
def test_a_shared_text_that_many_cells_hold_is_refused_before_each_has_its_copy(tmp_path: Path, inside: str) -> None:
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR)
    texts = f"<sst><si>{inside}<t>{'a' * 10**5}</t></si></sst>".encode()
    with pytest.raises(BadInputError, match=r"repeat shared texts to 100,000,000 characters; up to 67,108,864 are"):
        list(xlsx(with_shared_texts(path, texts, rows=500), COLUMNS, "a"))


def test_more_shared_texts_than_a_part_has_room_for_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR)
    with pytest.raises(BadInputError, match=r"says that it holds 4,000,000,000 texts, but has \d+ bytes"):
        list(xlsx(with_shared_texts(path, b'<sst uniqueCount="4000000000"><si><t>a</t></si></sst>', 1), COLUMNS, "a"))


def test_a_sheet_that_is_no_xml_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR)
    damaged_members(path, lambda name, content: content.replace(b"</sheetData>", b"") if "sheet1" in name else content)
    with pytest.raises(BadInputError, match=r"sheet1.xml is not well-formed XML \(mismatched tag"):
        list(xlsx(path, COLUMNS, "a"))


def test_a_binary_workbook_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("xl/workbook.bin", b"\x83\x01")
    with pytest.raises(BadInputError, match=r"is a binary spreadsheet \(.xlsb\)"):
        list(xlsx(tmp_path / "a.xlsx", COLUMNS, "a"))


def test_a_spreadsheet_cut_or_changed_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["원문", "번역문"], PAIR)
    content = path.read_bytes()
    draw = random.Random(1)
    for number in range(120):
        place = draw.randrange(len(content))
        path.write_bytes(content[:place] if number % 2 else content[:place] + draw.randbytes(3) + content[place + 3 :])
        with contextlib.suppress(BadInputError):
            list(xlsx(path, COLUMNS, "a"))


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_damaged_anywhere_is_read_or_refused(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a.tsv", "en\tko\n" + "Hello there.\t안녕하세요.\n" * 20)
    content = path.read_bytes()
    for place in range(4, len(content), 2):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        with contextlib.suppress(BadInputError):
            for member in members(path):
                read_bytes(path, member)
