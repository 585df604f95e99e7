"""The page in a real browser, where one is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from crosstune.artifacts import RunFolder
from crosstune.recipe import Recipe
from crosstune.report import stage

from .conftest import CELLS, SYSTEMS

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
QUIET = ("--disable-background-networking", "--disable-component-update")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def document_after(page: Path, script: str, profile: Path) -> str:
    """Return the document after the page's script and then ours have run; errors are written into it."""
    text = page.read_text(encoding="utf-8")
    # Our own script is not the one that the policy allows.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    catcher = "<script>onerror = (message) => { document.title = `error: ${message}`; };</script>"
    text = text.replace("<head>", f"<head>{catcher}").replace("</body>", f"<script>{script}</script></body>")
    changed = page.with_name("changed.html")
    changed.write_text(text, encoding="utf-8")
    command = [str(BROWSER), *FLAGS, *QUIET, f"--user-data-dir={profile}", "--dump-dom", changed.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def items_of(document: str) -> str:
    found = re.search(r'<div id="items">(.*?)<button id="more"', document, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def page(recipe: Recipe, run: RunFolder) -> Path:
    stage.run(recipe, run)
    return run.report / "report.html"


def test_hostile_answers_are_shown_and_do_nothing(page: Path, tmp_path: Path) -> None:
    document = document_after(page, "", tmp_path / "profile")
    assert "<title>The paper in miniature: crosstune report</title>" in document
    shown = items_of(document)
    assert "&lt;script&gt;document.title = 'broken'&lt;/script&gt;&lt;img src=x" in shown
    assert "<script" not in shown and "<img" not in shown
    assert shown.count("<article") == 4


def test_filters_search_and_more_work(page: Path, tmp_path: Path) -> None:
    script = """
        const byId = (id) => document.getElementById(id);
        const change = (id, value) => {
          byId(id).value = value;
          byId(id).dispatchEvent(new Event("input", {bubbles: true}));
        };
        const seen = [];
        const look = () => seen.push(`${byId("found").textContent} ${document.querySelectorAll("article").length}`);
        change("task", "movies"); look();
        change("judged", "llama"); change("verdict", "right"); look();
        change("verdict", "wrong"); look();
        byId("more").click(); look();
        change("search", "MOVIES-NOWHERE"); look();
        change("search", "the TEACHER gave a"); look();
        document.querySelector("#systems input").click(); look();
        change("search", ""); change("verdict", ""); change("judged", "");
        change("failure", "no stop"); look();
        change("failure", "empty"); look();
        change("failure", ""); look();
        document.title = seen.join(" | ");
    """
    document = document_after(page, script, tmp_path / "profile")
    title = re.search(r"<title>(.*?)</title>", document)
    assert title is not None
    assert title[1].split(" | ") == [
        "40 items, 4 shown 4",
        "0 items, 0 shown 0",
        "40 items, 4 shown 4",
        "40 items, 8 shown 8",
        "0 items, 0 shown 0",
        "40 items, 4 shown 4",
        "40 items, 4 shown 4",
        "1 items, 1 shown 1",
        "1 items, 1 shown 1",
        "40 items, 4 shown 4",
    ]
    assert items_of(document).count('class="answer"') == 4 * 4


def test_a_failure_is_marked_on_its_answer_and_drawn_in_the_bars(page: Path, tmp_path: Path) -> None:
    script = """
        document.getElementById("failure").value = "wrong language";
        document.getElementById("filters").dispatchEvent(new Event("input"));
    """
    document = document_after(page, script, tmp_path / "profile")
    assert items_of(document).count('<span class="limit">wrong language</span>') == len(SYSTEMS)
    section = re.search(r'<section id="failures">(.*?)</section>', document, re.DOTALL)
    assert section is not None
    assert section[1].count('class="chart bars"') == 1 + len(CELLS)
    assert section[1].count("3 %</text>") == (1 + len(CELLS)) * len(SYSTEMS)
