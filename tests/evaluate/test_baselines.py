"""What needs no model: the nearest training sentence's translation, and naive Bayes on the training rows."""

import pytest

from crosstune.evaluate.baselines import BAYES, MEMORY, Learnt, asked_about, baseline_scores, classified, nearest
from crosstune.evaluate.cells import Cell
from crosstune.prompts.templates import TEMPLATES
from crosstune.tasks.registry import all_tasks


def test_the_translation_of_the_most_similar_sentence_is_given() -> None:
    known = {"The cat sleeps.": "고양이가 잔다.", "The dog eats an apple.": "개가 사과를 먹는다.", "가": "x"}
    assert nearest(known, ["The cat slept.", "A dog eats apples", "THE CAT SLEEPS."]) == [
        "고양이가 잔다.",
        "개가 사과를 먹는다.",
        "고양이가 잔다.",
    ]
    assert nearest(known, ["", "漢"]) == ["고양이가 잔다."] * 2


def test_naive_bayes_knows_the_words_of_each_label() -> None:
    known = [("정말 재미있다", 1), ("아주 재미있다", 1), ("너무 지루하다", 0)]
    assert classified(known, ["재미있다", "지루하다", "처음 보는 말"]) == [1, 0, 1]


@pytest.mark.parametrize("name", list(TEMPLATES))
@pytest.mark.parametrize("text", ["The cat sleeps.", "two\nlines {input}"])
def test_what_is_asked_about_is_taken_out_of_each_template(name: str, text: str) -> None:
    template = TEMPLATES[name]
    assert asked_about(template, template.prompt("Translate this", text)) == text


def cell(target: str, sources: list[str], references: list[str]) -> Cell:
    task = all_tasks()["translation" if target else "nsmc_generate"]
    of_items = [(reference,) for reference in references]
    return Cell("cell", "", ["1", "2"], sources, sources, of_items, "en" if target else "", target, "", 8, task)


def test_each_cell_is_scored_by_the_baseline_that_fits_it() -> None:
    rows = [
        Learnt("parallel", "ko", "The cat sleeps.", "고양이가 잔다.", "en"),
        Learnt("parallel", "en", "개가 먹는다.", "The dog eats.", "ko"),
        Learnt("parallel", "ko", "The cat sleeps!", "das ist ein Satz aus dem Deutschen", "de"),
        Learnt("instructions", "ko", "정말 재미있다", "긍정"),
        Learnt("instructions", "ko", "너무 지루하다", "부정"),
        Learnt("instructions", "ko", "무엇인가?", "사과"),
    ]
    asked = cell("ko", ["The cat sleeps!", "The cat sleeps?"], ["고양이가 잔다.", "고양이가 잔다."])
    found = {score.metric: (name, score.value) for name, score in baseline_scores(asked, rows, 10)}
    assert found["bleu"][0] == MEMORY and found["bleu"][1] == pytest.approx(100)
    reviews = cell("", ["재미있다", "지루하다"], ["긍정", "긍정"])
    assert [(name, score.metric, score.value) for name, score in baseline_scores(reviews, rows, 10)] == [
        (BAYES, "acc", 0.5)
    ]
    assert not list(baseline_scores(reviews, rows[:4], 10)), "one label alone teaches nothing"
    assert not list(baseline_scores(cell("ja", ["a", "b"], ["c", "d"]), rows, 10))
