"""A report of two target languages: groups of columns, sentences and figures for each."""

from pathlib import Path

from crosstune.recipe import Recipe
from crosstune.report.outputs import Outputs
from crosstune.report.scores import Scores
from crosstune.report.tables.build import paper_tables
from crosstune.report.tables.changes import change_table, figure_points, gain_titles
from crosstune.report.tables.findings import findings
from crosstune.report.tables.significance import Evidence
from crosstune.report.tables.summary import summary
from crosstune.runs.records import Score
from tests.report.conftest import make_recipe, recipe_content


def two_targets(folder: Path) -> Recipe:
    content = recipe_content()
    data, evaluate, systems = content["data"], content["evaluate"], content["systems"]
    data["sources"]["aihub"]["languages"] = ["en", "ko"]
    data["translation_instructions"] = {"ja": {"train": ["{target}に訳してください。"]}}
    pairs = {"task": "translation", "paths": ["t.json"]}
    evaluate["tasks"] = {
        "mmlu_ja": {"task": "global_mmlu", "language": "ja", "paths": ["j.tsv"]},
        "hella": {"task": "hellaswag", "paths": ["h.jsonl"]},
        "mmlu_ko": {"task": "global_mmlu", "language": "ko", "paths": ["k.tsv"]},
        "to_ja": {**pairs, "directions": ["en-ja", "ja-en"], "instruction_languages": ["ja", "en"]},
        "to_ko": {**pairs, "directions": ["en-ko"], "instruction_languages": ["en"]},
    }
    changes = {"data": data, "evaluate": evaluate, "systems": {name: systems[name] for name in ("llama", "ours")}}
    return make_recipe(folder, languages={"source": "en", "targets": ["ko", "ja"]}, **changes)


def made_up() -> Scores:
    accuracies = {"hella": (0.7, 0.6), "mmlu_ko": (0.3, 0.5), "mmlu_ja": (0.3, 0.6)}
    cells = {"to_ja_en_ja_en": (2, 20), "to_ja_en_ja_ja": (2, 24), "to_ja_ja_en_en": (2, 9), "to_ko_en_ko_en": (1, 30)}
    values = [(task, "acc", both) for task, both in accuracies.items()]
    values += [(task, "bleu", both) for task, both in cells.items()]
    return {
        (system, task, metric): Score(task, metric, value, value - 0.05, value + 0.05, 400, "")
        for task, metric, both in values
        for system, value in zip(("llama", "ours"), both, strict=True)
    }


def test_tables_3_and_4_have_a_group_of_columns_for_each_language(tmp_path: Path) -> None:
    accuracy, translation = paper_tables(two_targets(tmp_path), made_up())
    assert accuracy.title == "Accuracy on English, Korean and Japanese tasks"
    assert [(column.group, column.heading) for column in accuracy.columns] == [
        ("English", "HellaSwag"),
        ("Korean", "Global-MMLU"),
        ("Japanese", "Global-MMLU"),
    ]
    assert translation.groups == [
        ("Korean, English instruction", 1),
        ("Japanese, English instruction", 2),
        ("Japanese, Japanese instruction", 2),
    ]


def test_gains_are_told_for_each_target_and_forgetting_once(tmp_path: Path) -> None:
    recipe, scores = two_targets(tmp_path), made_up()
    evidence = Evidence(scores, Outputs(), {})
    tables, changes = paper_tables(recipe, scores), change_table(recipe, evidence)
    assert changes is not None
    assert [group for group, _ in changes.groups] == [
        "English",
        "Korean",
        "Korean, English instruction",
        "Japanese",
        "Japanese, English instruction",
        "Japanese, Japanese instruction",
    ]
    found = {group.title: group.lines for group in findings(recipe, evidence, tables, changes, "")}
    assert list(found) == ["Best in Korean", "Best in Japanese", "English forgotten", "Asked in Japanese"]
    assert all("Japanese" not in line for line in found["Best in Korean"])
    (gap,) = found["Asked in Japanese"]
    assert "20.0 → 24.0" in gap
    told = summary(recipe, scores, tables, changes, [])
    assert [sentence.partition(" at ")[2].partition(",")[0] for sentence in told] == ["En→Ko", "En→Ja"]


def test_the_figures_of_gain_and_forgetting_are_drawn_for_each_target(tmp_path: Path) -> None:
    recipe = two_targets(tmp_path)
    assert [title for title, _ in gain_titles(recipe)] == [
        "Translation into Korean",
        "Tasks in Korean",
        "Translation into Japanese",
        "Tasks in Japanese",
    ]
    (point,) = figure_points(recipe, made_up())
    assert round(point.source, 6) == -10
    assert [None if gain is None else round(gain, 6) for gain in point.gains] == [29, 20, 20, 30]
