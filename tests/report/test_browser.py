"""The page in a real browser, as it is written: with its own policy, which lets no other script run."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstune.report import stage
from tests.browser import Browser, browser, needs_browser
from tests.report.conftest import CELLS, SYSTEMS, make_recipe, write_run

pytestmark = needs_browser


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    recipe = make_recipe(tmp_path_factory.mktemp("runs"))
    run = write_run(recipe)
    stage.run(recipe, run)
    return (run.report / "report.html").as_uri()


@pytest.fixture
def page(tab: Browser, address: str) -> Browser:
    tab.open(address)
    return tab


def change(page: Browser, name: str, value: str) -> None:
    """Set one of the explorer's filters, as a person does."""
    page.evaluate(
        f"(() => {{ const box = document.getElementById('{name}'); box.value = {value!r}; "
        "box.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def found(page: Browser) -> tuple[str, int]:
    text = page.evaluate("document.getElementById('found').textContent")
    return str(text), int(page.evaluate("document.querySelectorAll('article').length"))


def shown(page: Browser) -> str:
    return str(page.evaluate("document.getElementById('items').innerHTML"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_its_window_asks_for_nothing_and_complains_of_nothing(
    tab: Browser, address: str, width: int, scheme: str
) -> None:
    tab.open(address, width, scheme)
    assert tab.evaluate("document.title") == "The paper in miniature: crosstune report"
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper.strip("rgb()").split(","))) < 200) == (scheme == "dark")
    assert found(tab) == ("40 items, 4 shown", 4)
    assert tab.requests == [address]
    assert tab.complaints == []


def test_a_request_and_an_error_of_a_page_would_be_seen(tab: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<img src='http://127.0.0.1:9/picture.png'><script>missing()</script>", encoding="utf-8")
    tab.open(page.as_uri())
    assert tab.requests == [page.as_uri(), "http://127.0.0.1:9/picture.png"]
    assert any("missing is not defined" in complaint for complaint in tab.complaints)


def test_hostile_answers_are_shown_and_do_nothing(page: Browser) -> None:
    for _ in range(9):
        page.click("document.getElementById('more')")
    assert found(page) == ("40 items, 40 shown", 40)
    items = shown(page)
    assert "&lt;script&gt;document.title = 'broken'&lt;/script&gt;&lt;img src=x" in items
    assert "<script" not in items and "<img" not in items
    assert page.evaluate("document.title") == "The paper in miniature: crosstune report"
    long = "[...document.querySelectorAll('.answer .text')].find((text) => text.textContent.startsWith('아주 긴 답'))"
    assert page.evaluate(f"{long}.textContent.length") > 2000
    assert page.evaluate(f"{long}.getBoundingClientRect().height") < 300
    backwards = "[...document.querySelectorAll('.answer .text')].find((text) => text.textContent.includes('sdrawkcab'))"
    assert page.evaluate(f"getComputedStyle({backwards}).unicodeBidi") == "isolate"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints == [] and len(page.requests) == 1


def test_filters_search_and_more_work(page: Browser) -> None:
    change(page, "task", "movies")
    assert found(page) == ("40 items, 4 shown", 4)
    change(page, "judged", "llama")
    change(page, "verdict", "right")
    assert found(page) == ("No item is like this.", 0)
    change(page, "verdict", "wrong")
    assert found(page) == ("40 items, 4 shown", 4)
    page.click("document.getElementById('more')")
    assert found(page) == ("40 items, 8 shown", 8)
    change(page, "search", "MOVIES-NOWHERE")
    assert found(page) == ("No item is like this.", 0)
    change(page, "search", "the TEACHER gave a")
    assert found(page) == ("40 items, 4 shown", 4)
    page.click("document.querySelector('#systems input')")
    assert shown(page).count('class="answer"') == 4 * 4
    for name in ("search", "verdict", "judged"):
        change(page, name, "")
    change(page, "failure", "no stop")
    assert found(page) == ("1 item, 1 shown", 1)
    change(page, "failure", "empty")
    assert found(page) == ("1 item, 1 shown", 1)
    change(page, "failure", "")
    assert found(page) == ("40 items, 4 shown", 4)


def test_right_and_wrong_can_be_asked_for_only_where_it_is_known(page: Browser) -> None:
    disabled = "document.getElementById('verdict').disabled"
    change(page, "task", "movies")
    assert not page.evaluate(disabled)
    change(page, "verdict", "right")
    change(page, "task", f"pairs_{CELLS[1]}")
    assert page.evaluate(disabled)
    assert found(page) == ("40 items, 4 shown", 4)


def test_answers_to_one_item_stand_side_by_side(page: Browser) -> None:
    tops = page.evaluate(
        "[...document.querySelector('article').querySelectorAll('.answer')].map((one) => one.offsetTop)"
    )
    assert len(tops) == len(SYSTEMS) and len(set(tops)) <= 2


def test_a_failure_is_marked_on_its_answer_and_drawn_in_the_bars(page: Browser) -> None:
    change(page, "failure", "wrong language")
    assert shown(page).count('<span class="limit">wrong language</span>') == len(SYSTEMS)
    bars = str(page.evaluate("document.getElementById('failures').innerHTML"))
    assert bars.count('class="chart bars"') == 1 + len(CELLS)
    assert bars.count("3 %</text>") == (1 + len(CELLS)) * len(SYSTEMS)


def test_a_number_leads_to_its_answers_beside_those_of_the_reference(page: Browser) -> None:
    link = "document.querySelector('a.behind[data-task=movies][data-system=bilingual]')"
    assert page.evaluate(f"{link}.textContent.trim()")
    page.click(link)
    assert page.evaluate("[...document.querySelectorAll('#task, #left, #right')].map((one) => one.value)") == [
        "movies",
        "llama",
        "bilingual",
    ]
    heads = "[...document.querySelector('article').querySelectorAll('.who')].map((one) => one.textContent)"
    assert [head.split(" ✓")[0].split(" ✗")[0] for head in page.evaluate(heads)] == [
        "LLaMA (base)",
        "LLaMA (bilingual)",
    ]
    assert page.evaluate("document.activeElement.id") == "task" and page.complaints == []
    change(page, "left", "")
    assert page.evaluate("document.querySelector('article').querySelectorAll('.answer').length") == len(SYSTEMS)


def test_words_that_only_one_of_two_systems_wrote_are_marked(page: Browser) -> None:
    page.evaluate(
        "(() => { const data = JSON.parse(document.getElementById('outputs-data').textContent); "
        "window.expected = data.items.filter((one) => one.task === 'movies')"
        ".filter((one) => one.answers.llama.text.trim() !== one.answers.bilingual.text.trim()).length; })()"
    )
    change(page, "task", "movies")
    change(page, "left", "llama")
    change(page, "right", "bilingual")
    assert found(page)[0].startswith("40 items")
    page.click("document.getElementById('differing')")
    differing = int(page.evaluate("window.expected"))
    assert found(page)[0].startswith(f"{differing} item" if differing else "No item")
    change(page, "right", "llama")
    assert found(page)[0].startswith("Choose two different systems to compare.")


def test_the_keyboard_reads_values_off_a_curve(page: Browser) -> None:
    chart = "document.querySelector('svg[data-frame]')"
    page.evaluate(f"{chart}.focus()")
    press = f"{chart}.dispatchEvent(new KeyboardEvent('keydown', {{key: '%s', bubbles: true}}))"
    page.evaluate(press % "End")
    box = "document.querySelector('.reading:not([hidden])')"
    line = page.evaluate(
        f"[...{chart}.querySelectorAll('g[data-points]')].map((one) => [one.dataset.label, one.dataset.points])"
    )
    label, points = max(line, key=lambda one: float(one[1].split()[-1].split(",")[0]))
    step, loss = map(float, points.split()[-1].split(","))
    told = page.evaluate(f"{box}.innerText")
    assert f"step {step:g}" in told and f"{label}: {float(f'{loss:.4g}'):g}" in told
    assert page.evaluate(f"{box}.getBoundingClientRect().right <= innerWidth && {box}.offsetTop > 0")
    page.evaluate(press % "Escape")
    assert page.evaluate(f"{box} === null") and page.complaints == []


def test_a_table_is_downloaded_with_all_digits(page: Browser) -> None:
    page.evaluate(
        "URL.createObjectURL = (blob) => { window.saved = blob.text(); return '#'; }; "
        "HTMLAnchorElement.prototype.click = function () { window.file = this.download; };"
        "document.querySelector('#results .csv').click()"
    )
    assert page.evaluate("window.file") == "table_3.csv"
    header, first, *_ = page.evaluate("window.saved").lstrip("\ufeff").splitlines()
    assert header.startswith('system,"HellaSwag, acc","HellaSwag, acc, low","HellaSwag, acc, high"')
    assert first.split(",")[0] == "LLaMA (base)" and first.count(",") == 9


@pytest.mark.parametrize("width", [1440, 390])
def test_a_table_wider_than_the_page_says_so_and_takes_the_keyboard(tab: Browser, address: str, width: int) -> None:
    tab.open(address, width)
    tables = tab.evaluate(
        "[...document.querySelectorAll('.scroll')].map((one) => [one.scrollWidth > one.clientWidth + 1, "
        "!one.previousElementSibling.hidden, one.tabIndex === 0, one.getAttribute('role') === 'region'])"
    )
    assert all(len({*facts}) == 1 for facts in tables)
    assert any(facts[0] for facts in tables) or width > 390
    assert not all(facts[0] for facts in tables)
    shadows = tab.evaluate("getComputedStyle(document.querySelector('.scroll')).backgroundAttachment")
    assert shadows == "local, local, scroll, scroll"


def test_the_page_prints(page: Browser) -> None:
    printed = base64.b64decode(page.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
    assert printed.startswith(b"%PDF") and printed.count(b"/Type /Page\n") > 3


def test_on_paper_no_table_is_wider_than_the_page_which_would_make_all_text_smaller(page: Browser) -> None:
    page.call("Emulation.setEmulatedMedia", media="print")
    page.call("Emulation.setDeviceMetricsOverride", width=720, height=900, deviceScaleFactor=1, mobile=False)
    wide = "[...document.querySelectorAll('table')].filter((one) => one.getBoundingClientRect().right > innerWidth)"
    assert page.evaluate(f"{wide}.map((one) => one.getAttribute('aria-label'))") == []
    assert page.evaluate("[...document.querySelectorAll('table')].every((one) => one.getAttribute('aria-label'))")
    page.call("Emulation.setEmulatedMedia", media="")
