"""The prompt template of a recipe: one of ours, or the chat template of the tokenizer that it is given."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.errors import BadInputError
from crosstune.prompts.templates import TEMPLATES, Template
from crosstune.recipe import GivenTokenizer, Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_INSTRUCTION, _INPUT, _OUTPUT = "{instruction}", "{input}", "{output}"


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
    return from_tokenizer(load_tokenizer(str(folders[0] if folders else base.path), base.revision))


def from_tokenizer(tokenizer: "PreTrainedTokenizerBase") -> Template:
    """Return a tokenizer's chat template as a prompt template: what it writes around a user's text and the answer.

    BOS, which every prompt begins with, and EOS, which every completion ends with, are not part of it. An input stands
    on the line after its instruction.

    Raises:
        BadInputError: when there is none, or what it writes for a question does not begin what it writes for question
            and answer, so that a model would be asked otherwise than it was trained.
    """
    if not tokenizer.chat_template:
        raise BadInputError(
            f"data.prompt: chat was asked, but the tokenizer {tokenizer.name_or_path!r} has no chat template. Give one "
            f"that has (tokenizer.base.path; `crosstune score --tokenizer`), or set data.prompt (--prompt) to one of "
            f"{', '.join(TEMPLATES)}"
        )

    def render(text: str, *answer: str) -> str:
        messages = [{"role": "user", "content": text}, *({"role": "assistant", "content": entry} for entry in answer)]
        written = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=not answer)
        return str(written).removeprefix(tokenizer.bos_token or "")

    question, whole = render(_INSTRUCTION), render(_INSTRUCTION, _OUTPUT)
    before, found, after = whole.removeprefix(question).partition(_OUTPUT)
    if not whole.startswith(question) or not found or question.count(_INSTRUCTION) != 1:
        raise BadInputError(
            f"the chat template of {tokenizer.name_or_path!r} writes {question!r} to ask, but {whole!r} for question "
            "and answer: the first must begin the second, and both hold the user's text once. Set data.prompt to one "
            f"of {', '.join(TEMPLATES)}"
        )
    return Template(
        name="chat",
        with_input=render(f"{_INSTRUCTION}\n{_INPUT}"),
        without_input=question,
        completion_prefix=before,
        completion_suffix=after.partition(tokenizer.eos_token)[0],
    )
