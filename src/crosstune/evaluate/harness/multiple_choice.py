"""Multiple choice, and any task of lm-evaluation-harness: its tasks, its evaluator, our model."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.evaluate.harness.task_files import AskedAs, HarnessTask, Loaded
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.scores import (
    QUICK_AGGREGATIONS,
    Result,
    Scored,
    aggregated_score,
    bits_per_byte_score,
    macro_f1_score,
    mean_of_tasks_score,
    mean_score,
)
from crosstune.prompts.controls import without_marks
from crosstune.recipe import Evaluate
from crosstune.runs.records import Better, OutputRow, Score
from crosstune.tokens.bits_per_byte import bits_per_byte

# What a task's `higher_is_better` says of a metric.
_BETTER: dict[bool | None, Better] = {True: "more", False: "less", None: ""}

Row = dict[str, Any]


def score_in_harness(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Mapping[str, HarnessTask],
    settings: Evaluate,
    log: OutputLog | None = None,
) -> dict[str, Result]:
    """Score tasks, given by label; ``log`` keeps log-likelihoods as they come."""
    if not tasks:
        return {}
    # Loading the harness takes three seconds, so only a run that scores loads it.
    import lm_eval

    from crosstune.evaluate.harness.language_model import CrosstuneLM

    with quiet_harness():
        loaded = {label: task.load() for label, task in tasks.items()}
        drawn = {label: task.draw(loaded[label]) for label, task in tasks.items()}
        parts = {
            _key(label, name, loaded[label]): (label, name)
            for label, found in loaded.items()
            for name in drawn[label] or found.tasks
        }
        results: dict[str, dict[str, Any]] = {"versions": {}, "n-shot": {}, "samples": {}}
        for asked_as in dict.fromkeys(task.asked_as for task in tasks.values()):
            alike = {key: part for key, part in parts.items() if tasks[part[0]].asked_as == asked_as}
            of_these = _evaluate(
                CrosstuneLM(
                    model,
                    tokenizer,
                    batch_tokens=settings.batch_tokens,
                    log=log,
                    is_rendered=asked_as.is_rendered,
                ),
                {key: loaded[label].tasks[name] for key, (label, name) in alike.items()},
                {key: some[name] for key, (label, name) in alike.items() if (some := drawn[label])},
                asked_as,
            )
            for what, by_task in results.items():
                by_task |= of_these[what]
    found = {}
    for label, task in tasks.items():
        keys = [key for key, (of, _) in parts.items() if of == label]
        versions, shots = (
            "+".join(sorted({str(results[what][key]) for key in keys})) for what in ("versions", "n-shot")
        )
        signature = f"harness:{lm_eval.__version__}|task:{task.name}|v:{versions}|shots:{shots}"
        members = [loaded[label].tasks[parts[key][1]] for key in keys]
        if members[0].config.doc_to_text == "query":
            signature += f"|prompt:{task.prompt.name}"
        if task.chat_template:
            signature += f"|chat_template:own|fewshot_as_multiturn:{'yes' if task.fewshot_as_multiturn else 'no'}"
        samples = [
            {**sample, "of": parts[key][1] if loaded[label].is_group else ""}
            for key in keys
            for sample in sorted(results["samples"][key], key=lambda sample: sample["doc_id"])
        ]
        scored = Scored(label, signature, settings.num_bootstrap, items=())
        scores = _scores(scored, samples, members[0], loaded[label].counts_items)
        found[label] = Result(_rows(label, samples), scores)
    return found


def _evaluate(model: Any, tasks: dict[str, Any], samples: dict[str, list[int]], asked_as: AskedAs) -> dict[str, Any]:
    """Let the harness ask tasks that are all asked in a chat template, or all without."""
    import lm_eval

    found: dict[str, Any] = lm_eval.evaluate(
        model,
        {"tasks": tasks},
        samples=samples or None,
        bootstrap_iters=0,  # the intervals are ours: the harness has standard errors only
        log_samples=True,
        apply_chat_template=asked_as.in_chat,
        fewshot_as_multiturn=asked_as.multiturn,
    )
    return found


def _key(label: str, name: str, loaded: Loaded) -> str:
    """Return what a task is called while it is scored: two labels may stand for the same one."""
    return f"{label}/{name}" if loaded.is_group else label


def _scores(scored: Scored, samples: list[Row], task: Any, counts_items: bool = True) -> list[Score]:
    """Score each metric of each filter; the harness lists a document once for each filter of its answers."""
    scores = []
    aggregations, higher_is_better = task.aggregation(), task.higher_is_better()
    filters = list(dict.fromkeys(sample["filter"] for sample in samples))
    for name in filters:
        members = [sample for sample in samples if sample["filter"] == name]
        for metric in dict.fromkeys(metric for sample in members for metric in sample["metrics"]):
            having = [sample for sample in members if metric in sample]
            of_these = replace(scored, items=tuple(_item(sample) for sample in having))
            whole = metric if len(filters) == 1 else f"{metric}_{name}"
            values = [sample[metric] for sample in having]
            aggregation = aggregations.get(metric)
            if counts_items:
                score = _score(of_these, whole, values, aggregation)
            else:
                score = _score_by_tasks(of_these, whole, [sample["of"] for sample in having], values, aggregation)
            scores.append(replace(score, better=_BETTER[higher_is_better.get(metric)]))
    return scores


def _score_by_tasks(
    scored: Scored, metric: str, tasks: Sequence[str], values: Sequence[Any], aggregation: Any
) -> Score:
    """Score a group whose tasks count alike: the mean of what each has."""
    if _name_of(aggregation) == "mean":
        return mean_of_tasks_score(scored, metric, tasks, list(map(float, values)))

    def mean(drawn: list[tuple[str, Any]]) -> float:
        by_task: dict[str, list[Any]] = {}
        for task, value in drawn:
            by_task.setdefault(task, []).append(value)
        return sum(float(aggregation(of_one)) for of_one in by_task.values()) / len(by_task)

    by_item, is_quick = list(zip(tasks, values, strict=True)), _name_of(aggregation) in QUICK_AGGREGATIONS
    return aggregated_score(scored, metric, by_item, mean, is_quick)


def _name_of(aggregation: Any) -> str:
    return str(getattr(aggregation, "__name__", "mean"))


def _item(sample: Row) -> str:
    """Return what was asked about, and what would be right."""
    return repr((_id(sample), sample["target"]))


def _id(sample: Row) -> str:
    number = str(sample["doc"].get("id", sample["doc_id"]))
    return f"{sample['of']}:{number}" if sample["of"] else number


def _score(scored: Scored, metric: str, values: list[Any], aggregation: Any) -> Score:
    name = _name_of(aggregation)
    if name == "mean":
        return mean_score(scored, metric, [float(value) for value in values])
    if name == "macro_f1_score":
        references, predictions = zip(*values, strict=True)
        return macro_f1_score(scored, references, predictions)
    if name == "bits_per_byte":
        return bits_per_byte_score(scored, values)
    return aggregated_score(scored, metric, values, aggregation, is_quick=name in QUICK_AGGREGATIONS)


def _rows(label: str, samples: list[Row]) -> list[OutputRow]:
    """Return a row of ``outputs.jsonl`` per document, by the first filter."""
    return [_row(label, sample) for sample in samples if sample["filter"] == samples[0]["filter"]]


def _row(label: str, sample: Row) -> OutputRow:
    arguments, answers = sample["arguments"], sample["filtered_resps"]
    what = label, _id(sample), without_marks(arguments[0][0])
    correct = bool(sample["acc"]) if "acc" in sample else None
    if "bits_per_byte" in sample:
        log_probability, num_bytes = sample["bits_per_byte"]
        bits = bits_per_byte(-log_probability, num_bytes)
        return OutputRow(*what, f"{bits:.3f} bits per byte", reference="", correct=None)
    if len(arguments) == 1:
        output = answers[0] if isinstance(answers[0], str) else json.dumps(answers[0])
        return OutputRow(*what, output, str(sample["target"]), correct)
    endings = [continuation for _, continuation in arguments]
    log_likelihoods = [answer[0] for answer in answers]
    chosen = max(range(len(endings)), key=lambda index: log_likelihoods[index])
    target = sample["target"]
    if isinstance(target, str):  # the ending itself, without what the harness writes before it
        target = sample["doc"].get("label", target)
    reference = endings[target] if isinstance(target, int) else str(target)
    return OutputRow(*what, endings[chosen], reference, correct, log_likelihoods=tuple(log_likelihoods))


@contextmanager
def quiet_harness() -> Iterator[None]:
    """Silence the harness's and the datasets library's bars and notes; errors still come through."""
    import datasets
    from lm_eval.api import task as harness_task

    logger, bars = logging.getLogger("lm_eval"), harness_task.tqdm
    level, had_bars = logger.level, datasets.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    harness_task.tqdm = lambda rows, **_: rows
    try:
        yield
    finally:
        logger.setLevel(level)
        harness_task.tqdm = bars
        if not had_bars:
            datasets.enable_progress_bars()
