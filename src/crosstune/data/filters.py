"""Which rows can be learnt from: each check in turn, and a record of every row that fails one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, Protocol

from crosstune.data.overlap import Match
from crosstune.data.rows import BadRow, Drops, Row, bad_row_error, drop_bad_row
from crosstune.data.text_checks import has_special_token, is_broken, is_markup_only, length_ratio, says_no_input
from crosstune.languages.writing_systems import script_share
from crosstune.prompts.cleaning import clean, normalised
from crosstune.recipe import Quality
from crosstune.runs.in_order import Chunk, InOrder

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


class Finder(Protocol):
    """Finds evaluation texts in the texts of training rows: ``EvaluationTexts``, or ``EvaluationSets`` on disk."""

    def find(self, rows: Sequence[Mapping[str, str]]) -> list[Match | None]:
        """Return for each row an evaluation text that it shares, if any."""


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
    evaluation: Finder | None
    controls: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """What the checks say of a row.

    Attributes:
        reason: why it cannot be learnt from; empty if it can.
        match: the text of an evaluation set that it holds, where that is the reason.
        texts: as they are learnt, where cleaning changed them.
    """

    reason: str
    match: str | None = None
    texts: dict[str, str] | None = None


class Outcomes(NamedTuple):
    """What the checks say of many rows, and how many had an input emptied."""

    of_rows: list[Outcome]
    num_emptied: int


_UNCHANGED = Outcome("")
_Batch = Chunk[tuple[list[Row], list[BadRow]], list[dict[str, str]]]


def keep_usable(
    rows: Iterable[Row | BadRow], checks: Checks, source: str, drops: Drops, side_by_side: InOrder | None = None
) -> Iterator[Row]:
    """Clean the rows of a source and yield those that can be learnt from; duplicates are the mixture's business.

    ``side_by_side`` checks many batches at the same time; what is yielded and dropped, and its order, stay the same.

    Raises:
        BadInputError: at the first bad row, when bad rows stop the run.
    """
    done = (side_by_side or InOrder()).map(partial(check, checks=checks), _batches(rows, checks, source))
    for (good, bad), outcomes in done:
        for bad_row in bad:
            drop_bad_row(bad_row, source, drops)
        drops.changes[NO_INPUT] += outcomes.num_emptied
        for row, (reason, match, texts) in zip(good, outcomes.of_rows, strict=True):
            # A dropped row is shown as it was: what made it empty, say, is gone from the cleaned one.
            if not reason:
                yield row if texts is None else Row(row.origin, texts)
            elif match is None:
                drops.add(reason, source, row.origin, row.texts)
            else:
                drops.add(reason, source, row.origin, {**row.texts, "matches": match})


def check(rows: Sequence[dict[str, str]], checks: Checks) -> Outcomes:
    """Return what the checks say of the texts of some rows."""
    cleaned = [{key: clean(text) for key, text in texts.items()} for texts in rows]
    reasons = [_reason(texts, checks) for texts in cleaned]
    usable = [texts for texts, reason in zip(cleaned, reasons, strict=True) if not reason]
    num_emptied = sum(_without_stated_input(texts) for texts in usable)
    matches = iter(checks.evaluation.find(usable) if checks.evaluation else [None] * len(usable))
    found: list[Outcome] = []
    for raw, texts, reason in zip(rows, cleaned, reasons, strict=True):
        if reason:
            found.append(Outcome(reason))
        elif match := next(matches):
            found.append(Outcome(_overlap(match, checks), match.text))
        else:
            found.append(_UNCHANGED if raw == texts else Outcome("", texts=texts))
    return Outcomes(found, num_emptied)


def _batches(rows: Iterable[Row | BadRow], checks: Checks, source: str) -> Iterator[_Batch]:
    """Yield rows that follow one another with the bad ones that were read between them, and give their texts."""
    good, bad, num_characters = list[Row](), list[BadRow](), 0
    for row in rows:
        if isinstance(row, BadRow):
            if checks.quality.on_bad_row == "stop":
                raise bad_row_error(row, source)
            bad.append(row)
            if len(bad) == _BATCH_ROWS:
                yield Chunk(([], bad), [], sum(len(repr(one.content)) for one in bad))
                bad = []
            continue
        good.append(row)
        num_characters += sum(map(len, row.texts.values()))
        if len(good) == _BATCH_ROWS or num_characters > BATCH_CHARACTERS:
            yield Chunk((good, bad), [row.texts for row in good], num_characters)
            good, bad, num_characters = [], [], 0
    yield Chunk((good, bad), [row.texts for row in good], num_characters)


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
    if checks.controls and any(control in text for control in checks.controls for text in texts.values()):
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
