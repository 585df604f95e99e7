"""`crosstune compare`: a local page on which the systems of finished runs answer the same question side by side."""

import importlib.util
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError
from crosstune.serve.guard import Guard
from crosstune.serve.models_to_compare import Answer, Panel, Question, contestants_of, questions_of
from crosstune.terminal import note

_OWN_QUESTION = "your own"
_MAX_NEW_TOKENS = 256
# Nothing is uploaded, and no file of this machine is served but the page's own.
_CLOSED = ("/gradio_api/upload", "/upload", "/gradio_api/file", "/file", "/gradio_api/proxy", "/proxy")


def compare(folders: Sequence[Path], port: int, models_in_memory: int) -> None:
    """Open the page on this machine alone; it ends with Ctrl-C.

    Raises:
        BadInputError: when gradio is not installed, or a folder holds no trained run.
    """
    if importlib.util.find_spec("gradio") is None:
        raise BadInputError("the comparison page needs gradio, which is not installed: pip install 'crosstune[web]'")
    contestants = contestants_of(folders)
    page = build_page(Panel(contestants, models_in_memory), questions_of(contestants[0]))
    note(f"{len(contestants)} systems answer on http://127.0.0.1:{port} (Ctrl-C ends)")
    # Imported here: an extra.
    from starlette.middleware import Middleware

    guard = Middleware(Guard, routes=(), closed=_CLOSED)
    page.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        quiet=True,
        app_kwargs={"middleware": [guard]},
        **_look(),
    )


def build_page(panel: Panel, questions: dict[str, list[Question]]) -> Any:
    """Return the gradio page: a question, its presets, and an answer box per contestant."""
    # Read when gradio is imported: it counts its users otherwise.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio

    draw = _draw(questions)
    first = next(iter(questions), _OWN_QUESTION)
    begin = draw(first)
    with gradio.Blocks(title="crosstune compare", analytics_enabled=False) as page:
        gradio.Markdown("## The same question to every system")
        with gradio.Row():
            preset = gradio.Dropdown([*questions, _OWN_QUESTION], value=first, label="question")
            another = gradio.Button("Another item", scale=0)
        instruction = gradio.Textbox(begin[0], label="instruction", lines=1)
        text = gradio.Textbox(begin[1], label="input", lines=3)
        reference = gradio.Textbox(begin[2], label="reference", interactive=False, visible=bool(questions))
        max_new_tokens = gradio.Slider(8, 1024, value=_MAX_NEW_TOKENS, step=8, label="longest answer, tokens")
        ask = gradio.Button("Ask all", variant="primary")
        boxes = []
        with gradio.Row():
            for contestant in panel.contestants:
                with gradio.Column(min_width=200):
                    answer = gradio.Textbox(label=contestant.label, lines=4, interactive=False)
                    boxes += [answer, gradio.Markdown()]
        for event in (preset.change, another.click):
            event(draw, [preset], [instruction, text, reference], api_name=False)
        # Nothing is sent to a system but what stands in the boxes.
        asked = [instruction, text, max_new_tokens]
        ask.click(asking(panel, questions), asked, boxes, api_name="ask", concurrency_limit=1)
    return page


def _draw(questions: dict[str, list[Question]]) -> Callable[[str], tuple[str, str, str]]:
    generator = random.Random(1)

    def draw(name: str) -> tuple[str, str, str]:
        if name not in questions:
            return "", "", ""
        question = generator.choice(questions[name])
        return question.instruction, question.text, question.reference

    return draw


def asking(panel: Panel, questions: dict[str, list[Question]]) -> Callable[[str, str, float], Any]:
    """Return what the page calls with a question: it yields what each contestant answers, and how that is judged."""
    known = {(one.instruction, one.text): one for items in questions.values() for one in items}

    def ask(instruction: str, text: str, max_new_tokens: float) -> Any:
        """Yield the answers as they come, so that the first is read while the last is written."""
        # Only an item of the run has a reference and languages; to own questions, an answer is held by form alone.
        question = known.get((instruction, text), Question(instruction, text, ""))
        shown = ["", ""] * len(panel.contestants)
        for place in range(len(panel.contestants)):
            shown[2 * place + 1] = "writes …"
            yield tuple(shown)
            answer = panel.answer(place, instruction, text, int(max_new_tokens))
            shown[2 * place : 2 * place + 2] = answer.text, _about(answer, question.failures(answer))
            yield tuple(shown)

    return ask


def _about(answer: Answer, failed: Sequence[str]) -> str:
    end = "stopped by itself" if answer.finished else "hit the limit"
    return " · ".join([f"{answer.num_tokens} tokens, {end}", *(f"**{name}**" for name in failed)])


def _look() -> dict[str, Any]:
    import gradio

    # The machine's own fonts: gradio's themes fetch theirs from elsewhere.
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return {"theme": gradio.themes.Base(**fonts)}
