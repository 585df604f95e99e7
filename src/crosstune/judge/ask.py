"""Asking a judge about pairs of answers, each in both orders; replies are kept as they come.

The form of the question and of the verdict is that of pairwise judging in MT-Bench (Zheng et al. 2023, section 3.1 and
figure 5 of https://arxiv.org/abs/2306.05685).
"""

import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crosstune.judge.endpoint import Endpoint
from crosstune.judge.pairs import Pair
from crosstune.terminal import progress

Place = Literal["A", "B", "C"]
_VERDICT = re.compile(r"\[\[([ABC])\]\]")
QUESTION = """\
Compare the answers of two assistants to the question of a user. Judge how correct, helpful and complete they are, and \
whether they do what the user asked for, in the language that the user asked for. Neither the order of the answers nor \
their length may count.

[Question]
{question}
[End of the question]

[Answer A]
{first}
[End of answer A]

[Answer B]
{second}
[End of answer B]

Say in a few words why, and then your verdict as the last line: [[A]] if answer A is better, [[B]] if answer B is \
better, [[C]] if they are equally good.
"""


@dataclass(frozen=True)
class Judged:
    """A pair with the judge's two verdicts: which place it named, or None where a reply names none.

    Attributes:
        in_order: with the first system's answer as A.
        swapped: with the second system's answer as A.
    """

    pair: Pair
    in_order: Place | None
    swapped: Place | None
    is_asked: bool = True

    @property
    def winner(self) -> str | None:
        """Who is better in both orders; empty for a tie and for verdicts that hang on the order; None if unread."""
        if self.in_order is None or self.swapped is None:
            return None
        named = (self.in_order, self.swapped)
        return {("A", "B"): self.pair.first, ("B", "A"): self.pair.second}.get(named, "")


def verdict_of(reply: str) -> Place | None:
    """Return the place that a reply names: its last verdict, since a judge may weigh both before it."""
    found: list[Place] = _VERDICT.findall(reply)
    return found[-1] if found else None


def judge(pairs: Sequence[Pair], endpoint: Endpoint, file: Path, num_parallel: int) -> list[Judged]:
    """Ask about each pair in both orders, and return the verdicts; equal answers are a tie and are not asked about.

    ``file`` keeps the replies: what it holds of the same question and answers is not asked for again.

    Raises:
        BadInputError: when the endpoint cannot be asked; what was replied stands in the file.
    """
    replies = _kept(file)
    different = [pair for pair in pairs if pair.answers[0] != pair.answers[1]]
    wanted = {(pair.key, swapped): pair for pair in different for swapped in (False, True)}
    missing = {asked: pair for asked, pair in wanted.items() if asked not in replies}
    if missing:
        client = endpoint.client()
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            file.open("a", encoding="utf-8") as log,
            progress("replies of the judge", len(missing)) as advance,
            ThreadPoolExecutor(num_parallel) as pool,
        ):
            waiting = {
                pool.submit(endpoint.ask, client, _question(pair, swapped)): (pair.key, swapped)
                for (_, swapped), pair in missing.items()
            }
            try:
                for done in as_completed(waiting):
                    key, swapped = waiting[done]
                    replies[key, swapped] = done.result()
                    row = {"pair": key, "swapped": swapped, "reply": replies[key, swapped]}
                    log.write(json.dumps(row, ensure_ascii=False) + "\n")
                    log.flush()
                    advance()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return [_judged(pair, replies) for pair in pairs]


def _question(pair: Pair, swapped: bool) -> str:
    first, second = reversed(pair.answers) if swapped else pair.answers
    return QUESTION.format(question=pair.question, first=first, second=second)


def _judged(pair: Pair, replies: dict[tuple[str, bool], str]) -> Judged:
    if pair.answers[0] == pair.answers[1]:
        return Judged(pair, "C", "C", is_asked=False)
    return Judged(pair, verdict_of(replies[pair.key, False]), verdict_of(replies[pair.key, True]))


def _kept(file: Path) -> dict[tuple[str, bool], str]:
    """Return the whole lines of an earlier call; a kill can leave a torn last one."""
    if not file.is_file():
        return {}
    lines: Iterable[str] = file.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return {(row["pair"], row["swapped"]): row["reply"] for row in rows}
