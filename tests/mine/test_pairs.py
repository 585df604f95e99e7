"""Which answers are rejected, what is chosen in their place, and what must never become a pair."""

from typing import Any

import pytest
from pydantic import ValidationError

from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import Drops
from crosstune.mine.answers import SystemAnswer
from crosstune.mine.pairs import JudgedAnswer, PreferencePair, judge, make_pairs
from crosstune.mine.questions import OVERLAP, TrainingPrompt, without_overlap
from crosstune.prompts.examples import Example
from crosstune.prompts.templates import TEMPLATES, question_of
from crosstune.recipe import Mine
from crosstune.tasks.diagnostics import Expectation

PAPER = TEMPLATES["paper-v1"]
SENTENCE, TRANSLATION = "The old teacher opened the window of the small room.", "늙은 선생님이 작은 방의 창문을 열었다."
NOTHING = EvaluationTexts({}, 13)


def question(
    number: int = 0, instruction: str = "Translate into Korean", to: str = "ko", **changes: Any
) -> TrainingPrompt:
    source, reference = (SENTENCE, TRANSLATION) if to == "ko" else (TRANSLATION, SENTENCE)
    reference = changes.pop("reference", reference)
    other = "en" if to == "ko" else "ko"
    example = Example(PAPER.prompt(instruction, source), PAPER.completion(reference), to, "aihub", "train.json:7")
    return TrainingPrompt(number, example, Expectation(source, reference, instruction, other, to, to))


def judged(text: str, finished: bool = True, asked: TrainingPrompt | None = None) -> JudgedAnswer:
    return judge(asked or question(), SystemAnswer(PAPER.completion(text), finished), PAPER)


def mined(
    answers: list[JudgedAnswer], known: EvaluationTexts = NOTHING, **settings: Any
) -> tuple[list[PreferencePair], dict[str, int]]:
    drops = Drops()
    made = make_pairs(answers, Mine(system="ours", mixture="paper", **settings), PAPER, known, drops)
    return made, drops.counts()


@pytest.mark.parametrize(
    ("answer", "finished", "failure"),
    [
        ("The old teacher opened the window of the small room.", True, "source copied"),
        ("A very different English sentence about the weather at sea.", True, "wrong language"),
        ("창문을 창문을 창문을 창문을 창문을 창문을 창문을 창문을", True, "repetition"),
        ("늙은 선생님이 작은 방의 창문을", False, "no stop"),
        ("늙은 선생님이 政策 작은 방의 창문을 열었다.", True, "mixed language"),
        ("", True, "empty"),
    ],
)
def test_a_flagged_answer_is_rejected_and_the_reference_is_chosen(answer: str, finished: bool, failure: str) -> None:
    (pair,), dropped = mined([judged(answer, finished)])
    row = pair.row(PAPER)
    assert (row["failure"], row["chosen"], row["rejected"]) == (failure, TRANSLATION, answer)
    assert row["chosen_from"] == "reference" and row["finished"] == finished and not dropped
    assert (row["source"], row["origin"], row["language"]) == ("aihub", "train.json:7", "ko")
    # What is learned is what training reads: the completion of the mixture, and what the model wrote.
    assert pair.chosen == PAPER.completion(TRANSLATION) and pair.rejected == PAPER.completion(answer)


def test_an_answer_without_failures_gives_no_pair() -> None:
    assert mined([judged("늙은 선생님이 창문을 열었다.")]) == ([], {})


def test_an_own_answer_in_another_wording_is_chosen_before_the_reference() -> None:
    good, better = "선생님이 창문을 열었다.", "늙은 선생님이 작은 방의 창문을 닫았다."
    answers = [
        judged(SENTENCE, asked=question(0)),
        judged(good, asked=question(1, "Say it in Korean")),
        judged(better, asked=question(2, "In Korean, please")),
        # Of another direction: no answer to this question.
        judged(SENTENCE, asked=question(3, to="en")),
    ]
    (pair,), _ = mined(answers, chosen="own")
    assert (pair.row(PAPER)["chosen"], pair.chosen_from) == (better, "own")
    (pair,), _ = mined(answers[:1], chosen="own")
    assert (pair.row(PAPER)["chosen"], pair.chosen_from) == (TRANSLATION, "reference")


def test_only_wanted_failures_are_collected_and_no_more_than_asked_for() -> None:
    answers = [judged(SENTENCE, asked=question(number)) for number in range(3)] + [judged("", asked=question(3))]
    pairs, dropped = mined(answers, max_pairs_per_failure=2)
    assert [pair.failure for pair in pairs] == ["source copied", "source copied", "empty"]
    assert dropped == {"more than 2 with this failure": 1}
    pairs, _ = mined(answers, failures=("wrong language",))
    assert [pair.failure for pair in pairs] == ["wrong language"] * 3


def test_what_an_evaluation_set_holds_is_neither_asked_nor_learned() -> None:
    known = EvaluationTexts({TRANSLATION: "translate", "작은 고양이가 넓은 정원에서 혼자 놀고 있다.": "translate"}, 13)
    drops = Drops()
    texts = [{"input": SENTENCE, "output": TRANSLATION}]
    assert without_overlap([question()], texts, known, drops) == [] and drops.counts() == {OVERLAP: 1}
    assert drops.records[0]["evaluation_set"] == "translate"
    # An answer may hold what its question does not: wrong, and still of the evaluation set.
    answer = judged("작은 고양이가 넓은 정원에서 혼자 놀고 있다.", finished=False)
    assert mined([answer], known) == ([], {OVERLAP: 1})


def test_an_own_answer_that_holds_an_evaluation_item_is_not_chosen() -> None:
    other = "늙은 선생님이 작은 방의 창문을 닫았다."
    answers = [judged(SENTENCE, asked=question(0)), judged(other, asked=question(1, "Say it in Korean"))]
    (pair,), _ = mined(answers, chosen="own")
    assert pair.row(PAPER)["chosen"] == other
    (pair,), dropped = mined(answers, EvaluationTexts({other: "translate"}, 13), chosen="own")
    assert (pair.row(PAPER)["chosen"], pair.chosen_from, dropped) == (TRANSLATION, "reference", {OVERLAP: 1})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (judged(TRANSLATION, finished=False), "the answer is the chosen one"),
        (judge(question(), SystemAnswer("", finished=False), PAPER), "nothing was written"),
        (judged("창문\ufffd", finished=False), "broken characters"),
        (judged("", asked=question(reference=SENTENCE)), "the reference is flagged, too"),
    ],
)
def test_a_pair_that_teaches_nothing_is_dropped_with_its_reason(answer: JudgedAnswer, reason: str) -> None:
    assert mined([answer]) == ([], {reason: 1})


def test_instructions_may_be_answered_in_several_lines() -> None:
    example = Example(PAPER.prompt("Name two seas."), PAPER.completion("The Baltic"), "en", "alpaca", "a.json:1")
    asked = TrainingPrompt(0, example, Expectation("", "The Baltic", "Name two seas.", answer_language="en"))
    assert judged("The Baltic\nThe North Sea", asked=asked).failures == ()
    assert judged("The Baltic", finished=False, asked=asked).failures == ("no stop",)


@pytest.mark.parametrize("template", list(TEMPLATES.values()), ids=lambda template: template.name)
@pytest.mark.parametrize(
    ("instruction", "text"), [("Translate this", "{braces}\n### Input:\nand lines"), ("Go on", "")]
)
def test_a_prompt_is_taken_apart_as_it_was_put_together(template: Any, instruction: str, text: str) -> None:
    assert question_of(template, template.prompt(instruction, text)) == (instruction, text)
    assert question_of(template, "something else") is None


def test_a_failure_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="names loops; each of these at most once: empty, source copied"):
        Mine(system="ours", mixture="paper", failures=("loops",))
