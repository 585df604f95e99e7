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


def test_what_a_question_is_about_is_its_input(folder: Path) -> None:
    file = looked_at(table(folder / "exam.csv", 지문=KO[2:] + KO[:2], 질문=KO, 답변=KO[::-1]))
    assert dict(file.columns) == {"instruction": "질문", "output": "답변", "input": "지문"}
    # An id is none, and what has a name of its own may be needed to answer.
    file = looked_at(table(folder / "ids.csv", document=LABELS, question=KO, answer=KO[::-1]))
    assert not file.kind
    file = looked_at(table(folder / "own.csv", 보기=KO[2:] + KO[:2], 질문=KO, 답변=KO[::-1]))
    assert not file.kind and "called 보기,질문,답변; rename" in file.reason


def test_of_several_columns_in_a_language_none_is_a_side_of_translations(folder: Path) -> None:
    longer = [f"{line} {line[:20]}" for line in KO]
    file = looked_at(table(folder / "title.csv", Title=EN, 제목=KO, 설명=longer))
    assert not file.kind and "called Title,제목,설명; rename" in file.reason
    # The longest of each language are a question and the answer to it.
    both = {"question": [f"{line} {line}" for line in EN], "answer": EN[::-1], "질문": KO, "답변": longer[::-1]}
    assert not looked_at(table(folder / "both.csv", **both)).kind


def test_columns_of_other_names_are_read_in_cp949_too(folder: Path) -> None:
    (folder / "faq.csv").write_text("질문,답변\n" + "".join(map("{},{}\n".format, KO, KO[::-1])), "cp949")
    file = looked_at(folder / "faq.csv")
    assert (file.kind, file.encoding, dict(file.columns)) == (
        "instructions",
        "cp949",
        {"instruction": "질문", "output": "답변"},
    )
    rows = [{"질문": asked, "답변": answer} for asked, answer in zip(KO, KO[::-1], strict=True)]
    (folder / "faq.json").write_text(json.dumps(rows, ensure_ascii=False), "cp949")
    assert (looked_at(folder / "faq.json").kind, looked_at(folder / "faq.json").encoding) == ("instructions", "cp949")


def test_columns_behind_a_long_header_are_seen(folder: Path) -> None:
    numbers = {f"a column with a rather long name {index}": LABELS for index in range(4)}
    file = looked_at(table(folder / "long.csv", **numbers, 질문=KO, 답변=KO[::-1]))
    assert dict(file.columns) == {"instruction": "질문", "output": "답변"}
    file = looked_at(table(folder / "longer.csv", **{"x" * 400: LABELS}, 질문=KO, 답변=KO[::-1]))
    assert not file.kind and "no column 'text'" in file.reason


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
