"""How fast a machine trains a mixture and scores items: measured on rows of its lengths, or by a GPU's data sheet."""

import copy
from dataclasses import dataclass, replace

from crosstune.doctor.subject import Subject
from crosstune.init.machine import Planned
from crosstune.init.rows import DrawnRows, TokenCounter
from crosstune.models.shapes import shapes_only
from crosstune.plan.case import Case
from crosstune.plan.here import Measured, Stopwatch
from crosstune.plan.known_models import phase_on_text
from crosstune.recipe import Phase, Train
from crosstune.train.batches import Schedule, make_schedule
from crosstune.train.cost import count_tokens

_MEASURED_STEPS, _MEASURED_BATCH = 8, 32
# Tokens that are written one by one cost more than those that are read at once, and each step of rows side by side
# costs something by itself.
_WRITING, _SECONDS_A_WRITTEN_TOKEN = 1.2, 0.0005


@dataclass(frozen=True)
class Pace:
    """What training and scoring take.

    Attributes:
        flops_per_second: useful operations in training.
        scoring_flops_per_second: the same in the precision of scoring.
        flops_per_row: of a row of the mixture in training.
        optimizer_seconds: of a step, besides.
        inner: operations of a token that is read, without the head.
        head: of the head, where it is read.
        how: where the figures are from.
        measured: in training, where it was measured.
        measured_as_scored: with the precision of scoring.
    """

    flops_per_second: float
    scoring_flops_per_second: float
    flops_per_row: float
    optimizer_seconds: float
    inner: float
    head: float
    how: str
    measured: Measured | None = None
    measured_as_scored: Measured | None = None

    def step_seconds(self, batch: int) -> float:
        """Return the seconds of a training step."""
        return batch * self.flops_per_row / self.flops_per_second + self.optimizer_seconds

    def scoring_seconds(self, read: float, scored: float, written: float) -> float:
        """Return the seconds for tokens that are read, those of them whose likelihood counts, and written ones."""
        reading = read * self.inner + scored * self.head
        writing = _WRITING * written * (self.inner + self.head)
        return (reading + writing) / self.scoring_flops_per_second + written * _SECONDS_A_WRITTEN_TOKEN

    @property
    def share_of_cores(self) -> float:
        """What the measured process had of the cores; all of them where nothing was measured."""
        return self.measured.share_of_cores if self.measured else 1.0

    @property
    def gain(self) -> float:
        """How many times as fast a core trains as in the precision of scoring: however busy it was with either."""
        if not (self.measured and self.measured_as_scored):
            return self.flops_per_second / self.scoring_flops_per_second
        training, scoring = (
            one.flops_per_second / one.share_of_cores for one in (self.measured, self.measured_as_scored)
        )
        return training / scoring

    def trained_as_scored(self) -> "Pace":
        """Return what was measured of training in the precision of scoring."""
        return replace(self, measured=self.measured_as_scored)


def speed_of(
    subject: Subject, planned: Planned, drawn: DrawnRows, counter: TokenCounter, known: Pace | None = None
) -> Pace:
    """Return how fast the planned way of training goes on the planned machine; what is ``known`` is not measured."""
    phase = Phase.model_validate(
        {
            "mixture": "tuning",
            **planned.cost.method.phase_with(new_rows=counter.num_new > 0),
            "num_steps": _MEASURED_STEPS,
            "global_batch_size": _MEASURED_BATCH,
            "learning_rate": 1e-4,
        }
    )
    schedule = make_schedule(len(drawn.rows), phase, (0,))
    settings = planned.cost.settings
    tokens = count_tokens(drawn.rows, schedule, 1, settings.micro_batch_tokens)
    config = copy.deepcopy(subject.config)
    config.vocab_size = max(config.vocab_size, counter.num_rows)
    old_size = counter.num_rows - counter.num_new if counter.num_new else None
    case = Case(config, old_size, phase, settings, tokens, 1)
    useful = case.flops()
    flops_per_row = useful / (_MEASURED_STEPS * _MEASURED_BATCH)
    inner, head = _forward(case)
    if not planned.is_measured:
        rate = useful / (case.hours(planned.machine) * 3600)
        how = f"{planned.machine.mfu:.0%} of the peak of {planned.machine.gpu.name}, assumed"
        return Pace(rate, _assumed(planned, planned.scoring_precision), flops_per_row, 0.0, inner, head, how)
    if known and known.measured and known.measured_as_scored:
        training, scoring = known.measured, known.measured_as_scored
    else:
        training, scoring = _measure(case, drawn, schedule, planned)
    what = "measured here" if training.num_layers else "a guess: the model could not be tried here"
    how = f"{what}{' in bfloat16' if settings.precision == 'bf16' else ''}, {planned.machine.gpu.name}"
    rates = training.flops_per_second, scoring.flops_per_second
    return Pace(*rates, flops_per_row, training.optimizer_seconds, inner, head, how, training, scoring)


def _measure(case: Case, drawn: DrawnRows, schedule: Schedule, planned: Planned) -> tuple[Measured, Measured]:
    """Return how fast this machine trains, as planned and in the precision of scoring."""
    cases = [case]
    if case.settings.precision != planned.scoring_precision:
        plain = Train(precision=planned.scoring_precision, micro_batch_tokens=case.settings.micro_batch_tokens)
        cases.append(replace(case, settings=plain))
    stopwatch, found = Stopwatch(len(cases)), []
    for one in cases:
        try:
            found.append(stopwatch.measure(one, drawn.rows, schedule))
        # A model of random weights cannot be tried where an architecture wants more than its configuration.
        except Exception:
            found.append(Measured(_assumed(planned, one.settings.precision), 0.0, 0))
    return found[0], found[-1]


def _assumed(planned: Planned, precision: str) -> float:
    """Return the useful operations per second that a machine is assumed to reach in a precision."""
    return planned.machine.mfu * planned.machine.gpu.tflops(precision) * 1e12


def _forward(case: Case) -> tuple[float, float]:
    """Return the operations of a forward pass for a token, without the head and of the head alone."""
    with shapes_only():
        head = 2.0 * case.model().get_output_embeddings().weight.numel()  # type: ignore[no-untyped-call]
    tokens = replace(case.tokens, supervised=0, attended=0)
    full = replace(case, phase=phase_on_text(method="full"), tokens=tokens)
    return full.flops() / 3 / tokens.computed, head
