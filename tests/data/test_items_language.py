"""A benchmark's file in another language is refused by its rows, its name or its letters; else it is said unchecked."""

from pathlib import Path
from typing import Any

import pytest
from tests.tasks.read import read

from crosstune.data import stage
from crosstune.errors import BadInputError
from crosstune.languages.declared import means
from crosstune.recipe import yaml_file
from crosstune.runs.folder import RunFolder
from crosstune.tasks.registry import all_tasks

GERMAN = {"id": 1, "sentence1": "Der Mann ging gestern nach Hause .", "sentence2": "Er ging heim .", "label": 1}
OPTIONS = {f"option_{letter}": letter for letter in "abcd"}
KOREAN = {"domain": "Social Science", "question": "밭에서 무엇을 기르나요?", **OPTIONS, "answer": 2}
CELLS = {"directions": ("en-ko",), "instruction_languages": ("en",)}


@pytest.mark.parametrize(
    ("task", "files", "more", "told"),
    [
        ("pawsx", {"x-final/de/test_2k.tsv": "x"}, {"language": "fr"}, "is by its name the file in de"),
        ("pawsx", {"de/test/0000.parquet": [GERMAN]}, {"language": "fr"}, "is by its name the file in de"),
        ("global_mmlu", {"ko/test-0.parquet": [KOREAN]}, {"language": "ja"}, "is by its name the file in ko"),
        ("include", {"Korean/test-0.parquet": [KOREAN]}, {"language": "ja"}, "is by its name the file in Korean"),
        ("ntrex", {"newstest2019-src.eng.txt": "Hi.\n", "newstest2019-ref.fra.txt": "Oui.\n"}, CELLS, "file in fra"),
        ("flores200", {"kor_Hang.devtest": "예.\n", "eng_Latn.devtest": "Yes.\n"}, CELLS, "file in kor_Hang"),
        ("include", {"a.parquet": [{**KOREAN, "language": "Korean"}]}, {"language": "ja"}, "it is in Korean, but ja"),
        ("pawsx", {"a.parquet": [GERMAN]}, {"language": "ko"}, "1 of 1 have no letter of its script"),
        ("nsmc_generate", {"a.jsonl": [{"document": "All in English.", "label": 1}]}, {}, "no letter of its script"),
    ],
)
def test_a_file_in_another_language_is_refused(
    tmp_path: Path, task: str, files: dict[str, Any], more: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadInputError, match=told):
        read(tmp_path, task, files, **more)


def test_names_that_say_nothing_and_languages_of_two_scripts_pass(tmp_path: Path) -> None:
    assert read(tmp_path, "pawsx", {"dev/test_2k.tsv": "id\tsentence1\tsentence2\tlabel\n1\ta\tb\t1\n"}, language="de")
    serbian = {**KOREAN, "question": "Ovo je pitanje na latinici?"}
    assert read(tmp_path, "global_mmlu", {"a.parquet": [{**serbian, "answer": "A"}]}, language="sr")


def test_published_codes_and_names_mean_their_languages() -> None:
    for said, code in (("zho-CN", "zh"), ("nob_Latn", "no"), ("North Macedonian", "mk"), ("Tagalog", "fil")):
        assert means(said, code)
    for said, code in (("zho-TW", "zh"), ("Persian", "ko"), ("deu", "fr")):
        assert means(said, code) is False
    assert means("unknown", "ko") is None
    for task in all_tasks().values():
        for language in task.languages if task.published else ():
            ways = task.published.ways("test", [language])  # type: ignore[union-attr]
            names = [glob.removeprefix("*").replace("*", "0") for way in ways for globs in way for glob in globs]
            declared = {task.published.language_in(f"data/{name}") for name in names} - {""}  # type: ignore[union-attr]
            assert all(means(one, language) for one in declared), (task.name, language)


def test_what_nothing_told_is_said_when_the_items_are_written(
    tmp_path: Path, recipe_content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    text = "id\tsentence1\tsentence2\tlabel\n1\t{0}\t{0}\t1\n"
    (tmp_path / "ours.tsv").write_text(text.format("Der Mann ging gestern mit seinen Freunden nach Hause ."))
    (tmp_path / "fr").mkdir()
    (tmp_path / "fr" / "test_2k.tsv").write_text(text.format("Le vent."))
    recipe_content["data_root"] = str(tmp_path)
    recipe_content["evaluate"]["tasks"] = {
        label: {"task": "pawsx", "paths": [path], "language": "fr"}
        for label, path in (("unnamed", "ours.tsv"), ("named", "fr/test_2k.tsv"))
    }
    stage.write_evaluation_sets(yaml_file.validate(recipe_content, "test"), RunFolder(tmp_path / "run"))
    said = " ".join("".join(capsys.readouterr()).split())
    assert "set unnamed: taken for French as the recipe says: neither rows nor names of files say" in said
    assert "(ours.tsv); they read like German" in said and "set named: taken" not in said
