"""Tables and JSON whose columns have names of their own: what they are is told by the names, or by the languages."""

import csv
import json
from pathlib import Path

import pytest

from crosstune.init.found import FoundFile, look_into
from crosstune.recipe import Languages
from tests.doctor.conftest import MakeModel
from tests.init.conftest import lines, written

EN, KO = lines("en", 40), lines("ko", 40)
LABELS = ["positive" if index % 3 else "negative" for index in range(40)]


def table(path: Path, **columns: list[str]) -> Path:
    """A table with a header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*columns], *zip(*columns.values(), strict=True)])
    return path


def looked_at(path: Path) -> FoundFile:
    """What a file is found to be."""
    (file,) = look_into(path.parent, [path], Languages(source="en", target="ko"))
    return file


def test_questions_and_answers_are_instructions(folder: Path) -> None:
    file = looked_at(table(folder / "faq.csv", Title=LABELS, 질문=KO, 답변=KO[::-1]))
    assert (file.kind, file.language, file.rows) == ("instructions", "ko", 40)
    assert dict(file.columns) == {"instruction": "질문", "output": "답변"}
    rows = [{"question": asked, "answer": answer, "id": 7} for asked, answer in zip(KO, KO[::-1], strict=True)]
    (folder / "bot.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    file = looked_at(folder / "bot.json")
    assert (file.kind, dict(file.columns)) == ("instructions", {"instruction": "question", "output": "answer"})


def test_two_columns_in_the_two_languages_are_translations(folder: Path) -> None:
    numbers = [str(index) for index in range(40)]
    columns = {"No": numbers, "Original (EN)": EN, "Translated (KR)": KO, "Remark": LABELS}
    file = looked_at(table(folder / "ours.csv", **columns))
    assert (file.kind, dict(file.columns)) == ("parallel", {"en": "Original (EN)", "ko": "Translated (KR)"})


def test_labels_in_the_other_language_are_no_translations(folder: Path) -> None:
    file = looked_at(table(folder / "reviews.csv", review=KO, label=LABELS))
    assert (file.kind, file.language, dict(file.columns)) == ("text", "ko", {"text": "review"})
    # Sentences, but of another length than translations have.
    file = looked_at(table(folder / "longer.csv", review=[" ".join(KO)] * 40, label=EN))
    assert not file.kind and "called review,label; rename" in file.reason


def test_of_several_columns_in_one_language_none_is_the_text(folder: Path) -> None:
    file = looked_at(table(folder / "copa.csv", premise=KO, choice_1=KO[::-1], choice_2=KO[1:] + KO[:1]))
    assert not file.kind and "called premise,choice_1,choice_2; rename" in file.reason


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("ours.csv", "No;Original\n1;Why?\n", "called No;Original, parted by ';' (export it with commas); rename"),
        ("labels.csv", "name,label\nA,b\nC,d\n", "called name,label; rename them to en and ko"),
        ("twice.jsonl", '{"question": "왜?", "prompt": "왜?", "n": 7}\n', "called question, prompt, n; rename them"),
    ],
)
def test_where_no_guess_is_right_the_names_to_give_are_told(folder: Path, name: str, content: str, told: str) -> None:
    (folder / name).write_text(content, "utf-8")
    file = looked_at(folder / name)
    assert not file.kind and told in file.reason
    assert file.reason.endswith("to instruction and output, or to text")
    assert len(f"not used: {file.reason}") <= 160


@pytest.mark.slow
def test_a_recipe_names_the_columns_of_training_and_test_sets(make_model: MakeModel, folder: Path) -> None:
    en, ko = lines("en", 200), lines("ko", 200)
    table(folder / "ours.csv", **{"Original (EN)": en[:170], "Translated (KR)": ko[:170]})
    table(folder / "ours_test.csv", **{"Original (EN)": en[170:], "Translated (KR)": ko[170:]})
    recipe, shown = written(make_model(), folder, "ko")
    named = {"en": "Original (EN)", "ko": "Translated (KR)"}
    assert recipe.data.sources["ours"].columns == named
    assert recipe.evaluate.tasks["ours_test_csv"].columns == named
    assert "training, its 'Original (EN)' as en and 'Translated (KR)' as ko" in " ".join(shown.split())
