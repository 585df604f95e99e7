"""What a judge's verdicts say: wins with intervals, how much hangs on the order, and whether people agree."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crosstune.evaluate.intervals import wilson
from crosstune.judge.ask import Judged
from crosstune.report.tables.significance import ALPHA, holm, mcnemar

# Of fewer, a judge that always names the same place has p > 0.05.
_FEWEST_PAIRS = 6


@dataclass(frozen=True)
class Wins:
    """How two systems compare on a task.

    Attributes:
        wins: items on which the judge finds the first system better in both orders.
        losses: the same of the second.
        ties: items that it finds equal in both orders, or whose answers are the same.
        undecided: items on which the verdict hangs on the order; they count as ties.
        unread: items with a reply that names no place; they count as nothing.
        rate: (wins + half of ties and undecided) / all that were read; None where nothing was.
        low: lower end of the 95 % interval of ``rate``, by Wilson's formula.
        high: its upper end.
        p: of the exact sign test on wins and losses, two-sided.
        p_holm: the same, corrected by Holm's method for all pairs of systems and tasks that are judged.
    """

    task: str
    first: str
    second: str
    wins: int
    losses: int
    ties: int
    undecided: int
    unread: int
    rate: float | None
    low: float | None
    high: float | None
    p: float
    p_holm: float


@dataclass(frozen=True)
class Order:
    """Whether the judge prefers a place.

    Each pair is asked about in both orders, so a judge that only reads the answers names both places equally often.

    Attributes:
        first: pairs on which it names the first place in both orders.
        second: the same of the second place.
        consistent: pairs on which its verdicts agree.
        p: of the exact sign test on ``first`` and ``second``, two-sided.
    """

    first: int
    second: int
    consistent: int
    num_pairs: int
    p: float

    @property
    def is_biased(self) -> bool:
        """Whether a place is preferred beyond chance."""
        return self.p < ALPHA

    def sentence(self) -> str:
        """Return what is found, in words."""
        share = f"{self.consistent} of {self.num_pairs} pairs have the same verdict in both orders"
        counts = f"the first answer is preferred in both orders {self.first} times, the second {self.second} times"
        if self.num_pairs < _FEWEST_PAIRS:
            return (
                f"Whether the judge prefers a position cannot be told from {self.num_pairs} pairs ({_FEWEST_PAIRS} are "
                f"needed): {counts}. {share}."
            )
        if not self.is_biased:
            return f"No position bias was found: {counts} (sign test: p = {self.p:.2g}). {share}."
        place = "reads first" if self.first > self.second else "reads last"
        return (
            f"The judge prefers the answer that it {place}: {counts} (sign test: p = {self.p:.2g}). {share}. "
            "Verdicts that depend on the order count as ties; a judge with less bias would decide more pairs."
        )


@dataclass(frozen=True)
class Agreement:
    """Whether the judge finds the same answers better as people did, who voted without knowing the systems.

    Attributes:
        agree: votes on which it names the same answer in both orders.
        disagree: votes on which it names the other one.
        undecided: votes on which it finds a tie, or its verdict hangs on the order.
        unread: votes with a reply that names no place.
        low: lower end of Wilson's 95 % interval of agree / (agree + disagree); None without either.
        high: its upper end.
    """

    agree: int
    disagree: int
    undecided: int
    unread: int
    low: float | None
    high: float | None


def wins_of(judged: Iterable[Judged]) -> list[Wins]:
    """Return the wins of every pair of systems on every task."""
    groups: dict[tuple[str, str, str], list[Judged]] = {}
    for one in judged:
        groups.setdefault((one.pair.task, one.pair.first, one.pair.second), []).append(one)
    found = [_wins(*names, several) for names, several in groups.items()]
    return [replace(one, p_holm=p) for one, p in zip(found, holm([one.p for one in found]), strict=True)]


def _wins(task: str, first: str, second: str, judged: Sequence[Judged]) -> Wins:
    read = [one for one in judged if one.winner is not None]
    won, lost = (sum(one.winner == name for one in read) for name in (first, second))
    equal = sum(one.in_order == one.swapped == "C" for one in read)
    points = won + (len(read) - won - lost) / 2
    rate, (low, high) = (points / len(read), wilson(points, len(read))) if read else (None, (None, None))
    undecided = len(read) - won - lost - equal
    unread = len(judged) - len(read)
    p = mcnemar(won, lost)
    return Wins(task, first, second, won, lost, equal, undecided, unread, rate, low, high, p, p)


def order_of(judged: Iterable[Judged]) -> Order:
    """Return whether a place is preferred, over all pairs that were asked about and read."""
    read = [one for one in judged if one.is_asked and one.winner is not None]
    named = [(one.in_order, one.swapped) for one in read]
    first, second = named.count(("A", "A")), named.count(("B", "B"))
    consistent = sum(both in (("A", "B"), ("B", "A"), ("C", "C")) for both in named)
    return Order(first, second, consistent, len(read), mcnemar(first, second))


def agreement_of(judged: Iterable[Judged]) -> Agreement:
    """Return how the judge's verdicts compare with the votes on the same pairs."""
    several = list(judged)
    decided = [one for one in several if one.winner]
    agree = sum(one.winner == one.pair.preferred for one in decided)
    unread = sum(one.winner is None for one in several)
    low, high = wilson(agree, len(decided)) if decided else (None, None)
    return Agreement(agree, len(decided) - agree, len(several) - len(decided) - unread, unread, low, high)


def as_json(wins: Sequence[Wins], order: Order, agreement: Agreement | None) -> dict[str, Any]:
    """Return the whole summary as a JSON object."""
    found: dict[str, Any] = {"wins": [vars(one) for one in wins], "order": {**vars(order), "biased": order.is_biased}}
    return found | ({} if agreement is None else {"agreement_with_votes": vars(agreement)})
