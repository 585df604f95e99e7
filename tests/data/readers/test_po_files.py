"""Gettext catalogues give messages and their translations as gettext's own compiler takes them."""

from pathlib import Path

import pytest

from crosstune.data.readers.po_files import gettext
from crosstune.data.readers.records import Record
from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError

HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Language: ko_KR\\n"\n\n'


def read(tmp_path: Path, content: str) -> list[Record]:
    (tmp_path / "ko.po").write_text(content, encoding="utf-8")
    return list(gettext(TextFile(tmp_path / "ko.po", "ko.po"), "en", "ko"))


def test_texts_are_joined_and_unescaped(tmp_path: Path) -> None:
    entry = '#: main.c:7\nmsgid ""\n"Open \\"%s\\"\\n"\n"now"\nmsgstr "\\"%s\\" 열기"\n'
    assert read(tmp_path, HEADER + entry) == [Record("ko.po:6", {"en": 'Open "%s"\nnow', "ko": '"%s" 열기'})]


def test_fuzzy_translations_count_as_none_and_obsolete_entries_are_comments(tmp_path: Path) -> None:
    entries = '#, fuzzy\nmsgid "File"\nmsgstr "파일들"\n\nmsgid "Edit"\nmsgstr ""\n\n#~ msgid "Old"\n#~ msgstr "옛"\n'
    assert [record.content for record in read(tmp_path, HEADER + entries)] == [
        {"en": "File", "ko": ""},
        {"en": "Edit", "ko": ""},
    ]


@pytest.mark.parametrize(
    ("forms", "pairs"),
    [
        (["%d개 파일"], [("%d files", "%d개 파일")]),
        (["파일 하나", "%d개 파일"], [("%d file", "파일 하나"), ("%d files", "%d개 파일")]),
    ],
)
def test_plural_forms_go_with_the_plural(tmp_path: Path, forms: list[str], pairs: list[tuple[str, str]]) -> None:
    entry = 'msgid "%d file"\nmsgid_plural "%d files"\n'
    entry += "".join(f'msgstr[{index}] "{form}"\n' for index, form in enumerate(forms))
    records = read(tmp_path, HEADER + entry)
    assert [tuple(record.content.values()) for record in records] == pairs
    assert [record.origin for record in records] == ["ko.po:6", "ko.po:6 plural"][-len(pairs) :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.replace("ko_KR", "fr"), "translates into 'fr' .*target language is 'ko'"),
        (HEADER + 'msgid "a"\nmsgstr 가\n', r"not a gettext catalog: line 7 .*msgstr 가"),
        (HEADER + 'msgid "a\nmsgstr "가"\n', r"not a gettext catalog: line 6 "),
        (HEADER + 'msgstr "가"\n', "not a gettext catalog: Syntax error in po file"),
        ("hello\n", "not a gettext catalog: line 1 "),
    ],
)
def test_what_is_no_catalogue_of_the_language_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        read(tmp_path, content)
