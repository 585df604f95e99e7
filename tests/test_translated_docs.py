"""The Korean README and tutorial say what the English ones say: the same commands, recipes, numbers and pages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAIRS = [("README.md", "README.ko.md"), ("docs/tutorial.md", "docs/tutorial.ko.md")]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"```\w+\n(.*?)```", text, flags=re.DOTALL)


def numbers_of_tables(text: str) -> list[list[str]]:
    """Return the numbers of each table row that has some, in order."""
    rows = [re.findall(r"\d+\.\d+", line) for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if row]


def decimals(text: str) -> list[str]:
    """Return the numbers with a decimal point of the prose: results, not versions of the text."""
    return sorted(re.findall(r"\d+\.\d+", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def mentioned(text: str) -> set[str]:
    """Return the code in the text, and the pages that it links to; each page links to its translation only."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    links = set(re.findall(r"\]\(([^)]+)\)", prose))
    return {
        *re.findall(r"`([^`]+)`", prose),
        *(link for link in links if "README" not in link and "tutorial" not in link),
    }


@pytest.mark.parametrize(("english", "korean"), PAIRS)
def test_a_translation_has_the_same_commands_numbers_and_links(english: str, korean: str) -> None:
    original, translation = read(english), read(korean)
    assert blocks(original) == blocks(translation)
    assert numbers_of_tables(original) == numbers_of_tables(translation)
    assert decimals(original) == decimals(translation)
    assert mentioned(original) == mentioned(translation)


@pytest.mark.parametrize(("english", "korean"), PAIRS)
def test_a_page_and_its_translation_link_to_each_other_at_their_beginning(english: str, korean: str) -> None:
    for one, other in ((english, korean), (korean, english)):
        assert f"]({Path(other).name})" in "".join(read(one).splitlines(keepends=True)[:4])
