"""What the evaluate stage writes and the report reads: the fields of a score and of an answer, explained once."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Metrics that are the share of answers whose ``correct`` is true: two systems are compared by McNemar's test.
SHARES_OF_CORRECT = ("acc", "pass_rate", "in_language")
# The first answers of conversations stand in the outputs under a name of their own: they are right or wrong in nothing.
FIRST_TURN = "_first_turn"
Interval = Literal["wilson", "bootstrap", ""]
Better = Literal["more", "less", ""]
# By name: ours, and those of lm-evaluation-harness; of every other metric more is better, unless its task says.
_LESS_IS_BETTER = (
    "both_keywords",
    "bits_per_byte",
    "byte_perplexity",
    "word_perplexity",
    "perplexity",
    "ter",
    "brier_score",
)


def over_wordings_of(metric: str) -> str:
    """Return the metric whose best, mean or worst over wordings a metric is; another is its own."""
    return metric.removesuffix("_best").removesuffix("_mean").removesuffix("_worst")


def is_less_better(metric: str) -> bool:
    """Say whether less of a metric is better, by its name."""
    return over_wordings_of(metric) in _LESS_IS_BETTER


@dataclass(frozen=True)
class Score:
    """One number of one system on one task.

    Attributes:
        value: accuracies and other shares lie in 0-1, BLEU and chrF++ in 0-100.
        low: lower end of the 95 % interval; None where the metric has none.
        high: upper end of the interval; None where the metric has none.
        n: number of items.
        signature: what was computed, with which tool and settings.
        interval: whose interval: ``wilson`` of a share of items, ``bootstrap`` of all else.
        items: which items were scored, in their order, as a hash; only scores of the same items are compared in pairs.
        better: which is better, as a task of lm-evaluation-harness says; empty: as the metric's name says.
        resamples: its values on resampled items, [num_bootstrap], for paired differences; in a file of their own.
    """

    task: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    signature: str
    interval: Interval = ""
    items: str = ""
    better: Better = ""
    resamples: Array | None = field(default=None, compare=False, repr=False)

    @property
    def less_is_better(self) -> bool:
        """Say whether less of it is better."""
        return self.better == "less" if self.better else is_less_better(self.metric)

    def row(self) -> dict[str, Any]:
        """Return the score as a JSON object, without its resamples."""
        return {name: value for name, value in vars(self).items() if name != "resamples"}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self | None:
        """Return the score that a JSON object holds; None for a value that is no number.

        An accuracy over no answered item is NaN and counts as missing.
        """
        value = _number(row["value"])
        if value is None:
            return None
        bounds = _number(row.get("low")), _number(row.get("high"))
        texts = [str(row.get(name, "")) for name in ("signature", "interval", "items", "better")]
        return cls(str(row["task"]), str(row["metric"]), value, *bounds, int(row["n"]), *texts)  # type: ignore[arg-type]


@dataclass(frozen=True)
class OutputRow:
    """What a system answered to one item: a line of ``outputs.jsonl``, which leaves out what is None.

    Attributes:
        task: of a translation the cell, of one of several wordings with its number.
        output: what the model wrote, or the ending that it found likeliest.
        reference: what would be right; of several references the first.
        correct: None where an answer is not simply right or wrong.
        references: all of them, where there are several.
        wordings_of: the cell whose wordings the task is one of.
        finished: whether a written answer ended by itself.
        failures: what is wrong with a written answer; None where answers are not written.
        log_likelihoods: of the endings, in nats.
    """

    task: str
    id: str
    prompt: str
    output: str
    reference: str
    correct: bool | None
    references: tuple[str, ...] | None = None
    wordings_of: str | None = None
    finished: bool | None = None
    failures: tuple[str, ...] | None = None
    log_likelihoods: tuple[float, ...] | None = None

    def row(self) -> dict[str, Any]:
        """Return the answer as a JSON object."""
        always = ("task", "id", "prompt", "output", "reference", "correct")
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {name: value for name, value in plain.items() if value is not None or name in always}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the answer that a JSON object holds.

        Raises:
            KeyError: without ``task`` or ``id``; what else a hand-made file lacks is empty.
        """
        facts: dict[str, Any] = {"correct": None} | {
            name: row[name] for name in cls.__dataclass_fields__ if name in row
        }
        facts |= {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
        facts |= {name: str(row[name]) for name in ("task", "id")}
        facts |= {name: str(row.get(name, "")) for name in ("prompt", "output", "reference")}
        return cls(**facts)


def same_items(scores: Iterable[Score]) -> bool:
    """Say whether scores are known to be of the same items, in the same order: only these are compared in pairs."""
    hashes = {score.items for score in scores}
    return len(hashes) == 1 and "" not in hashes


def hash_of_items(items: Iterable[str]) -> str:
    """Return a hash of items, each as one text, in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for item in items:
        text = item.encode("utf-8", "surrogatepass")
        # With its length, so that no two lists of texts are written alike.
        digest.update(f"{len(text)} ".encode() + text)
    return digest.hexdigest()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
