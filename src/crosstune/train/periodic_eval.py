"""What is scored while a phase trains: held-out text, and the suite."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.train.metrics import MetricsFile
from crosstune.train.position import Position


class ScoreSuite(Protocol):
    """Scores a model on the suite, as {task: {metric: value}}, and leaves it as it was.

    Attributes:
        fingerprint: of what is asked and how it is judged: scores with the same one can be compared.
    """

    fingerprint: str

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, dict[str, float]]:
        """Score a model as it is now."""


@dataclass(frozen=True)
class PeriodicEval:
    """An evaluation every so many steps, and at the start and the end of a phase.

    Attributes:
        name: what trackers call it.
        key: of its result, in a row of the file.
        evaluate: returns the result; its last argument is the number of tokens of a forward pass.
        file: where the rows go.
        facts: what each row says of how it was evaluated, with a fingerprint of all that decides the result but the
            model: settings and files may change before a training goes on.
    """

    name: str
    key: str
    evaluate: Callable[[Accelerator, Any, int], dict[str, Any]]
    every_steps: int
    file: MetricsFile
    facts: Mapping[str, Any]

    def is_due(self, position: Position, num_steps: int) -> bool:
        """Return whether it is due here, and was not done before an interruption."""
        is_due = position.step % self.every_steps == 0 or position.step == num_steps
        return is_due and not self.file.has_row_at(position)

    def run(self, accelerator: Accelerator, model: Any, position: Position, budget: int) -> dict[str, Any]:
        """Evaluate, write the row, and return what trackers show of it."""
        result = self.evaluate(accelerator, model, budget)
        if accelerator.is_main_process:
            self.file.append({"phase": position.phase, "step": position.step, **self.facts, self.key: result})
        return {"step": position.step, self.name: result}
