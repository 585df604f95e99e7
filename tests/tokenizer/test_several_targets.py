"""New pieces of several languages in one tokenizer: each learnt, proved and measured for itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import BadInputError
from crosstune.prompts.examples import Example, write_examples
from crosstune.recipe import GivenTokenizer, Recipe, yaml_file
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.tokenizer import stage, sweep
from crosstune.tokenizer.extension import by_target
from tests.tokenizer.conftest import ENGLISH, KOREAN

JAPANESE = (
    "先生は図書館で学生に赤い本をあげた。",
    "祖母は毎朝新聞を読んでお茶を飲みます。",
    "学生は本を読んでいて、先生は窓を開けた。",
)
GERMAN = (
    "Die Großmutter liest jeden Morgen die Zeitung und trinkt Tee.",
    "Der Lehrer öffnete das Fenster der Bibliothek für die Schüler.",
    "Die Schüler der Bibliothek lesen jeden Morgen ein Buch.",
)
RUSSIAN = (
    "Учитель дал студенту красную книгу в библиотеке.",
    "Моя бабушка каждое утро читает газету и пьёт чай.",
    "Студент читал книгу, и учитель открыл окно.",
)
TEXTS = {"en": ENGLISH, "ko": KOREAN, "ja": JAPANESE, "ru": RUSSIAN, "de": GERMAN}
BASE = {"kind": "learned", "mixture": "english", "num_pieces": 420}


def made(root: Path, targets: list[str], **settings: Any) -> tuple[Recipe, RunFolder]:
    """Return a recipe that learns languages, and what its data stage would have written."""
    both = {"directions": ["en-ko"], "instruction_languages": ["en"]}
    content = {
        "name": "test",
        "seed": 1,
        "runs_root": str(root),
        "data_root": str(root / "data"),
        "languages": {"source": "en", "targets": targets},
        "data": {
            "sources": {code: {"kind": "text", "paths": ["x.txt"], "language": code} for code in ("en", *targets)},
            "mixtures": {"english": [{"source": "en"}], "new": [{"source": code} for code in targets]},
        },
        "tokenizer": {
            "base": BASE,
            "extension": {"kind": "learned", "mixture": "new", "required_syllables": "seen", **settings},
        },
        "systems": {"base": {"start": "some/model", "revision": "abc1234", "tokenizer": "base"}},
        "evaluate": {"reference_system": "base", "tasks": {"news": {"task": "translation", "paths": ["x"], **both}}},
    }
    recipe, run = yaml_file.validate(content, "recipe"), RunFolder(root / "test")
    for name, codes in (("english", ["en"]), ("new", targets)):
        with whole_folder(run.mixture(name), f"{name}-1", {}) as folder:
            texts = [(code, text) for code in codes for text in TEXTS[code] * 4]
            rows = [Example("", text, code, code, f"x:{line}") for line, (code, text) in enumerate(texts)]
            write_examples(folder / "examples.parquet", rows)
    with whole_folder(run.evaluation_set("news"), "news-1", {}) as folder:
        items = [{"id": str(i), "origin": "x", "en": ENGLISH[i], "ko": KOREAN[i]} for i in range(4)]
        (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return recipe, run


@pytest.mark.slow
def test_each_language_gets_its_number_of_pieces_and_its_own_proof(tmp_path: Path) -> None:
    recipe, run = made(tmp_path, ["ko", "ja"], num_new_pieces={"ko": 120, "ja": 70}, size_multiple_of=2)
    stage.run(recipe, run)
    vocabulary = read_json(run.tokenizer("extended") / "tokenizer.json")["model"]["vocab"]
    new = [piece for piece, index in sorted(vocabulary.items(), key=lambda entry: entry[1]) if index >= 420]
    assert len(new) == 190 and "▁책을" in new[:120] and {"先", "館"} <= {*new[120:]}
    report = read_json(run.tokenizer("extended") / "verification.json")
    checked = {row["name"]: row["checked"] for row in report["properties"]}
    assert report["holds"] and checked["every letter of Korean survives"] > 11_000
    assert checked["Japanese text survives encoding and decoding"] >= len(JAPANESE)
    measured = read_json(run.root / "tokenizer" / "fertility.json")
    assert [row["languages"] for row in measured["parity"]] == ["ko / en"] * 2


@pytest.mark.slow
def test_a_target_of_the_sources_letters_beside_one_of_its_own_leaves_source_text_as_it_was(tmp_path: Path) -> None:
    recipe, run = made(tmp_path, ["de", "ko"], num_new_pieces=150, size_multiple_of=2)
    stage.run(recipe, run)
    report = read_json(run.tokenizer("extended") / "verification.json")
    found = {row["name"]: row for row in report["properties"]}
    assert found["source-language text is tokenized as before"]["required"]
    assert found["source-language text is tokenized as before"]["checked"] >= len(ENGLISH) - 1
    assert {"German text survives encoding and decoding", "every letter of Korean survives"} <= found.keys()


@pytest.mark.slow
def test_sentencepiece_itself_cuts_the_text_of_each_language_as_the_fast_tokenizer_does(
    tmp_path: Path, train_sentencepiece: Callable[..., Path], english: list[str]
) -> None:
    recipe, run = made(tmp_path, ["ru", "ko"], num_new_pieces=240, write_sentencepiece=True)
    base = GivenTokenizer(kind="given", path=str(train_sentencepiece(tmp_path / "base.model", english)))
    recipe = recipe.model_copy(update={"tokenizer": recipe.tokenizer.model_copy(update={"base": base})})
    stage.run(recipe, run)
    report = read_json(run.tokenizer("extended") / "verification.json")
    (row,) = (row for row in report["properties"] if row["name"].startswith("fast and SentencePiece"))
    assert report["holds"] and row["holds"] and row["checked"] > 11_000


@pytest.mark.slow
def test_the_sweep_measures_each_language_alone(tmp_path: Path) -> None:
    recipe, run = made(tmp_path, ["ko", "ru"], num_new_pieces=200)
    recipe = recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"tasks": {}})})
    stage.run(recipe, run)
    points = sweep.sweep(recipe, run, [90, 110])
    assert {point.text for point in points} == {"learning text, Korean", "learning text, Russian"}
    assert {point.num_new_pieces for point in points if point.text.endswith("Korean")} == {0, 90, 110}


def test_an_allowed_word_belongs_to_the_targets_that_spell_it_and_to_one_at_least(tmp_path: Path) -> None:
    recipe, _ = made(tmp_path, ["ko", "ja"], allow=["책을", "図書館"])
    settings = recipe.tokenizer.extension
    assert settings is not None and settings.kind == "learned"
    assert [own.allow for own in by_target(settings, recipe.languages)] == [("책을",), ("図書館",)]
    refused = settings.model_copy(update={"allow": ("книга",)})
    with pytest.raises(BadInputError, match="only letters of one of ko, ja"):
        by_target(refused, recipe.languages)
