"""The prompt template of a recipe: one of ours, or the chat template of the tokenizer that it is given."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.errors import BadInputError
from crosstune.models.jinja_templates import (
    ANSWER,
    CONFIGURATION,
    FILE,
    QUESTION,
    failures_named,
    frozen,
    given_texts,
    has_system,
    refuse_changed_answers,
    refuse_unread_options,
    render,
)
from crosstune.prompts.controls import as_text
from crosstune.prompts.conversation import Turn
from crosstune.prompts.templates import TEMPLATES, Template
from crosstune.recipe import GivenTokenizer, Recipe
from crosstune.runs.files import read_json, write_json, write_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_INPUT = "{input}"
# Added tokens that are not marked special are control tokens, too, where they look like one: Qwen's <think>. Others
# are text, as the runs of spaces of GPT-NeoX.
_LOOKS_LIKE_CONTROL = re.compile(r"[<\[].+[>\]]")
_ANOTHER = f"set data.prompt (--prompt) to one of {', '.join(TEMPLATES)}"


@dataclass(frozen=True)
class ChatTemplate(Template):
    """A tokenizer's own chat template: rendered for each question and for the turns before it.

    Attributes:
        jinja: the template as every engine reads it: it writes BOS, its options are set and its date is fixed.
        tokens: the special tokens that it may name.
        has_system: whether it has a place for a system text; else that stands before the first question.
    """

    jinja: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict)
    has_system: bool = True

    def prompt(self, instruction: str, text: str = "", earlier: Sequence[Turn] = ()) -> str:
        """Render the prompt of an instruction, its (possibly empty) input and the turns before it.

        Control tokens in these texts are marked: they end no turn and begin none.
        """
        asked = "\n".join(filter(None, (instruction.strip(), text.strip())))
        turns = [Turn(turn.role, as_text(turn.content, self.controls)) for turn in (*earlier, Turn("user", asked))]
        return render(self.jinja, self.tokens, turns, self.has_system).removeprefix(self.tokens.get("bos_token", ""))

    def chat_template(self) -> str:
        """Return the template as a model folder carries it."""
        return self.jinja


def template_of(recipe: Recipe) -> Template:
    """Return the template that a recipe's examples, evaluation and chats are rendered with.

    Raises:
        BadInputError: when the recipe asks for a chat template that its base tokenizer does not have.
    """
    return replace(_template_of(recipe), own_wordings=recipe.data.translation_instructions)


def _template_of(recipe: Recipe) -> Template:
    if recipe.data.prompt != "chat":
        return TEMPLATES[recipe.data.prompt]
    base = recipe.tokenizer.base
    assert isinstance(base, GivenTokenizer)  # The recipe's checks see to it.
    # Imported here: the other templates need no tokenizer, and a data stage without one no torch.
    from crosstune.models.load import load_tokenizer

    folders = [folder for folder in ((recipe.data_root or Path()) / base.path, Path(base.path)) if folder.exists()]
    tokenizer = load_tokenizer(str(folders[0] if folders else base.path), base.revision)
    return from_tokenizer(tokenizer, recipe.data.template_options, recipe.data.template_date)


def from_tokenizer(
    tokenizer: "PreTrainedTokenizerBase", options: Mapping[str, Any] | None = None, today: date | None = None
) -> ChatTemplate:
    """Return a tokenizer's chat template as a prompt template: what it writes around a user's text and the answer.

    BOS, which every prompt begins with, and EOS, which every completion ends with, are not part of it. An input stands
    on the line after its instruction. ``options`` are what the template may be asked for, as ``enable_thinking``;
    ``today`` is the date that it writes.

    Raises:
        BadInputError: when there is none, it asks for the clock, it fails, or what it writes for a question does not
            begin what it writes for question and answer, so that a model would be asked otherwise than it was trained.
    """
    name, tokens = str(tokenizer.name_or_path), special_tokens(tokenizer)
    written_by = source_of(tokenizer)
    refuse_unread_options(options or {}, written_by, name)
    jinja = _with_bos(frozen(written_by, options or {}, today, name), tokens, name)

    def written(text: str, *answer: str) -> str:
        turns = [Turn("user", text), *(Turn("assistant", entry) for entry in answer)]
        with failures_named(name):
            return render(jinja, tokens, turns, True).removeprefix(tokens.get("bos_token", ""))

    question, whole = written(QUESTION), written(QUESTION, ANSWER)
    before, found, after = whole.removeprefix(question).partition(ANSWER)
    if not whole.startswith(question) or not found or question.count(QUESTION) != 1:
        raise BadInputError(
            f"the chat template of {name!r} writes {question!r} to ask, but {whole!r} for question "
            "and answer: the first must begin the second, and both hold the user's text once. Set data.prompt to one "
            f"of {', '.join(TEMPLATES)}, or data.template_options to what makes it so"
        )
    suffix = after.partition(str(tokenizer.eos_token))[0]
    refuse_changed_answers(jinja, tokens, (before, suffix), name)
    return ChatTemplate(
        name="chat",
        with_input=written(f"{QUESTION}\n{_INPUT}"),
        without_input=question,
        completion_prefix=before,
        completion_suffix=suffix,
        jinja=jinja,
        tokens=tokens,
        has_system=has_system(jinja, tokens),
        controls=tuple(sorted(control_tokens(tokenizer))),
    )


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, int]:
    """Return the texts that a tokenizer reads as one token that no text is made of, and their ids."""
    return {
        token.content: index
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special or _LOOKS_LIKE_CONTROL.fullmatch(token.content)
    }


def source_of(tokenizer: "PreTrainedTokenizerBase", asked: str = "data.prompt is chat", instead: str = _ANOTHER) -> str:
    """Return a tokenizer's chat template in Jinja; of several, the one that is used by default.

    ``asked`` is the setting that needs it, and ``instead`` what else may be set.

    Raises:
        BadInputError: when it has none.
    """
    found: Any = tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get("default")
    if not found:
        raise BadInputError(
            f"{asked}, but the tokenizer {tokenizer.name_or_path!r} has no chat template. Give a tokenizer that has "
            f"one (tokenizer.base.path; `crosstune score --tokenizer`), or {instead}"
        )
    return given_texts(str(found), special_tokens(tokenizer))


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, str]:
    """Return the special tokens that a tokenizer's chat template may name."""
    return {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}


def write_chat_template(folder: Path, jinja: str) -> None:
    """Make a template the only one of a tokenizer's folder: readers of either place find this one or none."""
    write_text(folder / FILE, jinja)
    configuration = folder / CONFIGURATION
    if configuration.exists():
        content = read_json(configuration)
        if content.pop("chat_template", None) is not None:
            write_json(configuration, content)
    (folder / "chat_template.json").unlink(missing_ok=True)


def _with_bos(jinja: str, tokens: Mapping[str, str], name: str) -> str:
    """Return a template that writes BOS, which training puts before every prompt, where the tokenizer has one."""
    bos = tokens.get("bos_token")
    with failures_named(name):
        written = render(jinja, tokens, [Turn("user", QUESTION)], True)
    return jinja if not bos or written.startswith(bos) else "{{ bos_token }}" + jinja
