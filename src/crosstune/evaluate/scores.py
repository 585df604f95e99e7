"""The numbers: accuracies, macro F1, the keyword rule, BLEU and chrF++, each with interval and signature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crosstune.evaluate.intervals import SEED, draws, interval, resample, wilson
from crosstune.languages.bleu import refuse_missing_bleu
from crosstune.languages.registry import language
from crosstune.runs.records import Array, OutputRow, Score, hash_of_items
from crosstune.tokens.bits_per_byte import bits_per_byte

# Scripts whose characters sacreBLEU's TER can count as words.
_CUT_BY_TER = {"Hani", "Hira", "Kana", "Bopo"}
# Functions of lm-evaluation-harness that take no longer than a sum.
QUICK_AGGREGATIONS = ("median", "nanmean", "perplexity", "weighted_perplexity")


@dataclass(frozen=True)
class Result:
    """What a task gave: the rows of ``outputs.jsonl`` and the scores."""

    rows: list[OutputRow]
    scores: list[Score]


@dataclass(frozen=True)
class Scored:
    """What all scores of a task share.

    Attributes:
        items: what was asked and what would be right, one text an item: two systems' scores are compared in pairs only
            where these are equal.
    """

    task: str
    signature: str
    num_bootstrap: int
    items: tuple[str, ...]

    def of_items(self, indices: Sequence[int]) -> Self:
        """Return the same for some of the items."""
        return replace(self, items=tuple(self.items[index] for index in indices))

    def make(self, metric: str, value: float, resamples: Array, signature: str = "") -> Score:
        """Return a score with the bootstrap's interval; its signature ends with the task's and the bootstrap's.

        One item drawn again and again is the same each time: of how items vary it says nothing, and it has no interval.
        """
        parts = [signature, self.signature, f"bs:{self.num_bootstrap}", f"seed:{SEED}"]
        whole = "|".join(part for part in parts if part)
        n, items = len(self.items), hash_of_items(self.items)
        if n < 2:
            return Score(self.task, metric, value, None, None, n, whole, items=items)
        return Score(self.task, metric, value, *interval(resamples), n, whole, "bootstrap", items, resamples=resamples)


def mean_score(scored: Scored, metric: str, values: Sequence[float]) -> Score:
    """Score the mean of per-item values; of a share, such as an accuracy, the interval is Wilson's."""
    column = np.asarray(values, np.float64)[:, None]
    resamples = resample(column, lambda sums: sums[:, 0] / len(column), scored.num_bootstrap)
    score = scored.make(metric, float(column.mean()), resamples)
    if not np.isin(column, (0.0, 1.0)).all():
        return score
    low, high = wilson(int(column.sum()), len(column))
    signature = "|".join(part for part in (scored.signature, "ci:wilson") if part)
    return replace(score, low=low, high=high, interval="wilson", signature=signature)


def share_of_parts_score(scored: Scored, metric: str, parts: Sequence[tuple[float, int]]) -> Score:
    """Score a share of all parts of items, each item's (parts that count, parts) given, as the rules that are kept.

    The parts of an item go together: items are resampled, and Wilson's interval is that of as many items.
    """
    sums = np.asarray(parts, np.float64)
    resamples = resample(sums, lambda drawn: drawn[:, 0] / drawn[:, 1], scored.num_bootstrap)
    score, n = scored.make(metric, float(sums[:, 0].sum() / sums[:, 1].sum()), resamples), len(parts)
    low, high = wilson(score.value * n, n)
    signature = "|".join(part for part in (scored.signature, "ci:wilson of items") if part)
    return replace(score, low=low, high=high, interval="wilson", signature=signature)


def bits_per_byte_score(scored: Scored, values: Sequence[tuple[float, int]]) -> Score:
    """Score texts from their (log-probability in nats, bytes of UTF-8): all bits over all bytes; less is better."""
    sums = np.asarray(values, np.float64)

    def of_all(some: Array) -> Array:
        return np.array([bits_per_byte(-log_probability, num_bytes) for log_probability, num_bytes in some])

    value = float(of_all(sums.sum(0)[None])[0])
    return scored.make("bits_per_byte", value, resample(sums, of_all, scored.num_bootstrap))


def mean_of_tasks_score(scored: Scored, metric: str, tasks: Sequence[str], values: Sequence[float]) -> Score:
    """Score the mean of several tasks' means, each item's task and value given; a task without a draw counts as none.

    Resampled by sums over each task's items: a group of 67 tasks has as many resamples as a single one.
    """
    column = np.asarray(values, np.float64)
    order = np.argsort(np.asarray(tasks), kind="stable")
    _, firsts = np.unique(np.asarray(tasks)[order], return_index=True)

    def means(counts: NDArray[Any]) -> Array:
        by_task = counts[:, order]
        sums = np.add.reduceat(by_task * column[order], firsts, axis=1)
        sizes = np.add.reduceat(by_task, firsts, axis=1)
        of_tasks = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0)
        mean: Array = of_tasks.sum(1) / (sizes > 0).sum(1)
        return mean

    value = float(means(np.ones((1, len(column))))[0])
    resamples = np.concatenate([means(counts) for counts in draws(len(column), scored.num_bootstrap)])
    return scored.make(metric, value, resamples, "mean_of:tasks")


def aggregated_score(
    scored: Scored, metric: str, values: Sequence[Any], aggregate: Callable[[list[Any]], float], is_quick: bool = False
) -> Score:
    """Score what a function makes of all values; at most 100 resamples if it is not quick: BLEU takes seconds each."""
    few = scored if is_quick else replace(scored, num_bootstrap=min(100, scored.num_bootstrap))
    places = np.arange(len(values))
    resamples = [
        aggregate([values[index] for index in np.repeat(places, counts).tolist()])
        for several in draws(len(values), few.num_bootstrap)
        for counts in several
    ]
    return few.make(metric, float(aggregate(list(values))), np.asarray(resamples, np.float64))


def macro_f1_score(scored: Scored, references: Sequence[int], predictions: Sequence[int]) -> Score:
    """Score the mean of the classes' F1, over the classes that occur."""
    classes = sorted({*references, *predictions})
    place = {label: index for index, label in enumerate(classes)}
    confusion = np.zeros((len(references), len(classes), len(classes)))
    for index, (reference, prediction) in enumerate(zip(references, predictions, strict=True)):
        confusion[index, place[reference], place[prediction]] = 1
    statistics = confusion.reshape(len(references), -1)
    value = float(_macro_f1(statistics.sum(0)[None])[0])
    return scored.make("f1", value, resample(statistics, _macro_f1, scored.num_bootstrap))


def _macro_f1(sums: Array) -> Array:
    size = round(sums.shape[1] ** 0.5)
    confusion = sums.reshape(-1, size, size)
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    occurrences = confusion.sum(1) + confusion.sum(2)  # 2 true positives + false positives + false negatives
    scores = np.divide(2 * hits, occurrences, out=np.zeros_like(hits), where=occurrences > 0)
    mean: Array = scores.sum(1) / (occurrences > 0).sum(1)
    return mean


def keyword_label(output: str, keywords: Sequence[str]) -> int | None:
    """Return the label whose keyword an answer names; None when it names none or several."""
    named = [label for label, keyword in enumerate(keywords) if keyword in output]
    return named[0] if len(named) == 1 else None


def keyword_scores(
    scored: Scored, outputs: Sequence[str], labels: Sequence[int], keywords: Sequence[str]
) -> list[Score]:
    """Score answers by their keywords: an answer that names both or neither is wrong.

    ``answered`` is the share that names exactly one, ``both_keywords`` the share that names both. ``acc_answered`` is
    the accuracy among the answered, and is left out when nothing was answered.
    """
    answers = [keyword_label(output, keywords) for output in outputs]
    correct = [float(answer == label) for answer, label in zip(answers, labels, strict=True)]
    answered = [index for index, answer in enumerate(answers) if answer is not None]
    scores = [
        mean_score(scored, "acc", correct),
        mean_score(scored, "answered", [float(answer is not None) for answer in answers]),
        mean_score(scored, "both_keywords", [float(all(word in output for word in keywords)) for output in outputs]),
    ]
    among = scored.of_items(answered)
    return scores + ([mean_score(among, "acc_answered", [correct[index] for index in answered])] if answered else [])


def translation_scores(
    scored: Scored, outputs: Sequence[str], references: Sequence[Sequence[str]], target_language: str
) -> list[Score]:
    """Score translations into a language, each against one reference or several."""
    # sacreBLEU wants the items' first references, then their second ones, None where an item has no more.
    most = max(map(len, references))
    streams = [[texts[place] if place < len(texts) else None for texts in references] for place in range(most)]
    return [
        _corpus_score(scored, name, metric, outputs, streams)
        for name, metric in translation_metrics(target_language).items()
    ]


def translation_metrics(target_language: str) -> dict[str, Any]:
    """Return sacreBLEU's metrics of translations into a language, by the names of our scores.

    BLEU's words are those of sacreBLEU's tokenizer for the language; ``bleu_char`` is BLEU over characters. chrF++ has
    word order 2. TER is the share of words to be edited, in percent: less is better. In Chinese and Japanese its words
    are characters; it is not computed in other languages without spaces, whose sentences would be a word each.

    Raises:
        BadInputError: when that tokenizer is not installed.
    """
    refuse_missing_bleu([target_language])
    from sacrebleu.metrics import BLEU, CHRF, TER

    # force: an output that looks tokenized is the model's business; sacreBLEU would only warn.
    known = language(target_language)
    metrics = {
        "bleu": BLEU(tokenize=known.bleu_tokenizer, force=True),
        "chrf++": CHRF(word_order=2),
        "bleu_char": BLEU(tokenize="char", force=True),
    }
    if known.is_spaced:
        return {**metrics, "ter": TER()}
    is_cut = {*known.own_scripts} <= _CUT_BY_TER
    return {**metrics, "ter": TER(normalized=True, asian_support=True)} if is_cut else metrics


def over_wordings(task: str, scores: Sequence[Sequence[Score]]) -> list[Score]:
    """Return each metric's best, mean and worst over wordings of the instruction, from the wordings' scores.

    ``worst_to_best`` is the worst as a share of the best, 0 where the best is nothing; a metric of which less is better
    has none. Resamples are combined draw by draw: all wordings are asked about the same items, and resampled alike.
    """
    found = []
    for members in zip(*scores, strict=True):
        first = members[0]
        resamples = [score.resamples for score in members if score.resamples is not None]
        ways: dict[str, Callable[..., Any]] = {"best": np.max, "mean": np.mean, "worst": np.min}
        if first.less_is_better:
            ways |= {"best": np.min, "worst": np.max}
        else:
            ways["worst_to_best"] = _worst_to_best
        for name, combine in ways.items():
            values = [score.value for score in members]
            changes = {"task": task, "metric": f"{first.metric}_{name}", "value": float(combine(values))}
            if resamples:
                combined = combine(np.stack(resamples), axis=0)
                low, high = interval(combined)
                changes |= {"low": low, "high": high, "interval": "bootstrap", "resamples": combined}
            signature = f"{name}_of:{len(members)} wordings|{first.signature}"
            found.append(replace(first, **changes, signature=signature))
    return found


def _worst_to_best(values: Any, axis: int = 0) -> Any:
    worst, best = np.min(values, axis), np.max(values, axis)
    return np.divide(worst, best, out=np.zeros_like(best), where=best > 0)


def _corpus_score(
    scored: Scored, name: str, metric: Any, outputs: Sequence[str], references: Sequence[Sequence[str | None]]
) -> Score:
    # sacreBLEU's own bootstrap does the same with a Python loop and reports half the interval's width only.
    statistics = np.asarray(metric._extract_corpus_statistics(outputs, references), np.float64)

    def values(sums: Array) -> Array:
        return np.array([metric._compute_score_from_stats(row.tolist()).score for row in sums])

    value = float(values(statistics.sum(0)[None])[0])
    resamples = resample(statistics, values, scored.num_bootstrap)
    return scored.make(name, value, resamples, metric.get_signature().format())
