"""How a model is asked: its chat template, a switch for thinking, a place for system texts, and what ends an answer."""

from collections.abc import Iterator
from typing import Any

from transformers import GenerationConfig, PreTrainedTokenizerBase

from crosstune.doctor.findings import Finding, settings
from crosstune.doctor.subject import Subject
from crosstune.errors import BadInputError
from crosstune.models.chat_template import ChatTemplate, from_tokenizer, source_of
from crosstune.models.load import load_config, load_tokenizer
from crosstune.models.stop_tokens import stop_ids
from crosstune.recipe.data import TEMPLATE_DATE
from crosstune.tokenizer.folder import says_roles

_SECTION = "chat"
_THINKING = "enable_thinking"
_OPTIONS: tuple[dict[str, Any], ...] = ({}, {_THINKING: False})


def look_at_chat(subject: Subject) -> Iterator[Finding]:
    """Look at the chat template and the tokens that end an answer."""
    if subject.path.is_dir() and not says_roles(subject.path):
        says = (
            "not known: tokenizer_config.json is not here, which says the chat template and the tokens that begin and "
            "end a text. Copy it from where the model comes from before you train"
        )
        yield Finding(_SECTION, "template", "attention", says)
        return
    try:
        tokenizer = load_tokenizer(str(subject.path))
    except BadInputError as error:
        yield Finding(_SECTION, "tokenizer", "stop", str(error))
        return
    template, findings = _template(tokenizer)
    yield from findings
    yield _stop_tokens(subject, tokenizer, template)


def _template(tokenizer: PreTrainedTokenizerBase) -> tuple[ChatTemplate | None, list[Finding]]:
    if not tokenizer.chat_template:
        says = "none: a base model; use one of crosstune's own templates"
        return None, [Finding(_SECTION, "template", "ok", says, settings(data={"prompt": "alpaca"}))]
    jinja = source_of(tokenizer)
    thinks = _THINKING in jinja or "<think>" in jinja
    reasons: list[str] = []
    for options in reversed(_OPTIONS) if _THINKING in jinja else _OPTIONS:
        try:
            template = from_tokenizer(tokenizer, options, TEMPLATE_DATE)
        except BadInputError as error:
            reasons.append(str(error))
            continue
        return template, list(_facts(template, options, thinks))
    says, setting = f"cannot be used: {reasons[0]}", settings(data={"prompt": "alpaca"})
    return None, [Finding(_SECTION, "template", "attention", says, setting)]


def _facts(template: ChatTemplate, options: dict[str, Any], thinks: bool) -> Iterator[Finding]:
    asked = template.without_input
    # All that stands between a question and its answer: a count of characters cut a marker in half.
    before = asked.rpartition("{instruction}")[2]
    says = f"the model's own, {len(asked)} characters around a question; an answer starts after {before!r}"
    yield Finding(_SECTION, "template", "ok", says, settings(data={"prompt": "chat"}), {"around": asked})
    if thinks:
        setting = settings(data={"template_options": {_THINKING: False}}) if options else ""
        says = (
            "has a switch: turn it off in training and in use, because instruction data has no thoughts"
            if options
            else ("the template mentions <think> but has no switch: answers are trained without thoughts")
        )
        yield Finding(
            _SECTION, "thinking", "ok" if options else "attention", says, setting, {"has_switch": bool(options)}
        )
    has = template.has_system
    says = "supported by the template" if has else "not in the template: it goes before the first question"
    yield Finding(_SECTION, "system text", "ok", says, values={"has_system": has})


def _stop_tokens(subject: Subject, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate | None) -> Finding:
    # As transformers does where there is no generation_config.json.
    generation = GenerationConfig.from_model_config(load_config(str(subject.path)))
    if (subject.folder / "generation_config.json").is_file():
        try:
            generation = GenerationConfig.from_pretrained(str(subject.folder))
        except (OSError, ValueError) as error:
            return Finding(_SECTION, "stop tokens", "attention", f"generation_config.json cannot be read: {error}")
    found = sorted(stop_ids(generation, tokenizer))
    names = [str(tokenizer.convert_ids_to_tokens(index)) for index in found]
    values = {"ids": found, "tokens": names}
    # What the template writes between an answer and EOS ends the turn: an answer must be able to stop there.
    end_of_turn = template.completion_suffix.strip() if template else ""
    if end_of_turn and not any(end_of_turn.startswith(name) for name in names):
        says = (
            f"{', '.join(names)}, but the template ends a turn with {end_of_turn!r}, which is not one of them: "
            f"untuned answers run on. Add it to generation_config.json (eos_token_id)"
        )
        return Finding(_SECTION, "stop tokens", "attention", says, values=values)
    return Finding(_SECTION, "stop tokens", "ok", ", ".join(names), values=values)
