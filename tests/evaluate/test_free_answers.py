"""Instructions are asked in one turn and in two, and judged by rules; open questions by the answer's language."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from crosstune.cli.inputs import look_at
from crosstune.data import evaluation_sets
from crosstune.data.overlap import EvaluationTexts
from crosstune.errors import BadInputError
from crosstune.evaluate.generate.generation import Limits, Write
from crosstune.evaluate.generate.rows import Generated
from crosstune.evaluate.harness.generated_tasks import Generator
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.scores import Result
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import EvaluationTask, Languages, Recipe
from crosstune.runs.records import SHARES_OF_CORRECT
from crosstune.tasks.diagnostics import LANGUAGE
from crosstune.tasks.registry import all_tasks
from tests.evaluate.conftest import llama, settings
from tests.learnt_tokenizers import byte_level

__all__ = ["llama"]

INSTRUCTIONS = [
    {"id": "a", "request": "Say one.", "follow_up": "", "rules": ["lowercase"]},
    {"id": "b", "request": "Say two.", "follow_up": "", "rules": ["lowercase", "no_commas"]},
    {"id": "c", "request": "Say three.", "follow_up": "Again in capitals.", "rules": ["again_in_capitals"]},
    {"id": "d", "request": "Say four.", "follow_up": "Again in capitals.", "rules": ["again_in_capitals"]},
]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that can say everything; the model's own knows few letters, and nothing is asked of the model."""
    return byte_level(["".join(map(chr, range(32, 127)))], 300)


def saying(tokenizer: PreTrainedTokenizerFast, answer: Callable[[str], str]) -> Write:
    """Return an engine that answers a prompt's text with a text."""

    def write(
        prompts: Sequence[Sequence[int]], stops: Collection[int], limits: Limits
    ) -> Iterator[tuple[int, Generated]]:
        for index, prompt in enumerate(prompts):
            text = answer(str(tokenizer.decode(list(prompt), skip_special_tokens=True)))
            yield index, Generated(tuple(tokenizer.encode(text, add_special_tokens=False)), True)

    return write


@pytest.fixture
def scored(
    tmp_path: Path, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> Callable[[dict[str, Any], list[dict[str, Any]], Callable[[str], str]], Result]:
    def score(task: dict[str, Any], items: list[dict[str, Any]], answer: Callable[[str], str]) -> Result:
        write = saying(tokenizer, answer)
        with OutputLog(tmp_path / "log.jsonl", "one") as log:
            generator = Generator(llama, tokenizer, TEMPLATES["paper-v1"], settings(100), log, write=write)
            return generator.score("kept", EvaluationTask.model_validate(task), items)

    return score


@pytest.mark.slow
def test_the_second_request_is_asked_behind_the_systems_own_first_answer(scored: Any) -> None:
    prompts: list[str] = []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        if "Again" in prompt:
            return "THE WOMAN OPENED THE WINDOW" if "three" in prompt else "the woman opened the window"
        return "the man, he came" if "two" in prompt else "the woman opened the window"

    result = scored({"task": "instructions", "language": "en"}, INSTRUCTIONS, answer)
    turns = [prompt for prompt in prompts if "Again" in prompt]
    assert len(turns) == 2 and all("Assistant: the woman opened the window" in prompt for prompt in turns)
    assert "User: Say three." in turns[0] and turns[0].index("Again") < turns[0].index("User:")
    right = {row.id: row.correct for row in result.rows if row.task == "kept"}
    assert right == {"a": True, "b": False, "c": True, "d": False}
    assert {row.reference for row in result.rows if row.id == "b"} == {"lowercase; no_commas"}
    first = [row for row in result.rows if row.task == "kept_first_turn"]
    assert [row.id for row in first] == ["c", "d"] and all(row.correct is None for row in first)


def test_scores_are_the_share_of_items_by_turns_and_the_share_of_each_rule_with_its_count(scored: Any) -> None:
    result = scored({"task": "instructions", "language": "en"}, INSTRUCTIONS, lambda prompt: "the man, he came")
    found = {score.metric: (round(score.value, 3), score.n) for score in result.scores}
    assert found == {
        "pass_rate": (0.25, 4),
        "pass_rate_one_turn": (0.5, 2),
        "pass_rate_two_turns": (0.0, 2),
        "answered_in_language": (1.0, 4),
        "kept": (0.4, 4),
        "kept_again_in_capitals": (0.0, 2),
        "kept_lowercase": (1.0, 2),
        "kept_no_commas": (0.0, 1),
    }
    assert all(score.interval == "wilson" and "prompt:paper-v1" in score.signature for score in result.scores)


def test_an_answer_in_another_language_passes_no_instruction_whatever_rules_it_keeps(scored: Any) -> None:
    items = [
        {"id": "a", "request": "Say one.", "follow_up": "", "rules": ["no_commas"]},
        {"id": "b", "request": "Say two.", "follow_up": "", "rules": ["no_commas"]},
        {"id": "c", "request": "Say three in Korean.", "follow_up": "", "rules": ["no_commas", "language: ko"]},
    ]
    result = scored(
        {"task": "instructions", "language": "en"}, items, lambda prompt: "the wind" if "one" in prompt else "바람"
    )
    assert {row.id: row.correct for row in result.rows} == {"a": True, "b": False, "c": True}
    assert {row.id: LANGUAGE in (row.failures or ()) for row in result.rows} == {"a": False, "b": True, "c": False}
    found = {score.metric: round(score.value, 3) for score in result.scores}
    assert (found["pass_rate"], found["answered_in_language"], found["kept"]) == (0.667, 0.667, 1.0)


def test_two_systems_are_compared_on_the_same_items_whatever_their_first_answers(scored: Any, tmp_path: Path) -> None:
    one = scored({"task": "instructions", "language": "en"}, INSTRUCTIONS, lambda prompt: "the man, he came")
    (tmp_path / "log.jsonl").unlink()
    other = scored({"task": "instructions", "language": "en"}, INSTRUCTIONS, lambda prompt: "the wind")
    assert one.scores[0].metric in SHARES_OF_CORRECT and one.scores[0].items == other.scores[0].items != ""
    assert [score.value for score in one.scores] != [score.value for score in other.scores]


def test_an_interrupted_conversation_goes_on_with_the_answers_that_are_there(scored: Any) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "the man, he came"

    first = scored({"task": "instructions", "language": "en"}, INSTRUCTIONS, answer)
    num_asked = len(asked)
    second = scored({"task": "instructions", "language": "en"}, INSTRUCTIONS, answer)
    assert num_asked == len(asked) == 6 and first.rows == second.rows


def test_open_questions_are_judged_by_the_language_of_the_answer(scored: Any) -> None:
    items = [{"id": str(number), "question": f"The man {number}?"} for number in range(3)]
    answers = {
        "0": "남자는 망치를 발에 떨어뜨려서 발가락이 부러졌다.",
        "1": "The woman opened the window and the cold wind came.",
        "2": "바람",
    }
    task = {"task": "open_questions", "language": "ko"}
    result = scored(task, items, lambda prompt: answers[prompt.split("The man ")[1][0]])
    assert {score.metric: (round(score.value, 3), score.n) for score in result.scores} == {
        "in_language": (0.667, 3),
        "line_pass_rate": (0.5, 2),
        "word_pass_rate": (1.0, 1),
    }
    assert [row.correct for row in result.rows] == [True, False, True]
    assert [LANGUAGE in (row.failures or ()) for row in result.rows] == [False, True, False]


LANGUAGES = Languages(source="en", target="ko")


def items_of(settings: dict[str, Any], root: Path) -> list[dict[str, Any]]:
    task = EvaluationTask.model_validate(settings, strict=False)
    paths, folder = evaluation_sets.files_of(task, root, "evaluate.tasks.kept.paths")
    items, _ = evaluation_sets.choose(
        "kept", task, evaluation_sets.read(task, paths, folder, LANGUAGES), "stop", LANGUAGES
    )
    return items


@pytest.mark.parametrize("code", ["en", "ko"])
def test_english_and_korean_need_no_files(tmp_path: Path, code: str) -> None:
    instructions = items_of({"task": "instructions", "language": code, "max_items": 50}, tmp_path)
    questions = items_of({"task": "open_questions", "language": code}, tmp_path)
    assert len(instructions) == 50 and len(questions) == 30 and "?" in questions[0]["question"]
    # Nothing in them says where crosstune is installed, which would make other items of them on another machine.
    assert "/" not in json.dumps([instructions, questions])


def test_another_language_is_asked_for_with_a_file_and_told_which_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"built-in items in en, ko, not in 'fr': write a file of them"):
        EvaluationTask(task="instructions", language="fr")
    with pytest.raises(ValueError, match="needs the `language` of its items"):
        EvaluationTask(task="open_questions")
    (tmp_path / "q.txt").write_text("Pourquoi la mer est-elle salée ?\nQue faire à Lyon ?\n", encoding="utf-8")
    items = items_of({"task": "open_questions", "language": "fr", "paths": ["q.txt"]}, tmp_path)
    assert [item["question"] for item in items] == ["Pourquoi la mer est-elle salée ?", "Que faire à Lyon ?"]
    (tmp_path / "w.yaml").write_text("language: fr\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"w\.yaml"):
        items_of({"task": "instructions", "language": "fr", "paths": ["w.yaml"]}, tmp_path)
    (tmp_path / "v.yaml").write_text("language: fr\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"one file of wordings, .* name 2: v\.yaml, w\.yaml\. Name one"):
        items_of({"task": "instructions", "language": "fr", "paths": ["*.yaml"]}, tmp_path)


def test_wrong_wordings_are_told_before_any_data_is_read(tmp_path: Path, recipe_content: dict[str, Any]) -> None:
    tasks = {"kept": {"task": "instructions", "language": "ko", "paths": ["w.yaml"]}}
    content = recipe_content | {"data_root": str(tmp_path), "evaluate": {"reference_system": "base", "tasks": tasks}}
    recipe = Recipe.model_validate_json(json.dumps(content))
    with pytest.raises(BadInputError, match=r"evaluate\.tasks\.kept\.paths: there is no file .*w\.yaml"):
        look_at(recipe, ("data",))
    (tmp_path / "w.yaml").write_text("language: ko\nrules: {bullets: ['{number}']}", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"w\.yaml: instructions in 'ko' .*\n  `requests` is no list of requests"):
        look_at(recipe, ("data",))


def test_a_training_row_that_holds_an_instruction_is_found(tmp_path: Path) -> None:
    items = items_of({"task": "instructions", "language": "ko", "max_items": 18}, tmp_path)
    task = all_tasks()["instructions"]
    known = EvaluationTexts({text: "kept" for item in items for text in task.own_texts(item)}, 13)
    followed = next(item for item in items if item["follow_up"])
    rows = [
        {"instruction": items[0]["request"], "output": "네."},
        {"instruction": "안녕하세요?", "output": f"네. {followed['follow_up']} 고맙습니다."},
        {"instruction": "안녕하세요?", "output": "반갑습니다."},
    ]
    assert [match is not None for match in known.find(rows)] == [True, True, False]
