"""The suite, scored while a system trains: what training calls every so many steps."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.suite import Suite
from crosstune.recipe import Recipe
from crosstune.runs.files import SCORING
from crosstune.runs.folder import RunFolder


def scorer(
    recipe: Recipe, run: RunFolder
) -> Callable[[PreTrainedModel, PreTrainedTokenizerBase], dict[str, dict[str, float]]]:
    """Return a function that scores a model on a draw of the recipe's suite, as {task: {metric: value}}.

    It computes in the precision of the weights, as `crosstune evaluate` does by default, also where ``train.precision``
    is bf16 (layers that multiply in fp8 stay so), and leaves the model as it was: its mode, its attention.
    """
    settings = recipe.train
    folder = tempfile.TemporaryDirectory(prefix=SCORING, dir=run.root)
    suite = Suite.of(recipe, run).smaller(settings.score_tasks, settings.score_max_items, Path(folder.name))

    def score(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, dict[str, float]]:
        attention, was_training = model.config._attn_implementation, model.training
        tokenizer.chat_template = suite.template.chat_template()
        model.eval()  # type: ignore[no-untyped-call]
        with _without_autocast(model), OutputLog(Path(folder.name) / "answers.jsonl", "") as log:
            results = suite.score(model, tokenizer, log)
        log.remove()
        model.set_attn_implementation(attention)
        model.train(was_training)
        found: dict[str, dict[str, float]] = {}
        for result in results:
            for one in result.scores:
                found.setdefault(one.task, {})[one.metric] = one.value
        return found

    return score


@contextmanager
def _without_autocast(model: PreTrainedModel) -> Iterator[None]:
    """Let a model that accelerate prepared for bf16 compute by its own `forward`, while in this context.

    Only a call of the whole model goes by what accelerate puts in its place. Scoring also calls its parts, and would
    compute in two precisions.
    """
    prepared = vars(model).pop("forward", None)
    try:
        yield
    finally:
        if prepared is not None:
            vars(model)["forward"] = prepared
