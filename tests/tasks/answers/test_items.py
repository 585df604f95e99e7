"""Instructions are made from wordings: the same for a seed, all kinds of rules equally often, each checked as said."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import BadInputError
from crosstune.tasks.answers.items import instruction_items
from crosstune.tasks.answers.rules import CASED, RULES, Rule
from crosstune.tasks.answers.wordings import RequestWordings, read_wordings
from crosstune.tasks.registry import all_tasks

GERMAN = """
language: de
requests:
  - {ask: "Erzähle vom Meer.", words: [Wellen, Sand]}
  - {ask: "Beschreibe deine Stadt.", words: [Straße, Markt]}
rules:
  bullets: ['Antworte mit genau {number} Punkten, die mit "- " beginnen.']
  uppercase: ["Schreibe alles in Großbuchstaben."]
  language: []
answer_in: {en: "Antworte auf Englisch."}
"""


def wordings(code: str) -> RequestWordings:
    path = all_tasks()["instructions"].file_of(code)
    assert path is not None
    return read_wordings(path, code)


def written(folder: Path, text: str, code: str = "de") -> RequestWordings:
    path = folder / "wordings.yaml"
    path.write_text(text, encoding="utf-8")
    return read_wordings(path, code)


def kinds_of(items: list[dict[str, Any]]) -> Counter[str]:
    return Counter(Rule.of(rule).kind for item in items for rule in item["rules"][:1])


@pytest.mark.slow
@pytest.mark.parametrize("code", ["en", "ko"])
def test_the_same_seed_gives_the_same_items_and_no_request_twice(code: str) -> None:
    items = list(instruction_items(wordings(code), None, 1))
    assert items == list(instruction_items(wordings(code), None, 1)) != list(instruction_items(wordings(code), None, 2))
    assert len({(item["request"], item["follow_up"]) for item in items}) == len(items) > 400
    assert len({item["id"] for item in items}) == len(items)


@pytest.mark.parametrize("code", ["en", "ko"])
def test_few_items_hold_every_kind_equally_often_and_are_the_first_of_many(code: str) -> None:
    every = list(instruction_items(wordings(code), None, 1))
    kinds = kinds_of(every)
    assert {*kinds} == {kind for kind in RULES if code == "en" or kind not in CASED}
    few = list(instruction_items(wordings(code), 2 * len(kinds), 1))
    assert few == every[: len(few)] and set(kinds_of(few).values()) == {2}
    assert len({item["request"].split(".")[0] for item in few}) >= len(kinds)


@pytest.mark.parametrize("code", ["en", "ko"])
def test_what_is_asked_is_what_is_checked(code: str) -> None:
    found = wordings(code)
    for item in instruction_items(found, None, 3):
        rules = list(map(Rule.of, item["rules"]))
        said = item["follow_up"] or item["request"]
        assert bool(item["follow_up"]) == rules[0].kind.startswith("again") and "{" not in said.replace("{keys", "")
        for rule in rules:
            if rule.kind == "language":
                assert found.answer_in[rule.argument] in said
            else:
                assert all(part in said for part in rule.argument.split(" | "))


@pytest.mark.slow
def test_two_rules_of_an_item_can_both_be_kept() -> None:
    pairs = {
        frozenset(Rule.of(rule).kind for rule in item["rules"])
        for seed in range(20)
        for item in instruction_items(wordings("en"), None, seed)
        if len(item["rules"]) == 2
    }
    assert {frozenset(("bullets", "keywords")), frozenset(("no_commas", "title"))} <= pairs
    excluded = [("json", "no_commas"), ("language", "keywords"), ("keywords", "no_keyword")]
    assert not pairs & set(map(frozenset, excluded)) and all(len(pair) == 2 for pair in pairs)


def test_any_language_is_asked_in_by_a_file_of_wordings(tmp_path: Path) -> None:
    items = list(instruction_items(written(tmp_path, GERMAN), None, 1))
    assert kinds_of(items) == {"bullets": 2, "uppercase": 2, "language": 2}
    assert {item["request"].split(".")[0] for item in items} == {"Erzähle vom Meer", "Beschreibe deine Stadt"}


def test_a_language_without_case_is_not_asked_for_capitals(tmp_path: Path) -> None:
    hindi = GERMAN.replace("language: de", "language: hi")
    assert "uppercase" not in kinds_of(list(instruction_items(written(tmp_path, hindi, "hi"), None, 1)))


def test_words_are_characters_where_no_spaces_stand_between_words(tmp_path: Path) -> None:
    text = GERMAN.replace("language: de", "language: ja").replace(
        "rules:", 'rules:\n  words_at_most: ["{number}字以内で"]'
    )
    items = list(instruction_items(written(tmp_path, text, "ja"), None, 1))
    numbers = {int(Rule.of(item["rules"][0]).argument) for item in items if "words" in item["rules"][0]}
    assert numbers <= {20, 30, 40} and numbers


def test_all_faults_of_a_file_are_told_with_what_a_right_one_holds(tmp_path: Path) -> None:
    wrong = """
language: fr
requests:
  - {ask: "Parle de la mer.", words: [vagues]}
rules:
  bullets: ["Fais une liste."]
  majuscules: ["En majuscules."]
  begin: ["Commence par {phrase}."]
  sentences: ["En {number} phrases, {nombre} !"]
  language: ["En allemand."]
more: 1
"""
    with pytest.raises(BadInputError) as caught:
        written(tmp_path, wrong)
    message = str(caught.value)
    for told in (
        "wordings.yaml",
        "`language` is 'fr', and 'de' is asked for",
        "request 1 has no text `ask` and two different `words`",
        "`rules.bullets`: 'Fais une liste.' does not say {number}",
        "`rules.sentences`: 'En {number} phrases, {nombre} !' says {nombre}; there is {number}",
        "`rules.language` takes no wordings",
        "`rules.majuscules` is no rule; there are words_at_least",
        "`rules.begin` needs `openings`",
        "`more` is no part of it",
        "docs/instructions.md",
    ):
        assert told in message, told


@pytest.mark.parametrize("text", ["", "- a", "language: de", "{", "language: de\nlanguage: de"])
def test_a_file_that_holds_no_wordings_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInputError, match=r"wordings\.yaml"):
        written(tmp_path, text)
