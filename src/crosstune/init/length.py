"""How long training is: epochs or steps, and rows a step, from what the hours leave."""

from dataclasses import dataclass

from crosstune.init.budget import Budget, minutes
from crosstune.init.rows import DrawnRows

_MOST_EPOCHS = 3
_FEW_STEPS = 100
_BATCHES = (64, 32, 16)
_SMALL_CORPUS = 20_000


@dataclass(frozen=True)
class Length:
    """How long training is: epochs where the hours allow for one and more and all rows were counted, else steps."""

    setting: dict[str, float]
    batch: int
    why: str
    seconds: float
    num_steps: int

    @property
    def is_short(self) -> bool:
        """Whether little can be learned in so many steps."""
        return self.num_steps < _FEW_STEPS


def length_of(drawn: DrawnRows, budget: Budget) -> Length:
    """Return epochs or steps that fit the hours; where steps are few, of fewer rows each."""
    speed, seconds = budget.speed, budget.for_training
    is_small = drawn.num_rows < _SMALL_CORPUS
    for batch in _BATCHES[is_small:]:
        step = speed.step_seconds(batch)
        steps, epoch = int(seconds / step), drawn.num_rows / batch
        if steps >= _FEW_STEPS or epoch < _FEW_STEPS:
            break
    rate = f"{batch * drawn.tokens_per_row / step:,.0f} tokens a second ({speed.how})"
    if drawn.has_more:
        # How long an epoch is, is not known: steps take as long as they are said to.
        steps = min(steps, round(_MOST_EPOCHS * epoch))
    elif steps >= epoch:
        number = float(min(_MOST_EPOCHS, int(steps / epoch)))
        steps = max(1, round(number * epoch))
        verb = "epoch takes" if number == 1 else "epochs take"
        why = f"{number:g} {verb} about {minutes(steps * step)} (steps: {steps:,}): {rate}"
        return Length({"num_epochs": number}, batch, why, steps * step, steps)
    steps = max(1, steps)
    verb = "step takes" if steps == 1 else "steps take"
    of_what = "the rows that were counted, and there are more" if drawn.has_more else "an epoch"
    share = f"{batch} rows each, {steps / epoch:.1%} of {of_what}"
    why = f"{steps:,} {verb} about {minutes(steps * step)} ({share}): {rate}"
    return Length({"num_steps": steps}, batch, why, steps * step, steps)
