"""The suite, scored while a system trains: what training calls every so many steps."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.evaluate.judging import judging_of
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.suite import Suite
from crosstune.recipe import Recipe
from crosstune.runs.files import SCORING
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder


class SuiteScorer:
    """Scores models on a draw of the recipe's suite, as {task: {metric: value}}.

    It computes in the precision of the weights, as `crosstune evaluate` does by default, also where ``train.precision``
    is bf16 (layers that multiply in fp8 stay so), and leaves the model as it was: its mode, its attention.

    Attributes:
        fingerprint: of what is asked and how it is judged: scores with the same one can be compared.
    """

    def __init__(self, recipe: Recipe, run: RunFolder) -> None:
        settings = recipe.train
        self._folder = tempfile.TemporaryDirectory(prefix=SCORING, dir=run.root)
        path = Path(self._folder.name)
        self._suite = Suite.of(recipe, run).smaller(settings.score_tasks, settings.score_max_items, path)
        self.fingerprint = _fingerprint(recipe, self._suite)

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, dict[str, float]]:
        """Score a model as it is now."""
        attention, was_training = model.config._attn_implementation, model.training
        tokenizer.chat_template = self._suite.template.chat_template()
        model.eval()  # type: ignore[no-untyped-call]
        with _without_autocast(model), OutputLog(Path(self._folder.name) / "answers.jsonl", "") as log:
            results = self._suite.score(model, tokenizer, log)
        log.remove()
        model.set_attn_implementation(attention)
        model.train(was_training)
        found: dict[str, dict[str, float]] = {}
        for result in results:
            for one in result.scores:
                found.setdefault(one.task, {})[one.metric] = one.value
        return found


def _fingerprint(recipe: Recipe, suite: Suite) -> str:
    """Return the hash of all that decides the scores of a model during training."""
    return fingerprint(
        "scores during training",
        suite.instructions(),
        suite.prompts(),
        suite.tasks,
        suite.items,
        [recipe.data.prompt, recipe.languages],
        {label: [task.file_hashes(), task.max_items] for label, task in suite.harness_tasks.items()},
        judging_of(suite.tasks, None),
    )


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
