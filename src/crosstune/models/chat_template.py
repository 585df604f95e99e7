"""The prompt template of a recipe: one of ours, or the chat template of the tokenizer that it is given."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.errors import BadInputError
from crosstune.prompts.controls import as_text
from crosstune.prompts.conversation import Turn
from crosstune.prompts.templates import TEMPLATES, Template
from crosstune.recipe import GivenTokenizer, Recipe
from crosstune.runs.files import read_json, write_json, write_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE = "chat_template.jinja"
_CONFIGURATION = "tokenizer_config.json"
_INSTRUCTION, _INPUT, _OUTPUT = "{instruction}", "{input}", "{output}"
# The only clock that transformers gives to templates, with a format that the template itself holds.
_CLOCK = re.compile(r"strftime_now\s*\(\s*(\"[^\"]*\"|'[^']*')\s*\)")
# Added tokens that are not marked special are control tokens, too, where they look like one: Qwen's <think>. Others
# are text, as the runs of spaces of GPT-NeoX.
_LOOKS_LIKE_CONTROL = re.compile(r"[<\[].+[>\]]")
# What published templates may be asked for.
_KNOWN_OPTIONS = ("enable_thinking", "thinking", "reasoning_effort", "thinking_budget", "date_string", "builtin_tools")
_ANOTHER = f"set data.prompt (--prompt) to one of {', '.join(TEMPLATES)}"
# By whatever name a template calls it later; it may ask whether there is one.
_ANY_CLOCK = re.compile(r"strftime_now\b(?!\s+is\s)")


@dataclass(frozen=True)
class ChatTemplate(Template):
    """A tokenizer's own chat template: one question as the texts around it, a conversation by rendering its turns.

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
        instruction, text = as_text(instruction, self.controls), as_text(text, self.controls)
        if earlier:
            asked = "\n".join(filter(None, (instruction.strip(), text.strip())))
            said = [Turn(turn.role, as_text(turn.content, self.controls)) for turn in earlier]
            turns = [*said, Turn("user", asked)]
            return render(self.jinja, self.tokens, turns, self.has_system).removeprefix(
                self.tokens.get("bos_token", "")
            )
        # str.replace, not str.format: instructions and inputs contain braces.
        if not text:
            return self.without_input.replace(_INSTRUCTION, instruction, 1)
        before, after = self.with_input.split(_INPUT, 1)
        return before.replace(_INSTRUCTION, instruction, 1) + text + after

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
    _refuse_unread_options(options or {}, written_by, name)
    jinja = _with_bos(frozen(written_by, options or {}, today, name), tokens, name)

    def written(text: str, *answer: str) -> str:
        turns = [Turn("user", text), *(Turn("assistant", entry) for entry in answer)]
        with failures_named(name):
            return render(jinja, tokens, turns, True).removeprefix(tokens.get("bos_token", ""))

    question, whole = written(_INSTRUCTION), written(_INSTRUCTION, _OUTPUT)
    before, found, after = whole.removeprefix(question).partition(_OUTPUT)
    if not whole.startswith(question) or not found or question.count(_INSTRUCTION) != 1:
        raise BadInputError(
            f"the chat template of {name!r} writes {question!r} to ask, but {whole!r} for question "
            "and answer: the first must begin the second, and both hold the user's text once. Set data.prompt to one "
            f"of {', '.join(TEMPLATES)}, or data.template_options to what makes it so"
        )
    return ChatTemplate(
        name="chat",
        with_input=written(f"{_INSTRUCTION}\n{_INPUT}"),
        without_input=question,
        completion_prefix=before,
        completion_suffix=after.partition(str(tokenizer.eos_token))[0],
        jinja=jinja,
        tokens=tokens,
        has_system=has_system(jinja, tokens),
        controls=tuple(sorted(control_tokens(tokenizer))),
    )


def _refuse_unread_options(options: Mapping[str, Any], jinja: str, name: str) -> None:
    """Stop at an option that a template never reads: a model would think on, and nobody would be told."""
    names = set(re.findall(r"\w+", jinja))
    unread = [option for option in options if option not in names]
    if unread:
        known = [option for option in _KNOWN_OPTIONS if option in names]
        raise BadInputError(
            f"data.template_options: the chat template of {name!r} reads no {' and no '.join(unread)}. "
            + (f"It reads {', '.join(known)}. " if known else "")
            + "Correct the name, or leave it out"
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
    return str(found)


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, str]:
    """Return the special tokens that a tokenizer's chat template may name."""
    return {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}


def frozen(jinja: str, options: Mapping[str, Any], today: date | None, name: str) -> str:
    """Return a template whose options are set and which writes one date for ever: the clock is no hidden input.

    Raises:
        BadInputError: when it asks for the clock in a way that cannot be replaced by a date.
    """
    if today is not None:
        jinja = _CLOCK.sub(lambda call: json.dumps(today.strftime(call[1][1:-1])), jinja)
        if _ANY_CLOCK.search(jinja):
            raise BadInputError(
                f"the chat template of {name!r} writes today's date in a form that it computes, so the recipe would "
                f"change every day. Replace strftime_now(...) in its chat_template.jinja by a fixed date"
            )
    settings = "".join(f"{{% set {key} = {_literal(value)} %}}" for key, value in options.items())
    return settings + jinja


def render(jinja: str, tokens: Mapping[str, str], turns: Sequence[Turn], with_system: bool) -> str:
    """Return what a chat template writes for turns; it goes on with the answer where the last is a user's.

    Raises:
        BadInputError: when the template cannot be read, or refuses the turns.
    """
    # Imported here: `crosstune report` shows prompts of our own templates, which need none of it.
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = [{"role": turn.role, "content": turn.content} for turn in _placed(turns, with_system)]
    ask, named = turns[-1].role != "assistant", dict[str, Any](tokens)
    try:
        written: Any = render_jinja_template([messages], chat_template=jinja, add_generation_prompt=ask, **named)
    # A template is a program: it raises what it likes, from a message of its own to a TypeError.
    except Exception as error:
        raise BadInputError(f"{type(error).__name__}: {error}") from None
    return str(written[0][0] if isinstance(written, tuple) else written)


@contextmanager
def failures_named(name: str) -> Iterator[None]:
    """Let an error of a template say whose it is, and what to do."""
    try:
        yield
    except BadInputError as error:
        raise BadInputError(
            f"the chat template of {name!r} fails: {str(error).rstrip('.')}. Correct {_place_of(name)}, or use "
            f"another prompt: data.prompt, --prompt {'|'.join(TEMPLATES)}"
        ) from None


def _place_of(name: str) -> str:
    """Return where the chat template of a folder, a GGUF file or a hub id stands."""
    folder = Path(name)
    if folder.is_file():
        return "tokenizer.chat_template in the file"
    if folder.is_dir() and not (folder / FILE).exists():
        return f"chat_template in its {_CONFIGURATION}"
    return f"its {FILE}"


def refuse_failing(jinja: str, tokens: Mapping[str, str], name: str) -> None:
    """Stop where a template cannot put a question.

    Raises:
        BadInputError: when it fails, or leaves out what it is asked.
    """
    with failures_named(name):
        if _INSTRUCTION not in render(jinja, tokens, [Turn("user", _INSTRUCTION)], True):
            raise BadInputError("it leaves out what a user asks")


def has_system(jinja: str, tokens: Mapping[str, str]) -> bool:
    """Return whether a template writes a system text that it is given."""
    try:
        return _OUTPUT in render(jinja, tokens, [Turn("system", _OUTPUT), Turn("user", _INSTRUCTION)], True)
    except BadInputError:
        return False


def write_chat_template(folder: Path, jinja: str) -> None:
    """Make a template the only one of a tokenizer's folder: readers of either place find this one or none."""
    write_text(folder / FILE, jinja)
    configuration = folder / _CONFIGURATION
    if configuration.exists():
        content = read_json(configuration)
        if content.pop("chat_template", None) is not None:
            write_json(configuration, content)
    (folder / "chat_template.json").unlink(missing_ok=True)


def _placed(turns: Sequence[Turn], with_system: bool) -> list[Turn]:
    """Return the turns, system texts before the first question where the template has no place for them."""
    if with_system or not any(turn.role == "system" for turn in turns):
        return list(turns)
    system = [turn.content for turn in turns if turn.role == "system"]
    others = [turn for turn in turns if turn.role != "system"]
    first = next((index for index, turn in enumerate(others) if turn.role == "user"), None)
    if first is not None:
        others[first] = Turn("user", "\n\n".join([*system, others[first].content]))
    return others


def _with_bos(jinja: str, tokens: Mapping[str, str], name: str) -> str:
    """Return a template that writes BOS, which training puts before every prompt, where the tokenizer has one."""
    bos = tokens.get("bos_token")
    with failures_named(name):
        written = render(jinja, tokens, [Turn("user", _INSTRUCTION)], True)
    return jinja if not bos or written.startswith(bos) else "{{ bos_token }}" + jinja


def _literal(value: Any) -> str:
    """Return a value as Jinja writes it: as JSON, but for ``null``."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
