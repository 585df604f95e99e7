"""The pictures of the report: drawn from a run, at their widths, and each shown by a page."""

import runpy
import struct
from pathlib import Path

import pytest

from tests.browser import needs_browser

ROOT = Path(__file__).parent.parent
DRAW = runpy.run_path(str(ROOT / "docs" / "draw_report.py"))


def width_of(picture: Path) -> int:
    """Return the width that a PNG file states."""
    return int(struct.unpack(">I", picture.read_bytes()[16:20])[0])


def test_each_committed_picture_has_its_width_and_a_page_that_shows_it() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    widths = {name: width for name, width, *_ in DRAW["VIEWS"]}
    assert {path.name: width_of(path) for path in (ROOT / "docs" / "pictures").iterdir()} == widths
    assert all(f"pictures/{name})" in text for name in widths)


@needs_browser
@pytest.mark.slow
@pytest.mark.xdist_group("quick_run")
def test_the_pictures_are_drawn_from_a_run(quick_run: tuple[Path, str], tmp_path: Path) -> None:
    DRAW["main"](quick_run[0], tmp_path)
    assert {path.name: width_of(path) for path in tmp_path.iterdir()} == {
        name: width for name, width, *_ in DRAW["VIEWS"]
    }
