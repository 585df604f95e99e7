"""Translation memories give a pair per unit, without formatting codes; entities are refused."""

from pathlib import Path

import pytest

from crosstune.data.readers.records import Record
from crosstune.data.readers.tmx_files import tmx
from crosstune.errors import BadInputError

START = '<?xml version="1.0"?>\n<tmx version="1.4"><header srclang="en"/><body>\n'
END = "</body></tmx>\n"


def unit(**segments: str) -> str:
    variants = (f'<tuv xml:lang="{language}"><seg>{text}</seg></tuv>' for language, text in segments.items())
    return f"<tu>{''.join(variants)}</tu>\n"


def read(tmp_path: Path, content: str, encoding: str = "utf-8") -> list[Record]:
    (tmp_path / "a.tmx").write_text(content, encoding=encoding)
    return list(tmx(tmp_path / "a.tmx", "a", ("en", "ko")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_units_give_the_recipes_languages(tmp_path: Path, encoding: str) -> None:
    content = START + unit(en="Salt &amp; pepper", ko="소금과 후추", fr="Sel") + unit(ko="둘", en="Two") + END
    assert read(tmp_path, content, encoding) == [
        Record("a:3 unit 1", {"en": "Salt & pepper", "ko": "소금과 후추"}),
        Record("a:4 unit 2", {"ko": "둘", "en": "Two"}),
    ]


def test_a_region_belongs_to_its_language(tmp_path: Path) -> None:
    content = '<tu><tuv xml:lang="en-US"><seg>a</seg></tuv><tuv lang="KO_kr"><seg>가</seg></tuv></tu>'
    assert read(tmp_path, START + content + END)[0].content == {"en": "a", "ko": "가"}


def test_formatting_codes_are_no_text(tmp_path: Path) -> None:
    text = 'Press <bpt i="1">&lt;b&gt;</bpt><hi>OK</hi><ept i="1">&lt;/b&gt;</ept> now<ph>{0}<sub>x</sub></ph>.'
    assert read(tmp_path, START + unit(en=text, ko="누르기") + END)[0].content["en"] == "Press OK now."


def test_a_long_file_is_given_on_piece_by_piece(tmp_path: Path) -> None:
    units = "".join(unit(en=f"Number {number}", ko=f"{number}번") for number in range(5000))
    rows = read(tmp_path, START + units + END)
    assert [row.content for row in rows] == [{"en": f"Number {n}", "ko": f"{n}번"} for n in range(5000)]
    assert rows[-1].origin == "a:5002 unit 5000"


@pytest.mark.parametrize(
    ("content", "found"), [(unit(en="a", fr="b"), "en, fr"), (unit(), "none"), (unit(en="a", ko="b"), "")]
)
def test_a_unit_needs_both_languages_once(tmp_path: Path, content: str, found: str) -> None:
    problem = f"a unit needs one segment each in en and ko; this one has {found}" if found else ""
    assert read(tmp_path, START + content + END)[0].problem == problem


def test_two_segments_of_a_language_are_a_problem(tmp_path: Path) -> None:
    twice = unit(en="a", ko="가").replace("</tu>", '<tuv xml:lang="ko"><seg>나</seg></tuv></tu>')
    assert read(tmp_path, START + twice + END)[0].problem.endswith("this one has en, ko, ko")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '<!DOCTYPE tmx [<!ENTITY a "boom"><!ENTITY b "&a;&a;&a;">]><tmx>&b;</tmx>',
            "line 1: declares the XML entity 'a'.*none is resolved",
        ),
        ('<!DOCTYPE tmx [<!ENTITY a SYSTEM "/etc/passwd">]>\n<tmx>&a;</tmx>', "declares the XML entity 'a'"),
        ('<!DOCTYPE tmx [<!ENTITY % a SYSTEM "/etc/passwd">%a;]><tmx/>', "declares the XML entity 'a'"),
        ('<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx>\n&nbsp;</tmx>', "line 3: uses the unknown XML entity &nbsp;"),
        (START + unit(en="a", ko="가"), "not well-formed XML: no element found at line 4"),
        (START + "<tu></body>", "not well-formed XML: mismatched tag at line 3"),
        ('<?xml version="1.0" encoding="euc-kr"?><tmx/>', "XML in an encoding that cannot be read"),
        ("", "not well-formed XML: no element found"),
    ],
)
def test_entities_and_broken_xml_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        read(tmp_path, content)
