"""A judge is asked in both orders: what hangs on the order is found, said, and counts as nothing."""

import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import BadInputError
from crosstune.judge.ask import judge, verdict_of
from crosstune.judge.command import Wanted, run
from crosstune.judge.endpoint import Endpoint
from crosstune.judge.endpoint import Reply as Verdict
from crosstune.judge.pairs import Pair, pairs_of_run, pairs_of_votes
from crosstune.judge.summary import agreement_of, order_of, wins_of

Reply = Callable[[str, str], str]
"""What a stub replies when it has read answer A and answer B."""


@contextmanager
def endpoint(
    reply: Reply, fail_after: int = 10**6, finish_reason: str = "stop", limit: str = "max_tokens"
) -> Iterator[tuple[Endpoint, list[str]]]:
    """An endpoint whose model replies as told, and the questions that it was asked; it refuses after some."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = body["messages"][0]["content"]
            asked.append(question)
            answers = re.findall(r"\[Answer [AB]\]\n(.*?)\n\[End of answer", question, re.DOTALL)
            refuses = len(asked) > fail_after
            known = limit in body
            message = {"role": "assistant", "content": reply(*answers)}
            choices = [{"message": message, "finish_reason": finish_reason}] if finish_reason else []
            content: dict[str, Any] = {"choices": choices}
            if refuses:
                content = {"error": {"message": "no such model"}}
            elif not known:
                content = {"error": {"message": "Unsupported parameter", "param": "max_tokens"}}
            text = json.dumps(content).encode()
            self.send_response(404 if refuses else 200 if known else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Endpoint(f"http://127.0.0.1:{server.server_port}/v1", "stub"), asked
    finally:
        server.shutdown()
        server.server_close()


def longest(first: str, second: str) -> str:
    return f"One is longer. [[{'A' if len(first) > len(second) else 'B' if len(second) > len(first) else 'C'}]]"


def longest_of_very_different(first: str, second: str) -> str:
    """What many judges do: the place decides where the answers are close."""
    return longest(first, second) if abs(len(first) - len(second)) > 4 else "Both are good. [[A]]"


def pairs(lengths: list[tuple[int, int]]) -> list[Pair]:
    return [
        Pair("open", str(item), f"question {item}", "ours", "theirs", ("x" * ours, "y" * theirs))
        for item, (ours, theirs) in enumerate(lengths)
    ]


@pytest.mark.slow
def test_a_judge_without_bias_counts_wins_losses_and_ties(tmp_path: Path) -> None:
    with endpoint(longest) as (stub, asked):
        judged = judge(pairs([(9, 1)] * 12 + [(1, 9)] * 3 + [(5, 5)] * 5), stub, tmp_path / "replies.jsonl", 4)
    (wins,) = wins_of(judged)
    assert (wins.wins, wins.losses, wins.ties, wins.undecided, wins.unread) == (12, 3, 5, 0, 0)
    assert wins.rate == pytest.approx((12 + 2.5) / 20)
    assert wins.low is not None and wins.high is not None and 0.5 < wins.low < 0.73 < wins.high
    assert wins.p == pytest.approx(0.03515625)  # 2 · P(at most 3 of 15 fair coins)
    assert not order_of(judged).is_biased
    assert len(asked) == 40


@pytest.mark.slow
def test_a_preferred_place_is_found_said_and_decides_nothing(tmp_path: Path) -> None:
    lengths = [(9, 1)] * 4 + [(5, 6)] * 10 + [(6, 5)] * 2
    with endpoint(longest_of_very_different) as (stub, _):
        judged = judge(pairs(lengths), stub, tmp_path / "replies.jsonl", 4)
    (wins,), order = wins_of(judged), order_of(judged)
    assert (wins.wins, wins.losses, wins.ties, wins.undecided) == (4, 0, 0, 12)
    assert (order.first, order.second, order.consistent, order.num_pairs) == (12, 0, 4, 16)
    assert order.is_biased and order.p == pytest.approx(2 / 2**12)
    assert (
        "prefers the answer that it reads first: the first answer is preferred in both orders 12 times"
        in order.sentence()
    )


def test_the_last_place_can_be_preferred_too(tmp_path: Path) -> None:
    with endpoint(lambda _, __: "[[B]]") as (stub, _):
        order = order_of(judge(pairs([(1, 2)] * 8), stub, tmp_path / "replies.jsonl", 4))
    assert order.is_biased and "reads last" in order.sentence()


@pytest.mark.slow
def test_chance_is_no_preferred_place(tmp_path: Path) -> None:
    generator = random.Random(3)
    with endpoint(lambda _, __: f"[[{generator.choice('AB')}]]") as (stub, _):
        order = order_of(judge(pairs([(1, 2)] * 40), stub, tmp_path / "replies.jsonl", 1))
    assert not order.is_biased and order.consistent < 40


def test_a_reply_without_a_verdict_is_counted_and_counts_as_nothing(tmp_path: Path) -> None:
    with endpoint(lambda first, _: "I cannot say." if first == "x" else "[[A]]") as (stub, _):
        judged = judge(pairs([(1, 2), (3, 2)]), stub, tmp_path / "replies.jsonl", 1)
    (wins,) = wins_of(judged)
    assert (wins.unread, wins.undecided, wins.rate) == (1, 1, 0.5)
    with endpoint(lambda _, __: "") as (stub, _):
        (nothing,) = wins_of(judge(pairs([(1, 2)]), stub, tmp_path / "silent.jsonl", 1))
    assert (nothing.unread, nothing.rate) == (1, None)


def test_equal_answers_are_a_tie_that_nobody_is_asked_about(tmp_path: Path) -> None:
    same = Pair("open", "1", "q", "ours", "theirs", ("yes", "yes"))
    with endpoint(longest) as (stub, asked):
        judged = judge([same], stub, tmp_path / "replies.jsonl", 1)
    assert wins_of(judged)[0].ties == 1 and order_of(judged).num_pairs == 0 and not asked


def test_the_last_verdict_of_a_reply_counts() -> None:
    assert verdict_of(Verdict("[[A]] is short, and [[B]] is right. [[B]]", True)) == "B"
    assert verdict_of(Verdict("B is better", True)) is None


def test_what_a_judge_thinks_before_its_reply_is_no_verdict_and_a_cut_reply_has_none() -> None:
    assert verdict_of(Verdict("<think>[[A]]?</think>\n\n[[B]]", True)) == "B"
    # Some templates write the opening; a server may cut the reply at the end of the reasoning.
    assert verdict_of(Verdict("Is it [[A]]?</think> None is.", True)) is None
    assert verdict_of(Verdict("<think>[[A]] may be", True)) is None
    assert verdict_of(Verdict("It may be [[A]], but", False)) is None


def test_cut_replies_are_asked_for_again_and_those_of_another_judge_are_not_its_own(tmp_path: Path) -> None:
    file, several = tmp_path / "replies.jsonl", pairs([(9, 1)] * 2)
    with endpoint(lambda *_: "It may be [[A]], but", finish_reason="length") as (stub, asked):
        judged = judge(several, stub, file, 1)
        assert [one.num_cut for one in judged] == [2, 2] and wins_of(judged)[0].unread == 2
        judge(several, stub, file, 1)
        assert len(asked) == 8
    with endpoint(longest) as (stub, asked):
        assert wins_of(judge(several, stub, file, 1))[0].wins == 2
        judge(several, replace(stub, model="another"), file, 1)
        assert len(asked) == 8


def test_few_pairs_say_nothing_of_a_preferred_place(tmp_path: Path) -> None:
    with endpoint(lambda *_: "[[A]]") as (stub, _):
        order = order_of(judge(pairs([(1, 2)] * 5), stub, tmp_path / "replies.jsonl", 1))
    assert order.sentence().startswith("Whether the judge prefers a position cannot be told from 5 pairs")
    assert "No position bias" not in order.sentence()


def test_what_was_replied_before_a_refusal_is_not_asked_again(tmp_path: Path) -> None:
    file, several = tmp_path / "replies.jsonl", pairs([(9, 1)] * 6)
    with (
        endpoint(longest, fail_after=5) as (stub, _),
        pytest.raises(BadInputError, match=r"'stub' \(status 404\).*no such"),
    ):
        judge(several, stub, file, 1)
    kept = file.read_text(encoding="utf-8")
    assert kept.count("\n") == 5
    file.write_text(kept[:-20], encoding="utf-8")  # a kill left a torn line
    with endpoint(longest) as (stub, asked):
        assert wins_of(judge(several, stub, file, 1))[0].wins == 6
    assert len(asked) == 12 - 4
    # Nothing was written behind the torn line.
    assert [json.loads(line)["finished"] for line in file.read_text(encoding="utf-8").splitlines()] == [True] * 12


def test_replies_with_a_line_separator_of_unicode_are_read_again(tmp_path: Path) -> None:
    file, several = tmp_path / "replies.jsonl", pairs([(9, 1)])
    with endpoint(lambda first, second: f"One\u2028is\x85longer. {longest(first, second)}") as (stub, asked):
        assert [wins_of(judge(several, stub, file, 1))[0].wins for _ in range(2)] == [1, 1]
    assert len(asked) == 2


def test_a_model_that_knows_only_the_newer_name_of_the_limit_is_asked_by_it() -> None:
    with endpoint(lambda *_: "Yes.", limit="max_completion_tokens") as (stub, asked):
        assert stub.reply(stub.client(), "Is it?").answer == "Yes." and asked == ["Is it?"] * 2


def test_a_reply_without_a_choice_is_an_error_and_is_not_kept(tmp_path: Path) -> None:
    with endpoint(longest, finish_reason="") as (model, _), pytest.raises(BadInputError, match="without a choice"):
        judge(pairs([(8, 5)]), model, tmp_path / "replies.jsonl", 1)
    assert not (tmp_path / "replies.jsonl").read_text("utf-8")


def test_a_closed_door_is_named() -> None:
    with endpoint(longest) as (stub, _):
        pass
    with pytest.raises(BadInputError, match="cannot be reached"):
        closed = Endpoint(stub.url, "stub")
        closed.reply(closed.client().with_options(max_retries=0), "?")
    with pytest.raises(BadInputError, match="not an address"):
        Endpoint("localhost:8000", "stub").client()


RECIPE = """
name: one
seed: 1
data_root: data
languages: {source: en, target: ko}
data: {prompt: paper-v1, sources: {ko: {kind: text, language: ko, paths: [k.txt]}}, mixtures: {k: [{source: ko}]}}
tokenizer: {base: {kind: given, path: t}}
systems: {ours: {start: m, tokenizer: base}, theirs: {start: m, tokenizer: base}}
evaluate: {reference_system: ours, tasks: {}}
"""


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run with answers of two systems to three translations, and an ending chosen by likelihood."""
    run_folder = tmp_path / "one"
    for system, sign in (("ours", "x"), ("theirs", "y")):
        folder = run_folder / "systems" / system / "evaluation"
        folder.mkdir(parents=True)
        chosen = {"task": "copa", "id": "1", "prompt": "so", "output": " it rained.", "reference": "", "correct": True}
        lines = [{**chosen, "task": "translate_en_ko_en", "id": str(item), "failures": []} for item in range(3)]
        for length, line in enumerate(lines, start=1):
            line["output"] = sign * (length if sign == "x" else 2)
        text = "".join(json.dumps(line) + "\n" for line in (chosen, *lines))
        (folder / "outputs.jsonl").write_text(text, encoding="utf-8")
    (run_folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return run_folder


def test_a_run_is_judged_printed_and_kept(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with endpoint(longest) as (stub, _):
        run(finished, stub, Wanted())
    summary = json.loads((finished / "judge" / "stub" / "summary.json").read_text(encoding="utf-8"))
    (wins,) = summary["wins"]
    assert (wins["first"], wins["second"], wins["task"]) == ("ours", "theirs", "translate_en_ko_en")
    assert (wins["wins"], wins["losses"], wins["ties"]) == (1, 1, 1)
    assert summary["judge"]["model"] == "stub" and "key" not in summary["judge"]
    printed = capsys.readouterr().out
    assert "translate_en_ko_en" in printed and "3 of 3 pairs have the same verdict" in " ".join(printed.split())


def test_systems_tasks_and_folders_that_are_not_there_are_named(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"--system other: not scored in .*Allowed: ours, theirs"):
        pairs_of_run(finished, ["other"], (), 10)
    with pytest.raises(BadInputError, match=r"--task copa: no system answers it in words. Allowed: translate_en_ko_en"):
        pairs_of_run(finished, (), ["copa"], 10)
    with pytest.raises(BadInputError, match="two systems or more"):
        pairs_of_run(finished, ["ours"], (), 10)
    with pytest.raises(BadInputError, match="is not a run folder"):
        pairs_of_run(tmp_path, (), (), 10)


def test_answers_to_different_questions_are_not_judged_against_each_other(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The second request of a conversation stands behind a system's own first answer.
    for system, first in (("ours", "x"), ("theirs", "y")):
        rows = [
            {"task": "orders", "id": id, "prompt": prompt, "output": first, "reference": "", "correct": True}
            for id, prompt in (("1", f"Say it. {first} Again."), ("2", "Say it. Both. Again."))
        ]
        with (finished / "systems" / system / "evaluation" / "outputs.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**row, "failures": []}) + "\n" for row in rows)
    assert [pair.id for pair in pairs_of_run(finished, (), ["orders"], 10)] == ["2"]
    told = " ".join(capsys.readouterr().err.split())
    assert "pairs left out, of systems that were asked different questions, as after first answers: 1" in told


def test_agreement_is_with_blind_votes_only(tmp_path: Path) -> None:
    votes = tmp_path / "preferences.jsonl"
    long, short = "a long answer", "short"
    rows = [(long, short, True)] * 3 + [(short, long, True), (short, long, False), ("12345", "54321", True)]
    text = "".join(
        json.dumps(
            {"prompt": f"q{number}", "chosen": chosen, "rejected": rejected, "blind": blind}
            | {"chosen_system": "c", "rejected_system": "r"}
        )
        + "\n"
        for number, (chosen, rejected, blind) in enumerate(rows)
    )
    votes.write_text(text, encoding="utf-8")
    with endpoint(longest) as (stub, _):
        agreement = agreement_of(judge(pairs_of_votes(votes), stub, tmp_path / "replies.jsonl", 2))
    assert (agreement.agree, agreement.disagree, agreement.undecided, agreement.unread) == (3, 1, 1, 0)
    assert agreement.low is not None and agreement.high is not None and agreement.low < 0.75 < agreement.high


@pytest.mark.parametrize(
    ("line", "told"), [("{}", "expected a vote"), ("[1]", "expected a vote"), ("", "no blind vote")]
)
def test_a_file_of_votes_that_is_none_is_refused(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "votes.jsonl").write_text(line, encoding="utf-8")
    with pytest.raises(BadInputError, match=told):
        pairs_of_votes(tmp_path / "votes.jsonl")
