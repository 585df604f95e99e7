import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from crosstune.errors import BadInputError, RunFolderError
from crosstune.prompts.examples import Example, write_examples
from crosstune.recipe import Recipe, RecipeLanguages
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.terminal.output import console
from crosstune.tokenizer import stage
from crosstune.tokenizer.folder import configuration_of, write_folder
from crosstune.tokenizer.line_kinds import part_lines
from crosstune.tokenizer.texts import sample_lines
from crosstune.tokenizer.verify import AWKWARD, NEW_PIECES_ARE_USED
from tests.tokenizer.conftest import byte_level

BASE = {"kind": "learned", "mixture": "english", "num_pieces": 420}
EXTENSION = {
    "kind": "learned",
    "mixture": "korean",
    "num_new_pieces": 250,
    "size_multiple_of": 4,
    "required_syllables": "seen",
}
MakeRun = Callable[..., tuple[Recipe, RunFolder]]


def said(action: Callable[[], Any]) -> str:
    with console.capture() as capture:
        action()
    return capture.get()


@pytest.mark.slow
def test_base_and_extended_tokenizer_are_made_proved_and_measured(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION, translation=True)
    text = said(lambda: stage.run(recipe, run))
    assert "420 + 252 pieces = 672; verified" in text
    assert "92 of the new pieces are dummies" in text
    assert "of 160 new pieces occur in the text that they were learned from" in text
    base, extended = (AutoTokenizer.from_pretrained(run.tokenizer(name)) for name in ("base", "extended"))
    assert (len(base), len(extended)) == (420, 672)
    assert base("The book").input_ids == extended("The book").input_ids
    assert len(extended("선생님은").input_ids) < len(base("선생님은").input_ids)
    rows = read_json(run.tokenizer("extended") / "subwords.json")
    assert (rows["old_size"], rows["new_size"], len(rows["subwords"]), len(rows["padding"])) == (420, 672, 252, 92)
    verification = read_json(run.tokenizer("extended") / "verification.json")
    assert verification["holds"]
    (used,) = [row for row in verification["properties"] if row["name"] == NEW_PIECES_ARE_USED]
    assert not used["required"] and 0 < used["failed"] < used["checked"] <= 160
    assert all(len(step.strip()) > 1 for step in used["failures"])
    assert read_json(run.tokenizer("extended") / "manifest.json")["size"] == 672


@pytest.mark.slow
def test_lines_of_every_mixture_prove_the_extension_though_it_is_learnt_from_one(
    make_run: MakeRun, tmp_path: Path, train_sentencepiece: Callable[..., Path], english: list[str]
) -> None:
    base = {"kind": "given", "path": str(train_sentencepiece(tmp_path / "base.model", english))}
    recipe, run = make_run(base, EXTENSION)
    stage.run(recipe, run)
    properties = read_json(run.tokenizer("extended") / "verification.json")["properties"]
    (row,) = (row for row in properties if row["name"] == "source-language text is tokenized as before")
    lines = {line for text in english for line in text.split("\n") if line}
    built_in = part_lines(AWKWARD, recipe.languages)["source"]
    assert row["checked"] == len(lines) + len(built_in)


@pytest.mark.slow
def test_fertility_is_measured_on_translation_sets_before_and_after(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION, translation=True)
    stage.run(recipe, run)
    rows = read_json(run.root / "tokenizer" / "fertility.json")["rows"]
    found = {(row["text"], row["language"], row["tokenizer"]): row["tokens_per_word"] for row in rows}
    assert found["news", "en", "base"] == found["news", "en", "extended"]
    assert found["news", "ko", "extended"] < 2 < 8 < found["news", "ko", "base"]


@pytest.mark.slow
@pytest.mark.parametrize("on_a_translation_set", [True, False])
def test_fertility_is_measured_again_on_other_text(make_run: MakeRun, on_a_translation_set: bool) -> None:
    recipe, run = make_run(BASE)
    stage.run(recipe, run)
    # A given tokenizer stays the same, whatever the data stage writes.
    run.tokenizer("base").rename(run.root / "given")
    recipe, run = make_run({"kind": "given", "path": str(run.root / "given")}, translation=on_a_translation_set)
    stage.run(recipe, run)
    assert "fertility: already measured" in said(lambda: stage.run(recipe, run))
    path = run.root / "tokenizer" / "fertility.json"
    before = read_json(path)["rows"]
    with whole_folder(run.evaluation_set("news") if on_a_translation_set else run.mixture("korean"), "2", {}) as folder:
        if on_a_translation_set:
            item = {"id": "1", "origin": "x:1", "en": "other words", "ko": "다른 말"}
            (folder / "items.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
        else:
            write_examples(folder / "examples.parquet", [Example("", "다른 말", "ko", "text", "x.txt:1")])
    text = said(lambda: stage.run(recipe, run))
    assert "base tokenizer: already there" in text and "already measured" not in text
    assert read_json(path)["rows"] != before


@pytest.mark.slow
def test_parity_is_measured_on_each_translation_set_before_and_after(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION, translation=True)
    stage.run(recipe, run)
    rows = read_json(run.root / "tokenizer" / "fertility.json")["parity"]
    assert [(row["text"], row["tokenizer"]) for row in rows] == [("news", "base"), ("news", "extended")]
    assert rows[0]["parity"] > rows[1]["parity"] > 0


@pytest.mark.slow
def test_without_a_translation_set_fertility_is_measured_on_the_learning_text(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION)
    stage.run(recipe, run)
    rows = read_json(run.root / "tokenizer" / "fertility.json")["rows"]
    assert {(row["text"], row["language"]) for row in rows} == {("learning text", "en"), ("learning text", "ko")}


def test_a_recipe_without_extension_gets_the_base_only(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE)
    stage.run(recipe, run)
    assert not run.tokenizer("extended").exists()
    assert {row["tokenizer"] for row in read_json(run.root / "tokenizer" / "fertility.json")["rows"]} == {"base"}


@pytest.mark.slow
def test_a_second_run_skips_all_and_a_changed_mixture_makes_what_depends_on_it(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION)
    stage.run(recipe, run)
    assert said(lambda: stage.run(recipe, run)).count("already") == 3
    with whole_folder(run.mixture("korean"), "korean-2", {}) as folder:
        folder.joinpath("examples.parquet").write_bytes((run.mixture("korean") / "examples.parquet").read_bytes())
    text = said(lambda: stage.run(recipe, run))
    assert "base tokenizer: already there" in text
    assert "verified" in text


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_files(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION)
    stage.run(recipe, run)
    first = (run.tokenizer("extended") / "tokenizer.json").read_bytes()
    (run.tokenizer("extended") / "manifest.json").unlink()
    stage.run(recipe, run)
    assert (run.tokenizer("extended") / "tokenizer.json").read_bytes() == first


@pytest.mark.slow
def test_a_ready_extended_tokenizer_is_taken_by_path(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION)
    stage.run(recipe, run)
    ready = run.root / "ready"
    (run.tokenizer("extended")).rename(ready)
    recipe, run = make_run(BASE, {"kind": "given", "path": str(ready)})
    stage.run(recipe, run)
    for name in ("tokenizer.json", "subwords.json"):
        assert (run.tokenizer("extended") / name).read_bytes() == (ready / name).read_bytes()


def test_an_extended_tokenizer_of_another_base_is_refused_and_leaves_no_folder(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE | {"num_pieces": 400})
    stage.run(recipe, run)
    other = run.root / "other"
    run.tokenizer("base").rename(other)
    recipe, run = make_run(BASE, {"kind": "given", "path": str(other)})
    with pytest.raises(BadInputError, match=r"old pieces moved or left"):
        stage.run(recipe, run)
    assert not run.tokenizer("extended").exists()


def test_a_base_that_is_not_bpe_is_refused_for_extension_but_serves_alone(make_run: MakeRun, tmp_path: Path) -> None:
    pieces = [["</s>", 0.0], ["▁", -1.0], ["a", -2.0], ["b", -2.0]]
    special = {"id": 0, "content": "</s>", "single_word": False, "lstrip": False, "rstrip": False}
    content = {
        "version": "1.0",
        "added_tokens": [special | {"normalized": False, "special": True}],
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces},
    }
    (tmp_path / "unigram").mkdir()
    (tmp_path / "unigram" / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "unigram" / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    given = {"kind": "given", "path": str(tmp_path / "unigram")}
    stage.run(*make_run(given))
    with pytest.raises(BadInputError, match=r"tokenizer.base cannot be extended: Unigram .*Start from a model"):
        stage.run(*make_run(given, EXTENSION))


def test_a_mixture_without_its_examples_names_the_command_that_makes_them(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE)
    (run.mixture("english") / "examples.parquet").unlink()
    with pytest.raises(RunFolderError, match=r"examples\.parquet is missing\. `crosstune run RECIPE` rebuilds it"):
        stage.run(recipe, run)


def test_a_missing_translation_set_names_the_command_that_makes_it(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, translation=True)
    (run.evaluation_set("news") / "items.jsonl").unlink()
    with pytest.raises(RunFolderError, match=r"items\.jsonl is missing\. `crosstune run RECIPE` rebuilds it"):
        stage.run(recipe, run)


def test_drawn_lines_are_different_bounded_and_the_same_for_the_same_seed() -> None:
    texts = [f"line {number}\n\nagain" for number in range(1000)]
    drawn = sample_lines(texts, 50, seed=7)
    assert drawn == sample_lines(iter(texts), 50, seed=7) != sample_lines(texts, 50, seed=8)
    assert len(drawn) == len(set(drawn)) <= 50
    assert any(int(line.split()[1]) > 500 for line in drawn if line != "again")
    assert sample_lines(["b\na", "b"], 50, seed=7) == ["a", "b"]


def test_lines_that_stand_there_often_take_no_place_of_others() -> None:
    """A mixture begins with the same instruction, again and again: a thousand of its lines were drawn as one."""
    texts = ["Translate this.\n" * 1000, *(f"line {number}\n### Response:" for number in range(1000))]
    drawn = sample_lines(texts, 50, seed=7)
    assert len(drawn) == 50
    numbers = [int(line.split()[1]) for line in drawn if line.startswith("line")]
    assert len(numbers) >= 48 and min(numbers) < 100 and max(numbers) > 900
    assert len(sample_lines(texts, 5000, seed=7)) == 1002


@pytest.mark.slow
def test_a_sentencepiece_model_is_written_when_asked_and_agrees(
    make_run: MakeRun, tmp_path: Path, train_sentencepiece: Callable[..., Path], english: list[str]
) -> None:
    base = {"kind": "given", "path": str(train_sentencepiece(tmp_path / "base.model", english))}
    recipe, run = make_run(base, EXTENSION | {"write_sentencepiece": True})
    stage.run(recipe, run)
    report = read_json(run.tokenizer("extended") / "verification.json")
    (row,) = (row for row in report["properties"] if "SentencePiece" in row["name"])
    assert row["holds"]
    assert row["checked"] > 11_172
    assert (run.tokenizer("extended") / "tokenizer.model").is_file()


def test_a_sentencepiece_model_of_a_base_without_one_is_refused(make_run: MakeRun) -> None:
    recipe, run = make_run(BASE, EXTENSION | {"write_sentencepiece": True})
    with pytest.raises(BadInputError, match=r"write_sentencepiece: tokenizer\.base has no tokenizer\.model"):
        stage.run(recipe, run)


GERMAN = [
    "Die Schülerin liest am Morgen ein Buch über Vögel.",
    "Der Lehrer gibt der Schülerin das Buch über Vögel.",
    "Am Morgen schenkt die Schülerin dem Lehrer Vögel.",
] * 4


@pytest.fixture
def german_run(make_run: MakeRun) -> Callable[..., tuple[Recipe, RunFolder]]:
    """A function that makes a run into German, whose mixtures hold English rows and German ones."""

    def make(**settings: Any) -> tuple[Recipe, RunFolder]:
        recipe, run = make_run(BASE, EXTENSION | {"num_new_pieces": 60} | settings)
        with whole_folder(run.mixture("korean"), "german-1", {}) as folder:
            rows = [("de", text) for text in GERMAN] + [
                ("en", f"The book of Mr Schulz, number {n}.") for n in range(40)
            ]
            write_examples(
                folder / "examples.parquet",
                [Example("", text, language, "text", f"x.txt:{n}") for n, (language, text) in enumerate(rows)],
            )
        return recipe.model_copy(update={"languages": RecipeLanguages(source="en", target="de")}), run

    return make


def test_a_target_in_latin_letters_is_extended_and_source_text_stays(german_run: MakeRun) -> None:
    recipe, run = german_run()
    text = said(lambda: stage.run(recipe, run))
    assert "verified" in text and "words of held-out source text are cut as before: 100.000% of" in text
    base, extended = (AutoTokenizer.from_pretrained(run.tokenizer(name)) for name in ("base", "extended"))
    assert base("The book of Mr Schulz, number 3.").input_ids == extended("The book of Mr Schulz, number 3.").input_ids
    assert len(extended(GERMAN[0]).input_ids) < 0.7 * len(base(GERMAN[0]).input_ids)
    rows = read_json(run.root / "tokenizer" / "fertility.json")["rows"]
    assert {row["language"] for row in rows} == {"en", "de"}


def test_what_a_free_extension_changes_in_source_text_is_counted_and_said(german_run: MakeRun) -> None:
    recipe, run = german_run(source_text_unchanged=False)
    text = said(lambda: stage.run(recipe, run))
    rows = {row["name"]: row for row in read_json(run.tokenizer("extended") / "verification.json")["properties"]}
    seen, unseen = (
        rows["source-language text is tokenized as before"],
        rows["words of held-out source text are cut as before"],
    )
    assert not seen["required"] and seen["failed"] > 0 and "source-language text is tokenized as before: " in text
    assert not unseen["required"] and unseen["checked"] > unseen["failed"] > 0


@pytest.mark.slow
def test_words_of_a_script_with_vowel_signs_are_kept_whole_where_that_is_asked(
    make_run: MakeRun, tmp_path: Path, english: list[str]
) -> None:
    hindi = ["यह किताब पुस्तकालय में है।", "विद्यार्थी पुस्तकालय में किताब पढ़ता है।"] * 4
    (tmp_path / "base").mkdir()
    content = byte_level(english, 360, ignore_merges=False).content
    write_folder(tmp_path / "base", content, configuration_of({"eos_token": "<|end|>"}))
    base, pieces = {"kind": "given", "path": str(tmp_path / "base")}, {}
    for whole in (False, True):
        recipe, run = make_run(base, EXTENSION | {"keep_words_whole": whole})
        with whole_folder(run.mixture("korean"), "hindi-1", {}) as folder:
            write_examples(folder / "examples.parquet", [Example("", text, "hi", "text", "x:1") for text in hindi])
        recipe = recipe.model_copy(update={"languages": RecipeLanguages(source="en", target="hi")})
        text = said(partial(stage.run, recipe, run))
        assert "verified" in text and ("no GGUF file can be made" in " ".join(text.split())) == whole
        tokenizer = AutoTokenizer.from_pretrained(run.tokenizer("extended"))
        pieces[whole] = tokenizer("यह पुस्तकालय").input_ids
        assert tokenizer.decode(pieces[whole]) == "यह पुस्तकालय"
    assert len(pieces[True]) == 2 < len(pieces[False])
