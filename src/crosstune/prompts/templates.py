"""Versioned prompt templates, and how a translation is asked for, shared by training, evaluation and chat."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from crosstune.languages.registry import language_name, split_direction
from crosstune.prompts.translation_instructions import BANK
from crosstune.prompts.wordings import Wordings


@dataclass(frozen=True)
class Template:
    """Text around an instruction and its input.

    ``completion_prefix`` starts the completion, so that the prompt ends on a fixed text (``### Response:``) and prompt
    and completion can be tokenised apart. ``completion_suffix`` is what some chat templates put between answer and EOS.
    ``own_wordings`` are a recipe's translation instructions, by their language.
    """

    name: str
    with_input: str
    without_input: str
    completion_prefix: str
    completion_suffix: str = ""
    own_wordings: Mapping[str, Wordings] = field(default_factory=dict)

    def prompt(self, instruction: str, text: str = "") -> str:
        """Render the prompt of an instruction and its (possibly empty) input."""
        # str.replace, not str.format: instructions and inputs contain braces.
        if not text:
            return self.without_input.replace("{instruction}", instruction, 1)
        before, after = self.with_input.split("{input}", 1)
        return before.replace("{instruction}", instruction, 1) + text + after

    def completion(self, output: str) -> str:
        """Render the completion of an output; the EOS is training's business."""
        return self.completion_prefix + output + self.completion_suffix

    def output(self, completion: str) -> str:
        """Return the output of a completion that a model wrote."""
        return completion.removeprefix(self.completion_prefix).removesuffix(self.completion_suffix)

    def translation_instructions(
        self, direction: str, language: str, wordings: "WordingSet | tuple[str, ...]"
    ) -> tuple[str, ...]:
        """Return the instructions in a language that ask for a translation; see the function of this name."""
        return translation_instructions(direction, language, wordings, self.own_wordings)

    def chat_template(self) -> str:
        """Return this template in the form in which tokenizers carry one (Jinja), for any engine that serves chats.

        A user message is an instruction; its input stands behind it in the text, or apart under the key ``input``.
        https://huggingface.co/docs/transformers/chat_templating
        """
        template = _CHAT_TEMPLATE.replace("\n", "")
        for name in ("with_input", "without_input", "completion_prefix"):
            template = template.replace(f"<{name}>", _jinja(getattr(self, name)))
        return template


# Only users and the model speak: the templates have no place for a system message, and none was trained.
_CHAT_TEMPLATE = """\
{{ bos_token }}
{% for message in messages %}
{% if message['role'] == 'user' %}
{% if message['input'] %}{{ <with_input> }}{% else %}{{ <without_input> }}{% endif %}
{% elif message['role'] == 'assistant' %}
{{ <completion_prefix> + message['content'] }}{{ eos_token }}
{% else %}
{{ raise_exception('this model knows the roles user and assistant: say in the user message what the '
 + message['role'] + ' message says') }}
{% endif %}
{% endfor %}
"""


def _jinja(template: str) -> str:
    """Return a template as a Jinja expression: its constant parts as string literals, joined to the message's texts."""
    parts = re.split(r"(\{instruction\}|\{input\})", template)
    names = {"{instruction}": "message['content']", "{input}": "message['input']"}
    # A JSON string is a Jinja string: Jinja undoes the same escapes.
    return " + ".join(names.get(part) or json.dumps(part, ensure_ascii=False) for part in parts if part) or "''"


_ALPACA_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
_ALPACA_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)
_KULLM_WITH_INPUT = (
    "아래는 작업을 설명하는 명령어와 추가 컨텍스트를 제공하는 입력이 짝을 이루는 예제입니다. "
    "요청을 적절히 완료하는 응답을 작성하세요.\n\n"
    "### 명령어:\n{instruction}\n\n### 입력:\n{input}\n\n### 응답:\n"
)
_KULLM_WITHOUT_INPUT = (
    "아래는 작업을 설명하는 명령어입니다. 요청을 적절히 완료하는 응답을 작성하세요.\n\n"
    "### 명령어:\n{instruction}\n\n### 응답:\n"
)

TEMPLATES = {
    template.name: template
    for template in (
        # The paper, section 3.2 and 5.3. It does not say where the completion starts; we let it start with the newline.
        Template(
            name="paper-v1",
            with_input="### Instruction:\n{instruction}\n{input}\n### Response:",
            without_input="### Instruction:\n{instruction}\n### Response:",
            completion_prefix="\n",
        ),
        # tatsu-lab/stanford_alpaca train.py PROMPT_DICT: no newline between "### Response:" and the answer.
        Template("alpaca", _ALPACA_WITH_INPUT, _ALPACA_WITHOUT_INPUT, completion_prefix=""),
        # nlpai-lab/KULLM templates/kullm.json.
        Template("kullm", _KULLM_WITH_INPUT, _KULLM_WITHOUT_INPUT, completion_prefix=""),
    )
}

WordingSet = Literal["paper", "train", "held_out"]


def translation_instructions(
    direction: str,
    instruction_language: str,
    wordings: WordingSet | tuple[str, ...],
    own: Mapping[str, Wordings] | None = None,
) -> tuple[str, ...]:
    """Return the instructions that ask for a translation.

    ``paper`` is one wording, the first of the training ones; ``train`` is all of those; ``held_out`` is never trained
    on and measures robustness to unseen wording; a tuple is asked as it is. ``own`` are a
    recipe's wordings; they go before the bank's.

    Raises:
        ValueError: for a language that nothing asks in, a direction that is none, or wordings that are not there.
    """
    bank = {**BANK, **(own or {})}
    found = bank.get(instruction_language)
    if found is None:
        raise ValueError(
            f"no translation instruction for direction {direction!r} in language {instruction_language!r}: there are "
            f"some in {' and '.join(bank)}. A recipe brings its own under data.translation_instructions"
        )
    source, target = (language_name(code, instruction_language) for code in split_direction(direction))
    named = {"paper": found.train[:1], "train": found.train, "held_out": found.held_out}
    templates = named[wordings] if isinstance(wordings, str) else wordings
    if not templates:
        raise ValueError(
            f"no held-out translation instruction in language {instruction_language!r}: give some in "
            f"data.translation_instructions.{instruction_language}.held_out"
        )
    return tuple(template.replace("{source}", source).replace("{target}", target) for template in templates)
