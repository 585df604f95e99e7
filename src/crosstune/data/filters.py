"""Which rows can be learnt from: each check in turn, and a record of every row that fails one."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from crosstune.data.overlap import EvaluationTexts, Match
from crosstune.data.rows import Drops, Row
from crosstune.data.text_checks import has_special_token, is_broken, is_markup_only, length_ratio, says_no_input
from crosstune.languages.writing_systems import script_share
from crosstune.prompts.cleaning import clean, normalised
from crosstune.recipe import Quality

EMPTY = "empty"
BROKEN = "broken encoding"
SPECIAL_TOKEN = "special token"
MARKUP = "only mark-up"
IDENTICAL = "identical sides"
LANGUAGE = "other language"
LENGTHS = "lengths too different"
OVERLAP = "evaluation overlap"
DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near duplicate"
REFUSED = "refused by the chat template"
# No drop, but counted, too.
NO_INPUT = "input that says there is none, emptied"

Kind = Literal["parallel", "instructions", "text"]
# Rows are compared with the evaluation texts many at once.
_BATCH_ROWS = 1024
BATCH_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Checks:
    """What the rows of a source are checked for.

    Attributes:
        language: of a plain text; the sides of a pair are named by theirs.
        evaluation: the texts that must not be learnt, if the recipe keeps them out.
        controls: texts that a model would read as control tokens, where the prompts are a chat template's.
    """

    kind: Kind
    language: str | None
    quality: Quality
    evaluation: EvaluationTexts | None
    controls: tuple[str, ...] = ()


class _Checked(NamedTuple):
    """A row, its texts cleaned, and why it cannot be learnt from, if so."""

    row: Row
    texts: dict[str, str]
    reason: str


def keep_usable(rows: Iterable[Row], checks: Checks, source: str, drops: Drops) -> Iterator[Row]:
    """Clean the rows of a source and yield those that can be learnt from; duplicates are the mixture's business."""
    for batch in _batches(rows, checks):
        usable = [texts for _, texts, reason in batch if not reason]
        drops.changes[NO_INPUT] += sum(_without_stated_input(texts) for texts in usable)
        matches = iter(checks.evaluation.find(usable) if checks.evaluation else [None] * len(usable))
        for row, texts, reason in batch:
            # A dropped row is shown as it was: what made it empty, say, is gone from the cleaned one.
            if reason:
                drops.add(reason, source, row.origin, row.texts)
            elif match := next(matches):
                drops.add(_overlap(match, checks), source, row.origin, {**row.texts, "matches": match.text})
            else:
                yield Row(row.origin, texts)


def _batches(rows: Iterable[Row], checks: Checks) -> Iterator[list[_Checked]]:
    batch: list[_Checked] = []
    num_characters = 0
    for row in rows:
        texts = {key: clean(text) for key, text in row.texts.items()}
        batch.append(_Checked(row, texts, _reason(texts, checks)))
        num_characters += sum(map(len, texts.values()))
        if len(batch) == _BATCH_ROWS or num_characters > BATCH_CHARACTERS:
            yield batch
            batch, num_characters = [], 0
    yield batch


def _without_stated_input(texts: dict[str, str]) -> bool:
    """Empty an input that only says that there is none, and return whether it did."""
    says_none = says_no_input(texts.get("input", ""))
    if says_none:
        texts["input"] = ""
    return says_none


def _overlap(match: Match, checks: Checks) -> str:
    what = f"{OVERLAP}, {checks.quality.overlap_ngram}-gram" if match.is_stretch else OVERLAP
    return f"{what}: {match.evaluation_set}"


def _reason(texts: Mapping[str, str], checks: Checks) -> str:
    """Return why a row cannot be learnt from, or nothing."""
    quality = checks.quality
    if any(not text for key, text in texts.items() if key != "input"):
        return EMPTY
    if quality.drop_broken_encoding and any(map(is_broken, texts.values())):
        return BROKEN
    if quality.drop_special_tokens and any(map(has_special_token, texts.values())):
        return SPECIAL_TOKEN
    if any(control in text for control in checks.controls for text in texts.values()):
        return SPECIAL_TOKEN
    if checks.kind == "instructions":
        return ""
    # Instructions may ask for mark-up, code or translations: the checks below are for text and pairs.
    if checks.kind == "parallel" and len(set(map(normalised, texts.values()))) == 1:
        return IDENTICAL
    if quality.drop_markup_only and any(map(is_markup_only, texts.values())):
        return MARKUP
    languages = texts if checks.kind == "parallel" else {checks.language or "": texts["text"]}
    if any(script_share(text, language) < quality.min_script_share for language, text in languages.items()):
        return LANGUAGE
    limit = quality.max_length_ratio
    if checks.kind == "parallel" and limit is not None and length_ratio(*texts.values()) > limit:
        return LENGTHS
    return ""
