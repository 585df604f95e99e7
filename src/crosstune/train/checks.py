"""What is looked at while a phase trains: held-out text, and the suite."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.train.metrics import MetricsFile
from crosstune.train.position import Position

ScoreSuite = Callable[[PreTrainedModel, PreTrainedTokenizerBase], dict[str, dict[str, float]]]
"""Scores a model on the suite, as {task: {metric: value}}, and leaves it as it was."""


@dataclass(frozen=True)
class Check:
    """Something that is looked at behind every so many steps, and at the begin and the end of a phase.

    Attributes:
        name: what trackers call it.
        key: of what is seen, in a row of the file.
        look: returns what is seen of the model; its last argument is the number of tokens of a forward pass.
        file: where the rows go.
    """

    name: str
    key: str
    look: Callable[[Accelerator, Any, int], dict[str, Any]]
    every_steps: int
    file: MetricsFile

    def is_due(self, position: Position, num_steps: int) -> bool:
        """Return whether it is looked at here, and a run that was interrupted has not done so."""
        is_due = position.step % self.every_steps == 0 or position.step == num_steps
        return is_due and not self.file.has_row_at(position)

    def run(self, accelerator: Accelerator, model: Any, position: Position, budget: int) -> dict[str, Any]:
        """Look, write the row, and return what trackers show of it."""
        seen = self.look(accelerator, model, budget)
        if accelerator.is_main_process:
            self.file.append({"phase": position.phase, "step": position.step, self.key: seen})
        return {"step": position.step, self.name: seen}
