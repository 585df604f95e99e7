"""Asking a judge about pairs of answers, each in both orders; replies are kept as they come.

The form of the question and of the verdict is that of pairwise judging in MT-Bench (Zheng et al. 2023, section 3.1 and
figure 5 of https://arxiv.org/abs/2306.05685).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crosstune.judge.endpoint import Endpoint, Reply
from crosstune.judge.pairs import Pair
from crosstune.runs.files import read_whole_rows, write_jsonl
from crosstune.terminal.bars import progress

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
        num_cut: how many of the two replies ran into the limit.
    """

    pair: Pair
    in_order: Place | None
    swapped: Place | None
    is_asked: bool = True
    num_cut: int = 0

    @property
    def winner(self) -> str | None:
        """Who is better in both orders; empty for a tie and for verdicts that hang on the order; None if unread."""
        if self.in_order is None or self.swapped is None:
            return None
        named = (self.in_order, self.swapped)
        return {("A", "B"): self.pair.first, ("B", "A"): self.pair.second}.get(named, "")


def verdict_of(reply: Reply) -> Place | None:
    """Return the place that a reply names: its last verdict, since a judge may weigh both before it.

    One that ran into the limit weighed on, and names none.
    """
    found: list[Place] = _VERDICT.findall(reply.answer) if reply.finished else []
    return found[-1] if found else None


def judge(pairs: Sequence[Pair], endpoint: Endpoint, file: Path, num_parallel: int) -> list[Judged]:
    """Ask about each pair in both orders, and return the verdicts; equal answers are a tie and are not asked about.

    ``file`` keeps the replies: what it holds of the same judge, question and answers is not asked for again.

    Raises:
        BadInputError: when the endpoint cannot be asked; what was replied stands in the file.
    """
    rows = read_whole_rows(file)
    replies = _kept(rows)
    different = [pair for pair in pairs if pair.answers[0] != pair.answers[1]]
    questions = [_question(pair, swapped) for pair in different for swapped in (False, True)]
    missing = {key: text for text in questions if (key := _key(endpoint, text)) not in replies}
    if missing:
        client = endpoint.client()
        file.parent.mkdir(parents=True, exist_ok=True)
        # Without a torn last line: the next reply would be read as a part of it.
        write_jsonl(file, rows)
        with (
            file.open("a", encoding="utf-8") as log,
            progress("replies of the judge", len(missing)) as advance,
            ThreadPoolExecutor(num_parallel) as pool,
        ):
            waiting = {pool.submit(endpoint.reply, client, text): key for key, text in missing.items()}
            try:
                for done in as_completed(waiting):
                    key, reply = waiting[done], done.result()
                    replies[key] = reply
                    row = {"asked": key, "reply": reply.text, "finished": reply.finished}
                    log.write(json.dumps(row, ensure_ascii=False) + "\n")
                    log.flush()
                    advance()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return [_judged(pair, endpoint, replies) for pair in pairs]


def _key(endpoint: Endpoint, text: str) -> str:
    """Return what the reply to a question is kept under: the judge's name, and all that it reads.

    The same judge may be served at another address when an interrupted call goes on.
    """
    asked = json.dumps([endpoint.model, text], ensure_ascii=False)
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


def _question(pair: Pair, swapped: bool) -> str:
    first, second = reversed(pair.answers) if swapped else pair.answers
    return QUESTION.format(question=pair.question, first=first, second=second)


def _judged(pair: Pair, endpoint: Endpoint, replies: dict[str, Reply]) -> Judged:
    if pair.answers[0] == pair.answers[1]:
        return Judged(pair, "C", "C", is_asked=False)
    in_order, swapped = (replies[_key(endpoint, _question(pair, is_swapped))] for is_swapped in (False, True))
    num_cut = sum(not reply.finished for reply in (in_order, swapped))
    return Judged(pair, verdict_of(in_order), verdict_of(swapped), num_cut=num_cut)


def _kept(rows: Iterable[dict[str, Any]]) -> dict[str, Reply]:
    """Return the replies of an earlier call; those that were cut are asked for again, as by a higher limit."""
    return {row["asked"]: Reply(row["reply"], finished=True) for row in rows if row.get("finished")}
