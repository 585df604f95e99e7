"""`crosstune compare`: a local page on which the systems of finished runs answer the same question side by side."""

import importlib.util
import os
import random
import string
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError
from crosstune.serve.decoding import Decoding
from crosstune.serve.guard import Guard
from crosstune.serve.models_to_compare import CandidateAnswer, ModelPool, Question, candidates_of, questions_of
from crosstune.serve.votes import NO_CONVERSATION, Conversation, Shown, save_vote
from crosstune.terminal.output import note

_OWN_QUESTION = "your own"
# What stands under a box: while a system writes, and after Stop.
_WRITES, _STOPPED = "writes …", "stopped"
_MAX_NEW_TOKENS = 256
_GREEDY = Decoding(_MAX_NEW_TOKENS)
_SECONDS_BETWEEN_PARTS = 0.1
# What the page and gradio's client ask for. All else that gradio serves (uploads, files of this machine, a proxy,
# monitoring, whatever its next version brings) is closed.
_ROUTES = (
    "/",
    "/assets",
    "/static",
    "/svelte",
    "/config",
    "/favicon.ico",
    "/manifest.json",
    "/robots.txt",
    "/theme.css",
    *(
        f"/gradio_api/{name}"
        for name in ("app_id", "cancel", "call", "heartbeat", "info", "queue", "reset", "startup-events", "theme.css")
    ),
)


def compare(folders: Sequence[Path], port: int, models_in_memory: int, votes: Path | None) -> None:
    """Open the page on this machine alone; it ends with Ctrl-C.

    ``votes`` is the file that preferences are appended to: without one, preferences.jsonl in the first run's folder.

    Raises:
        BadInputError: when gradio is not installed, a folder holds no trained run, or votes cannot be written.
    """
    if votes and (votes.is_dir() or not votes.parent.is_dir()):
        raise BadInputError(f"--votes {votes} is no file in a folder that is there: make its folder, or name another")
    if importlib.util.find_spec("gradio") is None:
        raise BadInputError("the comparison page needs gradio, which is not installed: pip install 'crosstune[web]'")
    candidates = candidates_of(folders)
    file = votes or folders[0] / "preferences.jsonl"
    page = build_page(ModelPool(candidates, models_in_memory), questions_of(candidates[0]), file)
    note(f"{len(candidates)} systems answer on http://127.0.0.1:{port} (Ctrl-C ends); votes go to {file}")
    # Imported here: an extra.
    from starlette.middleware import Middleware

    guard = Middleware(Guard, routes=_ROUTES)
    page.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        quiet=True,
        # Not its page for programs: only this page may ask.
        footer_links=["gradio", "settings"],
        app_kwargs={"middleware": [guard]},
        **_look(),
    )


def build_page(pool: ModelPool, questions: dict[str, list[Question]], votes: Path) -> Any:
    """Return the gradio page: a question, its presets, an answer box per candidate, and a vote."""
    # Read when gradio is imported: it counts its users otherwise, and keeps their questions and answers in the browser.
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_RUN_HISTORY"):
        os.environ.setdefault(name, "False")
    import gradio

    names = [one.label for one in pool.candidates]
    draw = _draw(questions)
    first = next(iter(questions), _OWN_QUESTION)
    begin = draw(first)
    with gradio.Blocks(title="crosstune compare", analytics_enabled=False) as page:
        gradio.Markdown("## Ask every system the same question")
        with gradio.Row():
            preset = gradio.Dropdown([*questions, _OWN_QUESTION], value=first, label="question")
            another = gradio.Button("Another item", scale=0)
        instruction = gradio.Textbox(begin[0], label="instruction", lines=1)
        text = gradio.Textbox(begin[1], label="input", lines=3)
        reference = gradio.Textbox(begin[2], label="reference", interactive=False, visible=bool(questions))
        max_new_tokens = gradio.Slider(
            8, 1024, value=_MAX_NEW_TOKENS, step=8, label="maximum length of an answer, tokens"
        )
        with gradio.Accordion("Sampling", open=False):
            temperature = gradio.Slider(0, 2, value=0, step=0.1, label="temperature (0: as in evaluation)")
            top_p = gradio.Slider(0.05, 1, value=1, step=0.05, label="top p")
            seed = gradio.Number(0, label="seed", precision=0)
        with gradio.Accordion("Conversation", open=False):
            system = gradio.Textbox("", label="system prompt (empty: as in evaluation)", lines=1)
            keeps = gradio.Checkbox(False, label="send each system the earlier questions and its own answers")
            earlier = gradio.Textbox(label="earlier questions", interactive=False)
            anew = gradio.Button("New conversation")
        blind = gradio.Checkbox(False, label="blind: hide the names of the systems and shuffle their answers")
        with gradio.Row():
            ask = gradio.Button("Ask all", variant="primary")
            stop = gradio.Button("Stop")
        boxes = []
        with gradio.Row():
            for name in names:
                with gradio.Column(min_width=200):
                    boxes += [gradio.Textbox(label=name, lines=4, interactive=False), gradio.Markdown()]
        with gradio.Row():
            best = gradio.Radio([(name, box) for box, name in enumerate(names)], label="best answer")
            vote = gradio.Button("Save the vote", scale=0)
        verdict = gradio.Markdown()
        # The order of the boxes, and what stands in them: a vote is on what was read, whatever is typed meanwhile.
        in_order = Seating(tuple(range(len(names))))
        seating, shown = gradio.State(in_order), gradio.State(None)
        for event in (preset.change, another.click):
            event(draw, [preset], [instruction, text, reference], api_name=False)
        conversation = gradio.State(NO_CONVERSATION)
        anew.click(lambda: (in_order, None, ""), None, [seating, shown, earlier], api_name=False)
        conversed = ask.click(converse, [system, keeps, seating, shown], [conversation, earlier], api_name=False)
        placed = conversed.then(
            _place(names, gradio.update),
            [blind, temperature, top_p, seed, conversation],
            [seating, shown, best, verdict, *boxes[0::2]],
            api_name=False,
        )
        # Nothing is sent to a system but what stands in the boxes.
        writing = placed.then(
            asking(pool, questions),
            [instruction, text, max_new_tokens, seating],
            [shown, *boxes],
            api_name="ask",
            concurrency_limit=1,
            show_progress="hidden",
        )
        # After the cancelling, or a part that is on its way would put "writes …" there again.
        stopping = stop.click(None, cancels=[writing], api_name=False)
        stopping.then(stopped, boxes[1::2], boxes[1::2], api_name=False)
        vote.click(
            voting(names, votes, gradio.update),
            [best, seating, shown],
            [shown, verdict, *boxes[0::2]],
            api_name=False,
        )
    return page


def _draw(questions: dict[str, list[Question]]) -> Callable[[str], tuple[str, str, str]]:
    generator = random.Random(1)

    def draw(name: str) -> tuple[str, str, str]:
        if name not in questions:
            return "", "", ""
        question = generator.choice(questions[name])
        return question.instruction, question.text, question.reference

    return draw


@dataclass(frozen=True)
class Seating:
    """Who answers in which box, and how.

    Attributes:
        order: the system of each box.
        decoding: how answers are drawn; their length is said with the question.
        conversation: what is sent before the question.
    """

    order: tuple[int, ...]
    is_blind: bool = False
    decoding: Decoding = _GREEDY
    conversation: Conversation = NO_CONVERSATION


def converse(system: str, keeps: bool, last: Seating, shown: Shown | None) -> tuple[Conversation, str]:
    """Return what is sent before the next question, and its questions as lines."""
    # Answers that were stopped are no part of it.
    so_far = (*shown.conversation.earlier, shown) if shown else last.conversation.earlier
    conversation = Conversation(system.strip(), so_far if keeps else ())
    return conversation, "\n".join(one.question for one in conversation.earlier)


def _place(names: Sequence[str], update: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """Return what puts the systems into the boxes: by their names, or by letters and in an order by chance."""

    def place(
        is_blind: bool, temperature: float, top_p: float, seed: float, conversation: Conversation
    ) -> tuple[Any, ...]:
        order = list(range(len(names)))
        if is_blind:
            random.shuffle(order)
        labels = [string.ascii_uppercase[box] if is_blind else names[system] for box, system in enumerate(order)]
        radio = update(choices=[(label, box) for box, label in enumerate(labels)], value=None)
        decoding = Decoding(_MAX_NEW_TOKENS, temperature, int(seed), top_p)
        seating = Seating(tuple(order), is_blind, decoding, conversation)
        return seating, None, radio, "", *(update(label=label, value="") for label in labels)

    return place


def asking(pool: ModelPool, questions: dict[str, list[Question]]) -> Callable[..., Iterator[tuple[Any, ...]]]:
    """Return what the page calls with a question: it yields what each candidate answers, and how that is judged."""
    known = {(one.instruction, one.text): one for items in questions.values() for one in items}

    def ask(instruction: str, text: str, max_new_tokens: float, seating: Seating) -> Iterator[tuple[Any, ...]]:
        """Yield the answers as they are written, system by system."""
        # Only an item of the run, asked as in evaluation, has a reference and languages: others are held by form alone.
        question = Question(instruction, text, "")
        if seating.conversation == NO_CONVERSATION:
            question = known.get((instruction, text), question)
        decoding, order = replace(seating.decoding, max_new_tokens=int(max_new_tokens)), seating.order
        boxes, answers = ["", ""] * len(order), list[str | None]([None] * len(order))
        for box, system in enumerate(order):
            boxes[2 * box + 1], since = _WRITES, float("-inf")
            yield None, *boxes
            answer = CandidateAnswer("", 0, False)
            for answer in pool.stream(system, (instruction, text), decoding, seating.conversation.before(system)):
                boxes[2 * box] = answer.text
                if time.monotonic() - since > _SECONDS_BETWEEN_PARTS:
                    since = time.monotonic()
                    yield None, *boxes
            answers[system] = answer.text if answer.was_asked else None
            about = _about(answer, question.failures(answer)) if answer.was_asked else ""
            boxes[2 * box : 2 * box + 2] = answer.text, about
            yield None, *boxes
        yield Shown(instruction, text, tuple(answers), decoding, seating.is_blind, seating.conversation), *boxes

    return ask


def stopped(*about: str) -> list[str]:
    """Return what stands under the boxes after Stop: of the system that was writing, that it was stopped."""
    return [_STOPPED if text == _WRITES else text for text in about]


def voting(names: Sequence[str], file: Path, update: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """Return what the page calls with a vote."""

    def not_saved(shown: Shown | None, why: str) -> tuple[Any, ...]:
        return shown, f"Not saved: {why}.", *(update() for _ in names)

    def vote(best: int | None, seating: Seating, shown: Shown | None) -> tuple[Any, ...]:
        """Save a vote, and show who wrote what; the names are known then, so a second vote would not be blind."""
        if shown is None:
            return not_saved(shown, "let all systems answer first")
        if shown.has_vote:
            return not_saved(shown, "these answers have your vote already. Click Ask all to vote again")
        if best is None:
            return not_saved(shown, "select the best answer first")
        if shown.conversation.earlier:
            # A preference is of two answers to one prompt.
            return not_saved(shown, "each system was sent answers of its own. Click New conversation to vote")
        system = seating.order[best]
        if shown.answers[system] is None:
            return not_saved(shown, "this system was not asked")
        try:
            count = save_vote(file, shown, names, system)
        except OSError as error:
            return not_saved(shown, str(error))
        same = "" if count else ": all answers are equal"
        revealed = (update(label=names[written]) for written in seating.order)
        return (
            replace(shown, has_vote=True),
            f"You chose {names[system]}. {count} preference{'' if count == 1 else 's'} saved to {file}{same}.",
            *revealed,
        )

    return vote


def _about(answer: CandidateAnswer, failed: Sequence[str]) -> str:
    end = "stopped by itself" if answer.finished else "hit the limit"
    return " · ".join(
        [
            f"{answer.num_tokens} token{'' if answer.num_tokens == 1 else 's'}, {end}",
            *(f"**{name}**" for name in failed),
        ]
    )


def _look() -> dict[str, Any]:
    import gradio

    # The machine's own fonts: gradio's themes fetch theirs from elsewhere.
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return {"theme": gradio.themes.Base(**fonts)}
