"""Versioned prompt templates, shared by training, evaluation and chat, and the bank of translation instructions."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from babel import Locale
from babel.core import UnknownLocaleError

from crosstune.recipe import Wordings


@cache
def language_names(language: str) -> Mapping[str, str]:
    """Return ISO 639-1 codes and the languages' names in one language: Unicode CLDR's, without remarks in brackets."""
    try:
        names = Locale(language).languages
    except UnknownLocaleError:
        return {}
    return {code: name.partition("(")[0].strip() for code, name in names.items() if len(code) == 2}


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

    def translation_instructions(self, direction: str, language: str, wordings: "WordingSet") -> tuple[str, ...]:
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

NSMC_INSTRUCTION = "다음 문장은 긍정일까요 부정일까요?"

# The bank, by the language of the instruction. Korean names of languages end in a vowel, and the particles go with
# that. The paper published the first English one, from English to Korean.
BANK = {
    "en": Wordings(
        train=(
            "Translate the following sentences from {source} to {target}",
            "Translate the following text into {target}.",
            "Translate from {source} to {target}.",
            "Give the {target} translation of this {source} sentence.",
            "Write this in {target}:",
            "How do you say this in {target}?",
            "Please render the {source} text below in {target}.",
            "Convert the sentence to {target}.",
            "Translate this into {target}.",
            "Translate the {source} sentence below into {target}.",
            "Please translate into {target}:",
            "Can you translate this {source} text to {target}?",
            "Translate the text; the answer should be in {target}.",
            "Here is a {source} sentence. Translate it to {target}.",
            "Turn this {source} sentence into {target}.",
            "Turn the text into {target}, sentence by sentence.",
            "Say this in {target}.",
            "How would someone say this in {target}?",
            "How is this {source} sentence said in {target}?",
            "What does this {source} text say in {target}?",
            "What would this be in {target}?",
            "Tell me in {target} what is written here.",
            "I need this in {target}.",
            "I need a {target} translation of the text below.",
            "I have a {source} text; give it back in {target}.",
            "Show me the {target} translation.",
            "Give this back in {target}.",
            "Now the same in {target}, please.",
            "The same sentence, but in {target}:",
            "Change the language from {source} to {target}.",
            "Switch this text from {source} to {target}.",
            "Do a translation into {target}.",
            "Make a {target} translation of the following {source} sentence.",
            "Write down in {target} what the {source} sentence says.",
            "Write a {target} sentence that says the same.",
            "Help me write this {source} sentence in {target}.",
            "A friend who speaks {target} should read this; translate it.",
            "Answer with the {target} translation of the sentence and nothing else.",
            "{source} sentence in, {target} sentence out.",
            "{source} into {target}:",
        ),
        held_out=(
            "Produce a {target} version of the sentence below.",
            "What is the {target} for the following {source} sentence?",
            "Your task is to translate {source} into {target}.",
            "Express the following in {target}, please.",
            "Could you put this into natural {target} for me?",
            "Provide a faithful {target} rendition of the {source} passage.",
            "I only read {target}; please tell me what this {source} text says.",
            "As a professional translator, turn the {source} text into {target}.",
            "Rewrite the text below in {target}, keeping its meaning.",
            "Read the {source} original and write its {target} translation.",
            "Supply the {target} equivalent of what follows.",
            "{source} to {target} translation, please.",
        ),
    ),
    "ko": Wordings(
        train=(
            "다음 문장을 {source}에서 {target}로 번역하세요",
            "다음 글을 {target}로 번역해 주세요.",
            "{source} 문장을 {target}로 옮기세요.",
            "아래 {source} 문장의 {target} 번역을 쓰세요.",
            "이 말을 {target}로 써 보세요.",
            "이것을 {target}로 어떻게 말합니까?",
            "주어진 {source} 글을 {target}로 바꾸어 주세요.",
            "{target}로 번역하시오.",
            "이것을 {target}로 번역하세요.",
            "다음을 {target}로 번역해 줘.",
            "아래의 {source} 문장을 {target}로 번역해 주십시오.",
            "이 {source} 글을 {target}로 번역해 주시겠어요?",
            "글을 번역하되 답은 {target}로 쓰세요.",
            "여기 {source} 문장이 있습니다. {target}로 번역하세요.",
            "이 {source} 문장을 {target}로 바꾸세요.",
            "글을 한 문장씩 {target}로 바꿔 주세요.",
            "이것을 {target}로 말해 보세요.",
            "이 말은 {target}로 어떻게 합니까?",
            "이 {source} 문장을 {target}로는 어떻게 씁니까?",
            "이 {source} 글을 {target}로 하면 어떻게 됩니까?",
            "이것은 {target}로 무슨 말입니까?",
            "여기에 쓰인 것을 {target}로 말해 주세요.",
            "이것이 {target}로 필요합니다.",
            "아래 글의 {target} 번역이 필요합니다.",
            "{source} 글이 있는데 {target}로 돌려주세요.",
            "{target} 번역을 보여 주세요.",
            "이것을 {target}로 다시 쓰세요.",
            "이제 같은 말을 {target}로 해 주세요.",
            "같은 문장을 {target}로:",
            "언어를 {source}에서 {target}로 바꾸세요.",
            "이 글을 {source}에서 {target}로 옮겨 주세요.",
            "{target}로 번역을 하세요.",
            "다음 {source} 문장의 {target} 번역을 만드세요.",
            "{source} 문장이 말하는 것을 {target}로 적으세요.",
            "같은 것을 말하는 {target} 문장을 쓰세요.",
            "이 {source} 문장을 {target}로 쓰도록 도와주세요.",
            "{target}를 쓰는 친구가 읽을 글입니다. 번역해 주세요.",
            "다른 말 없이 {target} 번역만 답하세요.",
            "{source} 문장을 받아 {target} 문장을 내세요.",
            "{source}에서 {target}로:",
        ),
        held_out=(
            "아래 문장을 {target} 문장으로 만들어 주세요.",
            "다음 {source} 문장은 {target}로 무엇입니까?",
            "{source}를 {target}로 번역하는 것이 당신의 일입니다.",
            "다음을 {target}로 표현해 주십시오.",
            "이 문장을 자연스러운 {target}로 번역해 줄래요?",
            "{target}만 아는 사람도 이해할 수 있게 아래 글을 번역해 주세요.",
            "다음 {source} 글의 뜻을 {target}로 전해 주세요.",
            "아래 내용을 {target}로는 어떻게 표현하나요?",
            "{source} 원문을 읽고 {target} 번역문을 작성하십시오.",
            "당신은 {source} 전문 번역가입니다. 다음을 {target}로 번역하세요.",
            "제시된 {source} 문장의 {target} 번역을 알려 주세요.",
            "{target} 번역 부탁드립니다.",
        ),
    ),
}

WordingSet = Literal["paper", "train", "held_out"]


def translation_instructions(
    direction: str, instruction_language: str, wordings: WordingSet, own: Mapping[str, Wordings] | None = None
) -> tuple[str, ...]:
    """Return the instructions that ask for a translation.

    ``paper`` is one wording, the first of the training ones; ``train`` is all of those; ``held_out`` is never trained
    on and measures robustness to unseen wording. ``own`` are a recipe's wordings; they go before the bank's.

    Raises:
        ValueError: for a language that nothing asks in, a direction that is none, or wordings that are not there.
    """
    bank = {**BANK, **(own or {})}
    found = bank.get(instruction_language)
    names = language_names(instruction_language) if found else {}
    source, _, target = direction.partition("-")
    if found is None or source not in names or target not in names:
        raise ValueError(
            f"no translation instruction for direction {direction!r} in language {instruction_language!r}: there are "
            f"some in {' and '.join(bank)}, and a direction is two ISO 639-1 codes, as en-ko. A recipe brings its own "
            "under data.translation_instructions"
        )
    templates = {"paper": found.train[:1], "train": found.train, "held_out": found.held_out}[wordings]
    if not templates:
        raise ValueError(
            f"no held-out translation instruction in language {instruction_language!r}: give some in "
            f"data.translation_instructions.{instruction_language}.held_out"
        )
    return tuple(
        template.replace("{source}", names[source]).replace("{target}", names[target]) for template in templates
    )
