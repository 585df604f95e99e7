"""`crosstune compare`: who is asked what, and the page asked through gradio's own client."""

import http.client
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from crosstune.errors import BadInputError
from crosstune.prompts.conversation import Turn
from crosstune.runs.files import read_jsonl
from crosstune.serve import playground as compare
from crosstune.serve.decoding import Decoding
from crosstune.serve.models_to_compare import CandidateAnswer, ModelPool, Question, candidates_of, questions_of
from crosstune.serve.playground import Seating
from crosstune.serve.votes import NO_CONVERSATION, Conversation, Shown
from tests.browser import Browser, browser, needs_browser
from tests.command_line import crosstune
from tests.served import free_port, served

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("quick_run")]


def test_a_candidate_answers_as_its_evaluation_did(quick_run: tuple[Path, str]) -> None:
    (candidate,) = [one for one in candidates_of([quick_run[0]]) if one.system == "continued"]
    assert candidate.label == "LLaMA (CPT)"
    questions = questions_of(candidate)
    assert list(questions) == [
        "NSMC, generated",
        "Ko → En, English instruction",
        "Ko → En, Korean instruction",
        "En → Ko, English instruction",
        "En → Ko, Korean instruction",
    ]
    pool = ModelPool([candidate], models_in_memory=1)
    rows = read_jsonl(quick_run[0] / "systems/continued/evaluation/outputs.jsonl")
    for name, task in (("En → Ko, Korean instruction", "translate_en_ko_ko"), ("NSMC, generated", "nsmc")):
        row = next(row for row in rows if row["task"] == task)
        question = questions[name][0]
        *_, answer = pool.stream(0, (question.instruction, question.text), Decoding(16))
        assert (answer.text, answer.finished) == (row["output"].strip(), row["finished"])
        assert question.reference == row["reference"]


def test_models_leave_memory_when_there_is_room_for_fewer(quick_run: tuple[Path, str]) -> None:
    pool = ModelPool(candidates_of([quick_run[0]])[:3], models_in_memory=2)
    for place in (0, 1, 0, 2):
        list(pool.stream(place, ("Name a fruit.", ""), Decoding(2)))
    assert list(pool.loaded) == [0, 2]


def test_earlier_turns_are_asked_in_the_words_of_the_training(quick_run: tuple[Path, str]) -> None:
    pool = ModelPool(candidates_of([quick_run[0]])[:1], models_in_memory=1)
    *_, told = pool.stream(0, ("Name a fruit.", ""), Decoding(4), [Turn("system", " Be  brief.")])
    *_, same = pool.stream(0, ("Name a fruit.", "Be brief."), Decoding(4))
    assert told == same


def test_several_runs_name_themselves(quick_run: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(quick_run[0], tmp_path / "second", ignore=shutil.ignore_patterns(".lock"))
    labels = [one.label for one in candidates_of([quick_run[0], tmp_path / "second"])]
    # Two runs of one recipe: by their folders.
    assert len({*labels}) == 10 and labels[0] == f"{quick_run[0]}: llama"


def test_a_folder_that_is_no_run_and_a_missing_library_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = crosstune("compare", str(tmp_path))
    assert done.returncode == 2 and "has no recipe.yaml. Give a folder made by `crosstune run`" in done.stderr
    monkeypatch.setattr(compare.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=r"pip install 'crosstune\[web\]'"):
        compare.compare([tmp_path], 7860, 1, None)


def test_answers_to_a_runs_items_are_judged_as_in_evaluation_and_others_by_form() -> None:
    question = Question("Translate this into Korean.", "I go home.", "나는 집에 간다.", "en", "ko")

    class Wrong:
        candidates = ("ours", "base")

        def stream(self, place: int, *_: object) -> Iterator[CandidateAnswer]:
            yield CandidateAnswer("나", 0, False)
            yield (CandidateAnswer("나는 집에 간다.", 7, True), CandidateAnswer("I go home.\nI am.", 6, False))[place]

    ask = compare.asking(Wrong(), {"En → Ko": [question]})  # type: ignore[arg-type]
    *_, (seen, *shown) = ask(question.instruction, question.text, 8, Seating((0, 1), is_blind=True))
    assert seen == Shown(question.instruction, question.text, (shown[0], shown[2]), Decoding(8), is_blind=True)
    assert shown[1] == "7 tokens, stopped by itself"
    assert shown[3] == "6 tokens, hit the limit · **source copied** · **wrong language** · **no stop** · **extra text**"
    *_, (seen, *shown) = ask("Say something.", "", 8, Seating((1, 0), decoding=Decoding(256, 0.5, 3, 0.9)))
    assert seen.answers == ("나는 집에 간다.", "I go home.\nI am.") and seen.decoding == Decoding(8, 0.5, 3, 0.9)
    shown = [*shown[2:], *shown[:2]]
    assert (shown[1], shown[3]) == ("7 tokens, stopped by itself", "6 tokens, hit the limit · **no stop**")


def test_a_conversation_is_sent_along_to_each_system_with_its_own_answers_and_is_no_preference(tmp_path: Path) -> None:
    class Parrot:
        candidates = ("ours", "base")

        def stream(
            self, place: int, asked: tuple[str, str], _: Decoding, earlier: list[Turn]
        ) -> Iterator[CandidateAnswer]:
            sent.append((place, asked[0], [(turn.role, turn.content) for turn in earlier]))
            yield CandidateAnswer(f"I like all kinds of apples {place}.", 8, True)

    sent: list[Any] = []
    item = Question("One?", "I go home.", "나는 집에 간다.", "en", "ko")
    ask = compare.asking(Parrot(), {"open": [item]})  # type: ignore[arg-type]
    seating, shown = Seating((0, 1)), None
    for question in ("One?", "Two?", "Three?"):
        conversation, earlier = compare.converse("Be brief.", True, seating, shown)
        seating = Seating((1, 0), conversation=conversation)
        *_, (shown, *_boxes) = ask(question, "", 8, seating)
    assert earlier == "One?\nTwo?"
    said = [
        ("system", "Be brief."),
        ("user", "One?"),
        ("assistant", "I like all kinds of apples 1."),
        ("user", "Two?"),
        ("assistant", "I like all kinds of apples 1."),
    ]
    assert sent[-2] == (1, "Three?", said)
    vote = compare.voting(["ours", "base"], tmp_path / "votes.jsonl", lambda **_: None)
    assert vote(0, seating, shown)[1].startswith("Not saved: each system was sent answers of its own.")
    # Stopped before it was answered, a question is not part of what is sent next.
    assert compare.converse("", True, seating, None) == (Conversation("", conversation.earlier), "One?\nTwo?")
    assert compare.converse(" ", False, seating, shown) == (NO_CONVERSATION, "")
    # Asked otherwise than in evaluation, an item is none of the evaluation's.
    about = [
        [*ask("One?", "I go home.", 8, Seating((0, 1), conversation=one))][-1][2]
        for one in (NO_CONVERSATION, conversation)
    ]
    assert "wrong language" in about[0] and "wrong language" not in about[1]


def test_a_system_that_was_not_asked_is_neither_preferred_nor_passed_over(tmp_path: Path) -> None:
    class Damaged:
        candidates = ("ours", "base", "third")

        def stream(self, place: int, *_: object) -> Iterator[CandidateAnswer]:
            yield CandidateAnswer("(not asked: gone)" if place == 1 else f"yes {place}", place, True, place != 1)

    *_, (shown, *boxes) = compare.asking(Damaged(), {})("Well?", "", 8, Seating((0, 1, 2)))  # type: ignore[arg-type]
    assert boxes[2:4] == ["(not asked: gone)", ""]
    file = tmp_path / "votes.jsonl"
    vote = compare.voting(list(Damaged.candidates), file, lambda **_: None)
    assert vote(1, Seating((0, 1, 2)), shown)[1] == "Not saved: this system was not asked."
    voted, said, *_ = vote(0, Seating((0, 1, 2)), shown)
    assert said == f"You chose ours. 1 preference saved to {file}."
    # The names are shown now.
    assert vote(2, Seating((0, 1, 2)), voted)[1].startswith("Not saved: these answers have your vote already.")
    assert [row["rejected_system"] for row in read_jsonl(file)] == ["third"]


@pytest.fixture(scope="module")
def votes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("votes") / "preferences.jsonl"


@pytest.fixture(scope="module")
def address(quick_run: tuple[Path, str], votes: Path) -> Iterator[str]:
    with served("compare", str(quick_run[0]), "--votes", str(votes)) as address:
        yield address


def test_the_page_asks_every_system(address: str, quick_run: tuple[Path, str]) -> None:
    gradio_client = pytest.importorskip("gradio_client", reason="the extra `web` is not installed")
    client = gradio_client.Client(address, verbose=False)
    shown = client.predict("Name a fruit.", "<b>what</b>", 8, api_name="/ask")
    pool = ModelPool(candidates_of([quick_run[0]]), models_in_memory=8)
    asked = "Name a fruit.", "<b>what</b>"
    answers = [list(pool.stream(place, asked, Decoding(8)))[-1] for place in range(5)]
    assert list(shown[0::2]) == [answer.text for answer in answers]
    written = [int(about.partition(" ")[0]) for about in shown[1::2]]
    assert written == [answer.num_tokens for answer in answers]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"Host": "evil.example:PORT"}, 421),
        ("GET", "/", {"Host": "127.0.0.1.evil.example"}, 421),
        ("POST", "/gradio_api/queue/join", {"Host": "localhost.evil.example"}, 421),
        ("GET", "/", {"Origin": "http://evil.example"}, 403),
        ("GET", "/config", {"Origin": "null"}, 403),
        ("POST", "/gradio_api/queue/join", {"Origin": "http://127.0.0.1:9"}, 403),
        ("POST", "/gradio_api/queue/join", {"Content-Length": "9000000"}, 413),
        ("POST", "/gradio_api/queue/join", {"Transfer-Encoding": "chunked"}, 413),
        ("POST", "/gradio_api/upload", {}, 404),
        ("POST", "/gradio_api/%75pload", {}, 404),
        ("POST", "/gradio_api/process_recording", {}, 404),
        ("GET", "/gradio_api/file=RUN/recipe.yaml", {}, 404),
        ("GET", "/gradio_api/file/RUN/recipe.yaml", {}, 404),
        ("GET", "/gradio_api/proxy=http://127.0.0.1:PORT/", {}, 404),
        ("GET", "/monitoring/summary", {}, 404),
        ("GET", "/static/../../../../../../../../etc/passwd", {}, 404),
        ("GET", "/assets/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd", {}, 404),
        ("GET", "/", {"Host": "localhost:PORT", "Origin": "http://localhost:PORT"}, 200),
    ],
)
def test_the_guard_lets_only_the_page_itself_ask_and_only_for_what_it_needs(
    address: str, quick_run: tuple[Path, str], method: str, path: str, headers: dict[str, str], status: int
) -> None:
    port = str(urlsplit(address).port)
    path = path.replace("RUN", str(quick_run[0])).replace("PORT", port)
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value.replace("PORT", port))
    connection.endheaders()
    if "Transfer-Encoding" in headers:
        for _ in range(9):
            connection.send(b"100000\r\n" + b" " * 2**20 + b"\r\n")
    reply = connection.getresponse()
    body = reply.read().decode()
    # By the guard itself, before gradio sees it.
    assert reply.status == status and ('"invalid_request_error"' in body) == (status != 200)
    connection.close()


def button(name: str) -> str:
    """Return what finds a button by its words."""
    return f"[...document.querySelectorAll('button')].find((one) => one.textContent.trim() === '{name}')"


def open_page(tab: Browser, address: str) -> None:
    """Open the page and wait until it answers: its buttons are drawn before somebody listens to them."""
    tab.open(address)
    pressed = f"((one) => one && one.click())({button('Save the vote')})"
    tab.wait_for(f"{pressed}, document.body.innerText.includes('Not saved: let all systems answer first.')")


@needs_browser
def test_in_a_browser_the_answers_stand_side_by_side_and_nothing_is_asked_of_others(
    address: str, quick_run: tuple[Path, str], tmp_path: Path
) -> None:
    told = "[...document.querySelectorAll('p')].filter((one) => / tokens, (stopped|hit)/.test(one.textContent))"
    candidates = candidates_of([quick_run[0]])
    with browser(tmp_path / "profile") as tab:
        open_page(tab, address)
        tab.click(button("Ask all"))
        tab.wait_for(f"{told}.length === {len(candidates)}")
        boxes = dict(
            tab.evaluate(
                "[...document.querySelectorAll('label')].map((one) => [one.innerText.trim().split('\\n')[0], "
                "one.querySelector('textarea, input:not([type=radio])')]).filter(([name, box]) => box)"
                ".map(([name, box]) => [name, box.value])"
            )
        )
        # The boxes' names: a box grows with its answer, and pushes what is told of it down. The vote has them, too.
        tops = dict(
            tab.evaluate(
                "[...document.querySelectorAll('label')].filter((one) => !one.querySelector('[type=radio]'))"
                ".map((one) => [one.innerText.trim().split('\\n')[0], "
                "one.getBoundingClientRect().top])"
            )
        )
        complaints, requests = tab.complaints, tab.requests
    assert complaints == [] and all(one.startswith(f"{address}/") for one in requests)
    assert len({tops[candidate.label] for candidate in candidates}) == 1
    asked = [question for question in questions_of(candidates[0])["NSMC, generated"] if question.text == boxes["input"]]
    assert asked and asked[0].instruction == boxes["instruction"] and asked[0].reference == boxes["reference"]
    pool = ModelPool(candidates, models_in_memory=8)
    for place, candidate in enumerate(candidates):
        *_, answer = pool.stream(place, (boxes["instruction"], boxes["input"]), Decoding(256))
        assert boxes[candidate.label] == answer.text


@needs_browser
def test_a_blind_vote_is_saved_and_then_shows_who_wrote_what(
    address: str, votes: Path, quick_run: tuple[Path, str], tmp_path: Path
) -> None:
    labels = [candidate.label for candidate in candidates_of([quick_run[0]])]
    named = "[...document.querySelectorAll('label')].map((one) => one.innerText.trim().split('\\n')[0])"
    told = "[...document.querySelectorAll('p')].filter((one) => / tokens, (stopped|hit)/.test(one.textContent)).length"
    with browser(tmp_path / "profile") as tab:
        open_page(tab, address)
        blind = "[...document.querySelectorAll('label')].find((one) => one.innerText.includes('blind'))"
        tab.click(f"{blind}.querySelector('input')")
        tab.click(button("Ask all"))
        tab.wait_for(f"{told} === {len(labels)}")
        tab.wait_for(f"['A', 'E'].every((name) => {named}.includes(name))")
        assert not set(labels) & set(tab.evaluate(named))
        tab.click(button("Save the vote"))
        tab.wait_for("document.body.innerText.includes('Not saved: select the best answer first.')")
        tab.click("document.querySelector('input[type=radio]')")
        tab.wait_for("document.querySelector('input[type=radio]').checked")
        tab.click(button("Save the vote"))
        tab.wait_for("document.body.innerText.includes(' saved to ')")
        tab.wait_for(f"{json.dumps(labels)}.every((name) => {named}.includes(name))")
        assert tab.complaints == []
    rows = read_jsonl(votes)
    assert rows and all(row["blind"] and row["chosen"] != row["rejected"] for row in rows)
    assert {row["chosen_system"] for row in rows} <= set(labels)


@needs_browser
@pytest.mark.filterwarnings("ignore::Warning:gradio")  # of the pandas that it uses
def test_after_stop_no_box_says_that_its_system_writes(tmp_path: Path) -> None:
    class Endless:
        candidates = (SimpleNamespace(label="ours"), SimpleNamespace(label="base"))

        def stream(self, *_: object) -> Iterator[CandidateAnswer]:
            for number in range(1, 1000):
                time.sleep(0.05)
                yield CandidateAnswer("so " * number, number, False)

    page, port = compare.build_page(Endless(), {}, tmp_path / "votes.jsonl"), free_port()  # type: ignore[arg-type]
    page.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True)
    try:
        with browser(tmp_path / "profile") as tab:
            open_page(tab, f"http://127.0.0.1:{port}")
            tab.click(button("Ask all"))
            tab.wait_for("document.body.innerText.includes('writes …')")
            tab.wait_for("[...document.querySelectorAll('textarea')].some((one) => one.value.includes('so so'))")
            tab.click(button("Stop"))
            tab.wait_for("document.body.innerText.includes('stopped')")
            # Parts that were on their way have arrived.
            time.sleep(0.5)
            assert not tab.evaluate("document.body.innerText.includes('writes …')")
    finally:
        page.close()
