"""Versioned prompt templates, and how a translation is asked for, shared by training, evaluation and chat."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from crosstune.languages.registry import language_name, split_direction
from crosstune.prompts.controls import without_marks
from crosstune.prompts.conversation import LABELS, Turn, flattened
from crosstune.prompts.translation_instructions import TRANSLATION_INSTRUCTIONS
from crosstune.prompts.wordings import Wordings


@dataclass(frozen=True)
class Template:
    """Text around an instruction and its input.

    ``completion_prefix`` starts the completion, so that the prompt ends on a fixed text (``### Response:``) and prompt
    and completion can be tokenized apart. ``completion_suffix`` is what some chat templates put between answer and EOS.
    ``own_wordings`` are a recipe's translation instructions, by their language. ``controls`` are texts that the model
    reads as control tokens: rows that hold one are not learnt, for the template's own would look the same.
    """

    name: str
    with_input: str
    without_input: str
    completion_prefix: str
    completion_suffix: str = ""
    own_wordings: Mapping[str, Wordings] = field(default_factory=dict)
    controls: tuple[str, ...] = ()

    def prompt(self, instruction: str, text: str = "", earlier: Sequence[Turn] = ()) -> str:
        """Render the prompt of an instruction, its (possibly empty) input and the turns before it.

        What a client of a served model can send is one text: its first line is the instruction, the rest the input. So
        it is here, for rows whose instruction has several lines, too; else they would be learnt in a form that nobody
        can ask in.
        """
        parts = (instruction.strip(), text.strip(), flattened(earlier))
        first, _, rest = "\n".join(part for part in parts if part).partition("\n")
        # str.replace, not str.format: instructions and inputs contain braces.
        if not rest:
            return self.without_input.replace("{instruction}", first, 1)
        before, after = self.with_input.split("{input}", 1)
        return before.replace("{instruction}", first, 1) + rest + after

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

    def with_first_wordings(self) -> Self:
        """Return the template with the first of a recipe's wordings only: a model folder says these, whatever is used.

        For fingerprints: what else is used stands beside it there, and what is not used should change none.
        """
        first = {language: Wordings(train=own.train[:1]) for language, own in self.own_wordings.items()}
        return replace(self, own_wordings=first)

    def instructions_by_direction(self, directions: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return what asks for a translation: by direction, by the language of the instruction, its first wording."""
        return {
            direction: {
                language: self.translation_instructions(direction, language, "paper")[0]
                for language in {**TRANSLATION_INSTRUCTIONS, **self.own_wordings}
            }
            for direction in directions
        }

    def chat_template(self) -> str:
        """Return this template in the form in which tokenizers carry one (Jinja), for any engine that serves chats.

        A user message is an instruction; its input stands behind it in the text, or apart under the key ``input``.
        Turns before the last user message are part of the input, as in training.
        https://huggingface.co/docs/transformers/chat_templating
        """
        template = _CHAT_TEMPLATE.replace("\n", "")
        for name in ("with_input", "without_input", "completion_prefix", "completion_suffix"):
            template = template.replace(f"<{name}>", _jinja(getattr(self, name)))
        for role, label in LABELS.items():
            template = template.replace(f"<{role}>", json.dumps(label))
        return template


# Written for every engine's Jinja, llama.cpp's too: `split` with one argument, no macros.
_CHAT_TEMPLATE = """\
{% set found = namespace(last=-1, text='') %}
{% for message in messages %}
{% if message['role'] == 'user' %}{% set found.last = loop.index0 %}
{% elif message['role'] not in ['system', 'developer', 'assistant'] %}
{{ raise_exception('this model knows the roles system, user and assistant, not ' + message['role']) }}
{% endif %}
{% endfor %}
{% if found.last < 0 %}{{ raise_exception('there is no user message to answer') }}{% endif %}
{{ bos_token }}
{% set asked = messages[found.last] %}
{% set found.text = asked['content'] | trim %}
{% if asked['input'] and asked['input'] | trim %}
{% set found.text = found.text + '\\n' + (asked['input'] | trim) %}
{% endif %}
{% for message in messages %}
{% if loop.index0 < found.last %}
{% set said = message['content'] | trim %}
{% if message['role'] == 'user' %}{% set found.text = found.text + '\\n' + <user> + said %}
{% elif message['role'] == 'assistant' %}{% set found.text = found.text + '\\n' + <assistant> + said %}
{% else %}{% set found.text = found.text + '\\n' + <system> + said %}
{% endif %}
{% endif %}
{% endfor %}
{% set lines = found.text.split('\\n') %}
{% set instruction = lines[0] %}
{% set input = lines[1:] | join('\\n') %}
{% if input %}{{ <with_input> }}{% else %}{{ <without_input> }}{% endif %}
{% for message in messages %}
{% if loop.index0 > found.last %}
{{ <completion_prefix> + message['content'] + <completion_suffix> }}{{ eos_token }}
{% endif %}
{% endfor %}
"""


def _jinja(template: str) -> str:
    """Return a template as a Jinja expression: its constant parts as string literals."""
    parts = re.split(r"(\{instruction\}|\{input\})", template)
    names = {"{instruction}": "instruction", "{input}": "input"}
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

# Signs of Unicode's last private plane, which no cleaned text holds.
_FIRST, _SECOND = "\U0010fff8", "\U0010fff9"


def question_of(template: Template, prompt: str) -> tuple[str, str] | None:
    """Return the instruction and the input that a prompt was rendered from; None for one of another form."""
    for text in (_SECOND, ""):
        before, _, rest = template.prompt(_FIRST, text).partition(_FIRST)
        between, _, after = rest.partition(_SECOND) if text else ("", "", rest)
        if len(prompt) < len(before) + len(after) or not prompt.startswith(before) or not prompt.endswith(after):
            continue
        inside = without_marks(prompt[len(before) : len(prompt) - len(after)])
        instruction, _, given = inside.partition(between) if between else (inside, "", "")
        if template.prompt(instruction, given) == prompt:
            return instruction, given
    return None


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
    bank = {**TRANSLATION_INSTRUCTIONS, **(own or {})}
    found = bank.get(instruction_language)
    if found is None:
        raise ValueError(
            f"no translation instruction for direction {direction!r} in language {instruction_language!r}: there are "
            f"instructions in {' and '.join(bank)}. Add your own under data.translation_instructions"
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
