"""Recipes that learn several languages: what they must say, and that a list of one is the plain recipe."""

from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import RecipeError
from crosstune.mine.questions import asked_of
from crosstune.prompts.examples import Example
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import LearnedExtension, NewRows, yaml_file
from crosstune.runs.fingerprint import fingerprint


@pytest.fixture
def two(recipe_content: dict[str, Any]) -> dict[str, Any]:
    """The small recipe with Korean and Japanese."""
    data = recipe_content["data"]
    recipe_content["languages"] = {"source": "en", "targets": ["ko", "ja"]}
    for name, pair in (("pairs", ["en", "ko"]), ("ja_pairs", ["en", "ja"]), ("ko_ja", ["ko", "ja"])):
        data["sources"][name] = {"kind": "parallel", "paths": ["pairs.json"], "languages": pair}
    part = {"source": "ja_pairs", "directions": ["ja-en", "en-ja"], "instruction_languages": ["en", "ko"]}
    between = {"source": "ko_ja", "directions": ["ko-ja"], "instruction_languages": ["en"]}
    data["mixtures"]["paper"] += [part, between]
    task = {"task": "translation", "paths": ["t.tsv"], "directions": ["en-ja"], "instruction_languages": ["en"]}
    recipe_content["evaluate"]["tasks"]["to_ja"] = task
    return recipe_content


def set_at(content: Any, dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        content = content[int(key) if key.isdecimal() else key]
    content[int(last) if last.isdecimal() else last] = value


def test_a_list_of_one_target_is_the_recipe_with_that_target(recipe_content: dict[str, Any]) -> None:
    plain = yaml_file.validate(recipe_content, "recipe.yaml")
    recipe_content["languages"] = {"source": "en", "targets": ["kor"]}
    listed = yaml_file.validate(recipe_content, "recipe.yaml")
    assert listed == plain and yaml_file.dump(listed) == yaml_file.dump(plain)
    assert fingerprint("stage", listed.languages) == fingerprint("stage", {"source": "en", "target": "ko"})
    assert listed.languages.directions == ("en-ko", "ko-en")


def test_several_targets_give_a_pair_each_and_survive_dump_and_load(two: dict[str, Any], tmp_path: Path) -> None:
    recipe = yaml_file.validate(two, "recipe.yaml")
    assert recipe.languages.codes == ("en", "ko", "ja")
    assert recipe.languages.directions == ("en-ko", "ko-en", "en-ja", "ja-en", "ko-ja", "ja-ko")
    assert recipe.languages_of(recipe.data.sources["ko_ja"]).codes == ("ko", "ja")
    assert recipe.languages_of(recipe.evaluate.tasks["to_ja"]).codes == ("en", "ja")
    assert recipe.systems["ours"].new_rows == NewRows(method="aligned", mixture="paper", noise=0.0)
    path = tmp_path / "dumped.yaml"
    path.write_text(yaml_file.dump(recipe), encoding="utf-8")
    assert yaml_file.load_recipe(path) == recipe


@pytest.mark.parametrize(
    ("dotted", "value", "expected"),
    [
        ("languages.targets", ["ko", "japanese"], "languages.targets.1: 'japanese' is not a language code"),
        ("languages.targets", ["ko", "ja", "jpn"], "`targets` name ja more than once"),
        ("languages.targets", ["ko", "ja", "en"], "'en' is the source language, and a target, too"),
        ("languages.targets", [], "give `target`, one language, or `targets`, a list of them; found neither"),
        ("languages.target", "ko", "give `target`, one language, or `targets`, a list of them; found both"),
        ("data.sources.pairs.languages", None, "data.sources.pairs.languages: missing; a recipe with several targets"),
        ("data.sources.pairs.languages", ["en", "de"], "languages: ['en', 'de'] are not all among the recipe's"),
        ("data.sources.pairs.languages", ["ko", "ko"], "`languages` of a parallel source are two: found 'ko' twice"),
        ("data.sources.alpaca.languages", ["en", "ko"], "`languages` are the two of a parallel source"),
        ("data.sources.pairs.columns", {"ja": "Japanese"}, "'ja' is not one of its languages ['en', 'ko']"),
        ("data.mixtures.paper.0.directions", ["en-ja"], "'en-ja' does not lie between its source's languages"),
        ("data.mixtures.paper.0", {"source": "pairs", "as_text": "ja"}, "as_text: 'ja' is not one of its source's"),
        ("data.mixtures.paper.0.instruction_languages", ["ja"], "no instruction asks for a translation in 'ja', only"),
        ("evaluate.tasks.to_ja.directions", ["en-ja", "en-ko"], "en-ja, en-ko are of several pairs of languages"),
        ("evaluate.tasks.to_ja.directions", ["en-de"], "'en-de' does not lie between the recipe's languages"),
        ("tokenizer.extension.num_new_pieces", {"ko": 0, "ja": 0}, "no language gets a new piece: remove"),
        ("tokenizer.extension.num_new_pieces", {"ko": 50}, "the numbers are of ko, but the targets are ko, ja"),
    ],
)
def test_what_several_targets_need_is_named_before_anything_runs(
    two: dict[str, Any], dotted: str, value: Any, expected: str
) -> None:
    set_at(two, dotted, value)
    with pytest.raises(RecipeError) as caught:
        yaml_file.validate(two, "recipe.yaml")
    assert expected in str(caught.value)


def test_new_rows_are_aligned_by_default_only_where_every_target_with_new_pieces_has_translations(
    two: dict[str, Any],
) -> None:
    two["data"]["mixtures"]["paper"] = two["data"]["mixtures"]["paper"][:2]
    assert yaml_file.validate(two, "recipe.yaml").systems["ours"].new_rows.method != "aligned"
    two["tokenizer"]["extension"]["num_new_pieces"] = {"kor": 100, "ja": 0}
    recipe = yaml_file.validate(two, "recipe.yaml")
    assert recipe.systems["ours"].new_rows.method == "aligned"
    assert recipe.tokenizer.with_new_pieces(recipe.languages.targets) == ["ko"]


def test_several_targets_share_the_number_of_pieces_or_have_their_own() -> None:
    shared = LearnedExtension(kind="learned", mixture="text", num_new_pieces=101)
    assert shared.pieces_of(("ko", "ja")) == {"ko": 51, "ja": 50}
    own = LearnedExtension(kind="learned", mixture="text", num_new_pieces={"ko": 8, "ja": 0})
    assert own.pieces_of(("ja", "ko")) == {"ja": 0, "ko": 8} and own.total_new_pieces == 8


def test_a_training_pair_is_judged_by_the_two_languages_of_its_source(two: dict[str, Any]) -> None:
    recipe, template = yaml_file.validate(two, "recipe.yaml"), TEMPLATES["paper-v1"]
    prompt = template.prompt("Translate the following sentences from Korean to Japanese", "책을 읽는다.")
    example = Example(prompt, template.completion("本を読む。"), "ja", "ko_ja", "pairs.json:1")
    asked = asked_of(recipe, example, template)
    assert asked is not None and (asked.source_language, asked.target_language) == ("ko", "ja")
