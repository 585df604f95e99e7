"""A conversation gives a row per answer, with what was said before it as input."""

from typing import Any

import pytest

from crosstune.data.readers.chat import exchanges
from crosstune.prompts.conversation import Turn, with_turns

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "수도는?"},
    {"role": "assistant", "content": "서울."},
    {"role": "user", "content": "인구는?"},
    {"role": "assistant", "content": "940만."},
    {"role": "user", "content": "고마워"},
]


def test_every_answer_is_a_row_with_the_turns_before_it_as_input() -> None:
    system, first = Turn("system", "Be brief."), (Turn("user", "수도는?"), Turn("assistant", "서울."))
    assert exchanges(MESSAGES, first_only=False) == [
        {"instruction": "수도는?", "input": with_turns("", [system]), "output": "서울."},
        {"instruction": "인구는?", "input": with_turns("", [system, *first]), "output": "940만."},
    ]


def test_the_first_answer_can_be_all() -> None:
    assert exchanges(MESSAGES[1:], first_only=True) == [{"instruction": "수도는?", "input": "", "output": "서울."}]


def test_sharegpt_names_its_turns_otherwise_and_may_begin_with_an_answer() -> None:
    turns = [
        {"from": "gpt", "value": "끝."},
        {"from": "human", "value": "다시"},
        {"from": "human", "value": "합은?"},
        {"from": "gpt", "value": "3"},
    ]
    assert exchanges(turns, first_only=False) == [
        {
            "instruction": "합은?",
            "input": with_turns("", [Turn("assistant", "끝."), Turn("user", "다시")]),
            "output": "3",
        }
    ]


@pytest.mark.parametrize(
    ("turns", "problem"),
    [
        ("hello", "a conversation is a list of turns, not str"),
        ([], "no assistant's turn follows a user's"),
        (MESSAGES[:2], "no assistant's turn follows a user's"),
        ([*MESSAGES[:5], MESSAGES[4]], "two assistant's turns follow each other"),
        (["hello"], "turn 1 has neither 'role' nor 'from'"),
        ([*MESSAGES, {"role": "tool", "content": "x"}], "turn 7 has the role 'tool'; read are user, human"),
        ([{"role": ["user"], "content": "x"}], "turn 1 has the role ['user']"),
        ([{"role": "user", "content": None}], "'content' of turn 1 is not a text"),
        ([{"from": "human"}], "'value' of turn 1 is not a text"),
        ([{"from": "human", "value": "\ud83d"}], "'value' of turn 1 is not a text"),
    ],
)
def test_what_is_no_conversation_is_told(turns: Any, problem: str) -> None:
    found = exchanges(turns, first_only=False)
    assert isinstance(found, str) and found.startswith(problem)
