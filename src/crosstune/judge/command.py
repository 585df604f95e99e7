"""`crosstune judge`: what a judge says of the systems of a run, printed and kept in the run folder."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.judge.ask import QUESTION, Judged, judge
from crosstune.judge.endpoint import Endpoint
from crosstune.judge.pairs import pairs_of_run, pairs_of_votes
from crosstune.judge.summary import Agreement, Order, Wins, agreement_of, as_json, order_of, wins_of
from crosstune.runs.files import write_json
from crosstune.runs.lock import only_process_in
from crosstune.terminal.output import new_table, note, results, shown


@dataclass(frozen=True)
class Wanted:
    """What is judged.

    Attributes:
        systems: empty for all that are scored.
        tasks: empty for all that are answered in words.
        max_items: of each task.
        votes: a file of `crosstune compare`, whose blind votes the judge is compared with.
    """

    systems: Sequence[str] = ()
    tasks: Sequence[str] = ()
    max_items: int = 100
    votes: Path | None = None
    num_parallel: int = 4


def run(folder: Path, endpoint: Endpoint, wanted: Wanted) -> None:
    """Judge, print the tables, and write RUN/judge/MODEL/summary.json beside the replies.

    Raises:
        BadInputError: for a run, systems, tasks or votes that cannot be judged, and an endpoint that cannot be asked.
    """
    pairs = pairs_of_run(folder, wanted.systems, wanted.tasks, wanted.max_items)
    voted = pairs_of_votes(wanted.votes) if wanted.votes else []
    place = folder / "judge" / (re.sub(r"[^\w.-]+", "-", endpoint.model).strip("-.") or "model")
    note(f"{len(pairs) + len(voted):,} pairs of answers go to {endpoint.url}, each in both orders")
    with only_process_in(place, "judge with another --model"):
        judged = judge([*pairs, *voted], endpoint, place / "replies.jsonl", wanted.num_parallel)
        of_run, of_votes = judged[: len(pairs)], judged[len(pairs) :]
        wins, order = wins_of(of_run), order_of(judged)
        agreement = agreement_of(of_votes) if of_votes else None
        settings = {"url": endpoint.url, "model": endpoint.model, "temperature": 0, "question": QUESTION}
        settings |= {"max_new_tokens": endpoint.max_new_tokens}
        write_json(place / "summary.json", {"judge": settings, **as_json(wins, order, agreement)})
    _print(wins, order, agreement, of_run, endpoint.max_new_tokens)
    note(f"replies.jsonl and summary.json in {place}")


def _print(
    wins: Sequence[Wins], order: Order, agreement: Agreement | None, judged: Sequence[Judged], limit: int
) -> None:
    for task in dict.fromkeys(one.task for one in wins):
        table = new_table(shown(task))
        for title in ("system", "against", "won", "lost", "tied", "by order", "win rate", "p, Holm"):
            table.add_column(title, justify="left" if title in ("system", "against") else "right", overflow="fold")
        for one in wins:
            if one.task == task:
                counts = map(str, (one.wins, one.losses, one.ties, one.undecided))
                table.add_row(shown(one.first), shown(one.second), *counts, _rate(one), f"{one.p_holm:.2g}")
        results.print(table)
        results.print()
    same, unread = sum(not one.is_asked for one in judged), sum(one.unread for one in wins)
    if same:
        results.print(f"{same} of {len(judged)} pairs have the same answer twice: ties, not asked about.")
    if unread:
        results.print(f"{unread} of {len(judged)} pairs have a reply without a verdict, and count as nothing.")
    if cut := sum(one.num_cut for one in judged):
        results.print(
            f"{cut} replies ran into the limit of {limit} tokens: raise --max-new-tokens, and they are asked for again."
        )
    results.print(order.sentence())
    if agreement is not None:
        results.print(_about(agreement))


def _rate(wins: Wins) -> str:
    if wins.rate is None or wins.low is None or wins.high is None:
        return "–"
    return f"{wins.rate:.2f} [{wins.low:.2f}, {wins.high:.2f}]"


def _about(agreement: Agreement) -> str:
    decided = agreement.agree + agreement.disagree
    left = f"{agreement.undecided} votes it does not decide, {agreement.unread} replies could not be read."
    if agreement.low is None or agreement.high is None:
        return f"It decides none of the pairs that were voted on. {left}"
    share = f"{agreement.agree / decided:.2f} [{agreement.low:.2f}, {agreement.high:.2f}]"
    return f"It agrees with {agreement.agree} of the {decided} blind votes that it decides, {share}. {left}"
