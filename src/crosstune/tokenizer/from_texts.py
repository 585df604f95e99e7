"""Extend a tokenizer by texts alone, without a recipe and a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crosstune.errors import BadInputError
from crosstune.languages.registry import shares_letters
from crosstune.recipe import Languages, LearnedExtension
from crosstune.recipe.mistakes import describe
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import whole_folder
from crosstune.tokenizer import given, verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extension import filled, learn_from, prepared, write_extended
from crosstune.tokenizer.line_kinds import Parted, part_lines
from crosstune.tokenizer.shared_letters import BothTexts
from crosstune.tokenizer.verify_command import samples_of


def extend(
    base: Path, out: Path, pair: tuple[str, str], texts: tuple[list[str], list[str]], settings: dict[str, Any]
) -> dict[str, Any]:
    """Learn new pieces from texts, prove the extended tokenizer, and write its folder; return what was proved.

    Pair: target and source language; texts: in these languages.

    Raises:
        BadInputError: when a setting is unknown, the folder is there already, or the base cannot be extended.
        CrosstuneError: when a property does not hold.
    """
    if out.exists():
        raise BadInputError(f"{out} already exists and is not replaced: give a new folder")
    if not base.exists():
        raise BadInputError(f"{base} was not found: give a tokenizer folder or a .model file")
    languages = Languages(target=pair[0], source=pair[1])
    chosen = _settings(settings)
    content, configuration = given.load(base, "base")
    old = prepared(chosen, [languages], BpeTokenizer(content))
    extended = filled(chosen, old, learn_from(chosen, languages, old, BothTexts(*texts)))
    samples = samples_of(_parts(texts, languages), extended, languages)
    if shares_letters(*pair):
        samples = replace(samples, source_may_change=not chosen.source_text_unchanged)
    made_from = fingerprint("extended tokenizer", content, languages, chosen, texts)
    facts: dict[str, Any] = {}
    with whole_folder(out, made_from, facts) as folder:
        report = write_extended(folder, BpeTokenizer(content), extended, configuration, samples)
        facts.update(report["size"])
        verify.refuse_failures(report, out.with_name(f"{out.name}_failed_verification.json"))
    return report


def _settings(settings: dict[str, Any]) -> LearnedExtension:
    if settings.get("write_sentencepiece"):
        raise BadInputError("write_sentencepiece: this needs a recipe whose base is a SentencePiece .model file")
    content = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    try:
        return LearnedExtension.model_validate({"kind": "learned", "mixture": "texts", **content})
    except ValidationError as error:
        faults = "; ".join(map(describe, error.errors()))
        raise BadInputError(f"extend_tokenizer takes the settings of tokenizer.extension, but {faults}") from None


def _parts(texts: tuple[list[str], list[str]], languages: Languages) -> list[Parted]:
    target, source = ([line for text in side for line in text.splitlines()] for side in texts)
    if shares_letters(languages.target, languages.source):
        return [{"source": source, "target": target, "other": []}]
    return [part_lines([*target, *source], languages)]
