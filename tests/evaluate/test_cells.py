"""A cell asks every item under one instruction, and knows all that would be right."""

from typing import Any

import pytest

from crosstune.evaluate.cells import Cell, cells_of
from crosstune.prompts.templates import TEMPLATES
from crosstune.prompts.translation_instructions import TRANSLATION_INSTRUCTIONS
from crosstune.prompts.wordings import Wordings
from crosstune.recipe import EvaluationTask
from crosstune.tasks.diagnostics import LANGUAGE, MIXED, Expectation, failures

PAPER = TEMPLATES["paper-v1"]
ITEMS = [
    {"id": "1", "en": "Thanks.", "ko": "고마워."},
    {"id": "2", "en": "Hello.", "ko": "안녕."},
    {"id": "3", "en": "Thanks.", "ko": "감사합니다."},
    {"id": "4", "en": "Thanks.", "ko": "고마워."},
]


def cells(items: list[dict[str, Any]] = ITEMS, **settings: Any) -> list[Cell]:
    settings = {"directions": ("en-ko", "ko-en"), "instruction_languages": ("en", "ko"), **settings}
    return cells_of("t", EvaluationTask(task="translation", paths=("t",), **settings), items, PAPER)


def test_held_out_wordings_are_ten_of_each_language_drawn_by_seed() -> None:
    found = cells(wordings="held_out")
    groups: dict[str, list[Cell]] = {cell.wordings_of: [] for cell in found}
    for cell in found:
        groups[cell.wordings_of].append(cell)
    assert list(groups) == ["t_en_ko_en", "t_en_ko_ko", "t_ko_en_en", "t_ko_en_ko"]
    for name, members in groups.items():
        assert len(members) == len({cell.prompts[0] for cell in members}) == 10
        for cell in members:
            number = int(cell.name.removeprefix(f"{name}_w"))
            wording = TRANSLATION_INSTRUCTIONS[name[-2:]].held_out[number - 1]
            names = {"en": ("English", "Korean"), "ko": ("영어", "한국어")}[name[-2:]]
            source, target = names if "_en_ko_" in name else names[::-1]
            instruction = wording.replace("{source}", source).replace("{target}", target)
            assert cell.prompts == [PAPER.prompt(instruction, text) for text in cell.sources]
    again = [cell.name for cell in cells(wordings="held_out")]
    other = [cell.name for cell in cells(wordings="held_out", sample_seed=7)]
    assert [cell.name for cell in found] == again != other


def test_a_recipes_own_few_wordings_are_all_asked() -> None:
    own = {"en": Wordings(train=("Into {target}:",), held_out=("A {target} one:", "Say it in {target}."))}
    task = EvaluationTask(
        task="translation", paths=("t",), directions=("en-ko",), instruction_languages=("en",), wordings="held_out"
    )
    template = type(PAPER)("x", PAPER.with_input, PAPER.without_input, "", own_wordings=own)
    assert [cell.name for cell in cells_of("t", task, ITEMS, template)] == ["t_en_ko_en_w01", "t_en_ko_en_w02"]


def test_a_tasks_own_wordings_are_all_asked_in_the_language_they_are_in() -> None:
    english = tuple(f"Give me that in {{target}}, {number} times." for number in range(12))
    found = cells(wordings={"en": english, "ko": ("{source}는 됐고 {target}로.",)})
    assert [cell.name for cell in found if cell.wordings_of == "t_ko_en_ko"] == ["t_ko_en_ko_w01"]
    assert [cell.instruction for cell in found if cell.wordings_of == "t_ko_en_ko"] == ["한국어는 됐고 영어로."]
    assert [cell.instruction for cell in found if cell.wordings_of == "t_en_ko_en"][
        11
    ] == "Give me that in Korean, 11 times."


@pytest.mark.parametrize(
    ("wordings", "message"),
    [
        ({"en": ("To {target}!",)}, "`wordings` are in en, but `instruction_languages` are en, ko"),
        ({"en": ("To {target}!",), "ko": ()}, "`wordings` are in en, but"),
        ({"en": ("Translate!",), "ko": ("{target}로!",)}, "one line that contains {target}"),
    ],
)
def test_own_wordings_are_asked_for_in_every_language(wordings: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cells(wordings=wordings)


def test_the_papers_wording_is_one_cell_of_its_own() -> None:
    assert [(cell.name, cell.wordings_of) for cell in cells()] == [
        (f"t_{cell}", "") for cell in ("en_ko_en", "en_ko_ko", "ko_en_en", "ko_en_ko")
    ]


def test_a_sentence_that_occurs_often_is_asked_once_for_all_its_translations() -> None:
    into_korean, _, into_english, _ = cells(references="several")
    assert into_korean.ids == ["1", "2"]
    assert into_korean.references == [("고마워.", "감사합니다."), ("안녕.",)]
    assert (into_english.ids, into_english.references) == (["1", "2", "3"], [("Thanks.",), ("Hello.",), ("Thanks.",)])
    assert cells()[0].references == [("고마워.",), ("안녕.",), ("감사합니다.",), ("고마워.",)]


@pytest.mark.parametrize("setting", [{"wordings": "held_out"}, {"references": "several"}])
def test_settings_of_translation_go_with_it_only(setting: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="`wordings` and `references` are only for translation tasks"):
        EvaluationTask(task="nsmc_generate", paths=("n",), **setting)


def test_of_several_targets_only_the_one_of_its_cell_is_a_right_language() -> None:
    items = [{"id": "1", "en": "The student reads a book.", "ja": "学生は本を読みます。"}]
    (cell,) = cells(items, directions=("en-ja",), instruction_languages=("en",))
    asked = Expectation(cell.sources[0], cell.references[0][0], cell.instruction, "en", cell.target_language)
    assert (cell.name, cell.answer_languages) == ("t_en_ja_en", ("ja",))
    assert failures("学生は本を読みます。", asked, finished=True) == ()
    assert failures("학생이 책을 읽습니다.", asked, finished=True) == (LANGUAGE,)
    assert failures("学生は책을 読みます。", asked, finished=True) == (MIXED,)
