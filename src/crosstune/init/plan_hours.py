"""From the hours to pieces, method, items and steps: measured for as many pieces as text pays for, then for fewer."""

from dataclasses import dataclass
from functools import cached_property

from crosstune.errors import BadInputError
from crosstune.init.budget import SHARE_FOR_SCORING, Budget, seconds_to_prepare
from crosstune.init.corpus import Mixture
from crosstune.init.length import Length, length_of
from crosstune.init.machine import Planned, plan_for
from crosstune.init.pieces import PieceChoice
from crosstune.init.request import InitRequest
from crosstune.init.rows import DrawnRows, TokenCounter, draw
from crosstune.init.scoring import cost_of_items, fit
from crosstune.init.sources import Sources
from crosstune.init.speed import Pace, speed_of
from crosstune.languages.registry import language_name
from crosstune.prompts.templates import Template
from crosstune.terminal.output import console, quiet
from crosstune.tokenizer.bpe import BpeTokenizer


@dataclass(frozen=True)
class Training:
    """What is trained on, as the model's own tokenizer cuts it.

    Attributes:
        template: what is asked in.
        longest: tokens of a row, at most.
    """

    chosen: Sources
    mixture: Mixture
    base: BpeTokenizer
    template: Template
    longest: int


@dataclass(frozen=True)
class HoursPlan:
    """What the hours are spent on."""

    pieces: PieceChoice
    planned: Planned
    drawn: DrawnRows
    budget: Budget

    @cached_property
    def length(self) -> Length:
        """How long training is."""
        return length_of(self.drawn, self.budget)

    @property
    def target_tokens(self) -> float:
        """Tokens of text in the target language that training reads."""
        return self.length.num_steps * self.length.batch * self.drawn.target_tokens_per_row


def plan_hours(asked: InitRequest, training: Training, pieces: PieceChoice) -> HoursPlan:
    """Choose how to train, measure it, and share out the hours; no more pieces than training sees often enough."""
    with quiet(console):
        pieces, planned = _fitting(asked, training, pieces)
        plan = _plan(asked, training, pieces, planned, None)
        only_float32 = planned.is_processor and plan.budget.speed.gain < 1
        if only_float32:
            # Its products are faster in bfloat16, and the whole model is not: a small one, or one of many small steps.
            _, planned = _fitting(asked, training, pieces, only_float32)
            plan = _plan(asked, training, pieces, planned, plan.budget.speed.trained_as_scored())
        fewer = pieces.trainable(plan.target_tokens, language_name(asked.languages.target, "en"))
        if fewer is pieces:
            return plan
        _, again = _fitting(asked, training, fewer, only_float32)
        is_same = again.cost.method == planned.cost.method
        return _plan(asked, training, fewer, again, plan.budget.speed if is_same else None)


def _fitting(
    asked: InitRequest, training: Training, pieces: PieceChoice, only_float32: bool = False
) -> tuple[PieceChoice, Planned]:
    """Return as many pieces as some way of training has memory for, and the first such way.

    Raises:
        BadInputError: when the model does not fit without new pieces, either.
    """
    for choice in pieces.and_fewer():
        try:
            return choice, plan_for(asked.subject, asked.gpu, only_float32, (training.base.size, choice.number))
        except BadInputError:
            if not choice.number:
                raise
    raise AssertionError("no pieces are the last choice")


def _plan(
    asked: InitRequest, training: Training, pieces: PieceChoice, planned: Planned, known: Pace | None
) -> HoursPlan:
    chosen, base, languages = training.chosen, training.base, asked.languages
    counter = TokenCounter(
        base, languages.target, pieces.saved, base.size + pieces.number, pieces.number, training.template
    )
    drawn = draw(chosen, training.mixture, languages, counter, training.longest)
    speed = speed_of(asked.subject, planned, drawn, counter, known)
    costs = cost_of_items(chosen.tasks, asked.root, languages, counter, speed)
    scored = fit(chosen.tasks, costs, SHARE_FOR_SCORING * asked.hours * 3600)
    budget = Budget(asked.hours, speed, seconds_to_prepare(chosen, speed), scored)
    return HoursPlan(pieces, planned, drawn, budget)
