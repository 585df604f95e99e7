"""Multiple choice through lm-evaluation-harness: its tasks, its evaluator, our model."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.evaluate.scores import Result, Score, Scored, macro_f1_score, mean_score

TASKS = Path(__file__).parent / "tasks"
Row = dict[str, Any]


def has_task(task: str) -> bool:
    """Return whether a task is one of the harness's kind."""
    return (TASKS / f"{task}.yaml").is_file()


def score_multiple_choice(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Mapping[str, tuple[str, Path]],
    batch_tokens: int,
    num_bootstrap: int,
) -> dict[str, Result]:
    """Score tasks, given as label -> (task, items file)."""
    if not tasks:
        return {}
    # Loading the harness takes three seconds, so only a run that scores loads it.
    import lm_eval

    from crosstune.evaluate.harness import CrosstuneLM

    with _quiet_harness():
        loaded = {label: _load_task(task, path) for label, (task, path) in tasks.items()}
        results = lm_eval.evaluate(
            CrosstuneLM(model, tokenizer, batch_tokens=batch_tokens),
            {"tasks": loaded},
            bootstrap_iters=0,  # the intervals are ours: the harness has standard errors only
            log_samples=True,
        )
    return {
        label: _result(
            Scored(
                label,
                f"harness:{lm_eval.__version__}|task:{task}|v:{results['versions'][label]}|shots:0",
                num_bootstrap,
            ),
            sorted(results["samples"][label], key=lambda sample: sample["doc_id"]),
        )
        for label, (task, _) in tasks.items()
    }


def _load_task(task: str, items_file: Path) -> Any:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"path": str(items_file)})
    return manager.load(task)["tasks"][task]


def _result(scored: Scored, samples: list[Row]) -> Result:
    return Result([_row(scored.task, sample) for sample in samples], _scores(scored, samples))


def _scores(scored: Scored, samples: list[Row]) -> list[Score]:
    scores = []
    for metric in samples[0]["metrics"]:
        if metric == "f1":
            references, predictions = zip(*(sample["f1"] for sample in samples), strict=True)
            scores.append(macro_f1_score(scored, references, predictions))
        else:
            scores.append(mean_score(scored, metric, [sample[metric] for sample in samples]))
    return scores


def _row(label: str, sample: Row) -> Row:
    endings = [arguments[1] for arguments in sample["arguments"]]
    log_likelihoods = [answer[0] for answer in sample["filtered_resps"]]
    chosen = max(range(len(endings)), key=lambda index: log_likelihoods[index])
    return {
        "task": label,
        "id": sample["doc"]["id"],
        "prompt": sample["arguments"][0][0],
        "output": endings[chosen],
        "reference": endings[sample["doc"]["label"]],
        "correct": bool(sample["acc"]),
        "log_likelihoods": log_likelihoods,
    }


@contextmanager
def _quiet_harness() -> Iterator[None]:
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
