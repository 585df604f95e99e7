"""What an override or a file changes of a recipe: a name that is not there is an error, not left alone in silence."""

from datetime import date
from pathlib import Path

import pytest

from crosstune.errors import RecipeError
from crosstune.recipe.yaml_file import differences, dump, load_recipe

MINIATURE = Path("recipes/miniature.yaml")


def test_null_leaves_out_what_is_there_and_refuses_a_name_that_is_not() -> None:
    assert "lora" not in load_recipe(MINIATURE, ["systems.lora=null"]).systems
    # A shell expands braces only where they are not quoted.
    with pytest.raises(RecipeError, match=r"there is no '\{lora,continued\}' to leave out; there are: .*lora"):
        load_recipe(MINIATURE, ["systems.{lora,continued}=null"])
    assert load_recipe(MINIATURE, ["train.log_every_steps=null"]) == load_recipe(MINIATURE)


def test_a_file_that_leaves_out_what_its_base_has_not_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"base: {MINIATURE.resolve()}\nsystems: {{lorra: null}}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"recipe.yaml: systems: there is no 'lorra' to leave out"):
        load_recipe(recipe)


def test_null_turns_off_what_is_on_by_default_however_it_is_written(tmp_path: Path) -> None:
    off = load_recipe(MINIATURE, ["data.quality.overlap_ngram=null", "data.quality.max_length_ratio=null"])
    assert (off.data.quality.overlap_ngram, off.data.quality.max_length_ratio) == (None, None)
    changed = tmp_path / "changed.yaml"
    changed.write_text(
        f"base: {MINIATURE.resolve()}\ndata: {{quality: {{overlap_ngram: null, max_length_ratio: null}}}}\n",
        encoding="utf-8",
    )
    assert load_recipe(changed) == off
    # A run folder holds the resolved recipe, which judges and chats read again.
    resolved = tmp_path / "recipe.yaml"
    resolved.write_text(dump(off), encoding="utf-8")
    assert load_recipe(resolved) == off and differences(resolved, off) == []


@pytest.mark.parametrize("written", ["2025-01-31", "'2025-01-31'"])
def test_a_date_needs_no_quotes(tmp_path: Path, written: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"base: {MINIATURE.resolve()}\ndata: {{template_date: {written}}}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="a name has small letters"):
        load_recipe(MINIATURE, [f"data.sources={{{written}: {{kind: text, language: ko, paths: [a.txt]}}}}"])
    for found in (load_recipe(recipe), load_recipe(MINIATURE, [f"data.template_date={written}"])):
        assert found.data.template_date == date(2025, 1, 31)


def test_a_recipe_that_is_not_utf_8_is_named_with_the_line(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(f"base: {MINIATURE.resolve()}\ndescription: 한국어 실험\n".encode("cp949"))
    with pytest.raises(RecipeError, match=r"recipe.yaml: line 2 is not UTF-8: save the file as UTF-8"):
        load_recipe(recipe)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.score_tasks=[copa]", "train.score_tasks: nothing is scored during training without"),
        ("systems.lora.new_rows={method: random}", "systems.lora.new_rows: its tokenizer is `base`"),
        ("systems.two={start: ours, tokenizer: extended, new_rows: {method: random}}", "'ours', has the rows of the"),
        ("systems.lora.label=LLaMA", "systems: llama, lora have one `label`, 'LLaMA'"),
        ("systems.lora.revision=0123abc", "`start: llama` is a system of this recipe: leave it out"),
        ("systems.llama.revision=0123abc", "`start: scratch` is no hub id: leave it out"),
    ],
)
def test_a_setting_that_would_change_nothing_or_hide_another_is_refused(override: str, expected: str) -> None:
    with pytest.raises(RecipeError, match=expected):
        load_recipe(MINIATURE, [override])


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ("[fr]", "no completion of mixture 'paper' is in fr, only in en, ko: leave out what acts on nothing"),
        ("[en, ja, fr]", "is in ja, fr, only in"),
    ],
)
def test_a_pull_that_acts_on_no_row_is_refused(languages: str, message: str) -> None:
    pull = "systems.ours.phases.0.kl_to_start={weight: 0.1, languages: %s}"
    with pytest.raises(RecipeError, match=message):
        load_recipe(Path("miniature"), [pull % languages])
    assert load_recipe(Path("miniature"), [pull % "[en, ko]"]).systems["ours"].phases[0].kl_to_start


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("systems.ours.phases.0.mixture=[paper, bilingual]", r"systems\.ours\.phases\.0\.mixture: Input should be a"),
        ("evaluate.reference_system=[llama]", r"evaluate\.reference_system: Input should be a valid string"),
        ("train.validation={a: 1}", r"train\.validation: Input should be a valid string"),
        ("data.mixtures.bilingual.0.directions.0.0=x", "'en-ko' is one value, with no '0' in it"),
    ],
)
def test_a_list_or_a_mapping_where_a_name_belongs_is_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(Path("miniature"), [override])
