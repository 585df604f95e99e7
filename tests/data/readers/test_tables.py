"""Tables are read by their headers; every row keeps the number of its first line."""

from pathlib import Path

import pytest

from crosstune.data.readers.records import Record
from crosstune.data.readers.tables import Columns, comma_separated, tsv
from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError

COLUMNS = Columns(
    {field: frozenset({field}) for field in ("instruction", "input", "output")}, optional=frozenset({"input"})
)
PAIRS = Columns({"en": frozenset({"en", "english"}), "ko": frozenset({"ko"})}, may_lack_header=True)


def table(tmp_path: Path, content: str) -> TextFile:
    (tmp_path / "t").write_text(content, encoding="utf-8", newline="")
    return TextFile(tmp_path / "t", "t")


def test_quoted_cells_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    content = 'output,id,instruction\r\n"a, ""b""\nc",1,x\r\n\r\nd,2,y\r\n'
    assert list(comma_separated(table(tmp_path, content), COLUMNS)) == [
        Record("t:2", {"instruction": "x", "output": 'a, "b"\nc'}),
        Record("t:5", {"instruction": "y", "output": "d"}),
    ]


def test_quotes_mean_nothing_between_tabs(tmp_path: Path) -> None:
    assert list(tsv(table(tmp_path, 'english\tKO\n"a\t나"\n'), PAIRS)) == [Record("t:2", {"en": '"a', "ko": '나"'})]


def test_a_table_without_header_is_read_by_position_where_that_is_allowed(tmp_path: Path) -> None:
    assert list(comma_separated(table(tmp_path, "a,가,x\n"), PAIRS)) == [Record("t:1", {"en": "a", "ko": "가"})]
    with pytest.raises(BadInputError, match=r"no instruction and no output: a, b. Name the columns in the first row"):
        list(comma_separated(table(tmp_path, "a,b\n"), COLUMNS))


def test_a_column_that_is_optional_may_be_there_once(tmp_path: Path) -> None:
    rows = list(tsv(table(tmp_path, "instruction\tinput\toutput\nx\ty\tz\n"), COLUMNS))
    assert rows == [Record("t:2", {"instruction": "x", "input": "y", "output": "z"})]
    with pytest.raises(BadInputError, match="names one of them twice: instruction, input, input, output"):
        list(tsv(table(tmp_path, "instruction\tinput\tinput\toutput\nx\ty\ty\tz\n"), COLUMNS))


def test_a_damaged_row_does_not_take_its_neighbours_with_it(tmp_path: Path) -> None:
    bad, good = comma_separated(table(tmp_path, 'en,ko\n"a"b,가\nc,다\n'), PAIRS)
    assert bad.problem.startswith("not valid CSV") and bad.origin == "t:2"
    assert good == Record("t:3", {"en": "c", "ko": "다"})
