"""Recipes: every mistake is found, and named with its path."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import RecipeError
from crosstune.recipe import NewRows, yaml_file

RECIPES = Path(__file__).parents[2] / "recipes"


def mistakes(content: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        yaml_file.validate(content, "recipe.yaml")
    return str(caught.value)


def set_at(content: Any, dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        content = content[int(key) if key.isdecimal() else key]
    content[last] = value


def test_a_whole_recipe_is_accepted_and_survives_dump_and_load(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    recipe = yaml_file.validate(recipe_content, "recipe.yaml")
    path = tmp_path / "dumped.yaml"
    path.write_text(yaml_file.dump(recipe), encoding="utf-8")
    assert yaml_file.load_recipe(path) == recipe


@pytest.mark.parametrize(
    ("dotted", "value", "expected"),
    [
        ("seed", "one", "seed: Input should be a valid integer (found 'one')"),
        ("name", "Two Words", "name: a name has small letters, digits and _, and begins with a letter or digit (found"),
        ("name", "_한국어", "name: a name has small letters, digits and _"),
        ("name", "한국어\n", "name: a name has small letters, digits and _"),
        ("name", "\u1112\u1161\u11ab", "(Unicode NFD): write '한'"),
        ("languages.target", "korean", "languages.target: 'korean' is not a language code (BCP 47)"),
        (
            "data.prompt",
            "paper",
            "'paper-v1', 'alpaca', 'kullm' or 'chat' (found 'paper')",
        ),
        ("data.sources.alpaca.language", None, "a source of kind 'instructions' needs `language`"),
        ("data.sources.pairs.language", "ko", "a parallel source holds two languages: remove `language`"),
        (
            "data.sources.pairs.columns",
            {"de": "Deutsch"},
            "data.sources.pairs.columns: 'de' is not one of the recipe's",
        ),
        ("data.sources.pairs.format", "hugging_face", "`format: hugging_face` needs `split`"),
        ("systems.base.revision", "main", "systems.base.revision: a revision is a commit of the hub"),
        ("data.sources.pairs.split", "train", "`split`, `config` and `revision` are only for `format: hugging_face`"),
        ("data.sources.pairs.chat_turns", "first", "`chat_turns` is only for `kind: instructions`"),
        ("data.sources.pairs.encoding", "utf-16", "encoding that Python knows and that contains ASCII"),
        ("data.sources.pairs.encoding", "klingon", "encoding that Python knows and that contains ASCII"),
        ("data.sources.alpaca.columns", {"answer": "x"}, "may name input, instruction, messages, output, not answer"),
        ("data.sources.pairs.paths", [], "data.sources.pairs.paths: Tuple should have at least 1 item"),
        ("data.mixtures.paper.0.source", "aihub", "data.mixtures.paper.0.source: 'aihub' is not a source; there are"),
        ("data.mixtures.paper.0.directions", [], "give both `directions` and `instruction_languages`"),
        ("data.mixtures.paper.0.directions", ["en-de"], "'en-de' does not lie between the recipe's languages"),
        ("data.mixtures.paper.0.directions", ["en-ko", "eng-kor"], "directions: en-ko stands there more than once"),
        ("data.mixtures.paper.0.instruction_languages", ["en", "en"], "languages: en stands there more than once"),
        ("data.mixtures.paper.0.instruction_languages", ["de"], "'de' is not one of the recipe's languages"),
        ("data.mixtures.paper.0.as_text", "ko", "`as_text` takes plain text"),
        ("data.mixtures.paper.1.wordings", "train", "`wordings`: only for translation instructions, which need"),
        ("data.mixtures.korean.0.combinations_per_pair", 1, "`combinations_per_pair`: only for translation"),
        ("data.mixtures.korean.0.as_text", "ko", "'korean' is not a parallel source"),
        (
            "tokenizer.extension.mixture",
            "text",
            "tokenizer.extension.mixture: 'text' is not a mixture; there are korean",
        ),
        ("tokenizer.extension.num_new_pieces", 0, "tokenizer.extension.num_new_pieces: Input should be greater than"),
        ("tokenizer.extension.num_new_pieces", {"ko": "x"}, "tokenizer.extension.num_new_pieces.ko: Input should be"),
        ("tokenizer.extension", None, "systems.ours.tokenizer: `extended` needs a `tokenizer.extension` section"),
        ("systems.base.start", "ours", "systems.base.start: leads back to 'base' itself"),
        ("systems.base.start", "scratch", "`architecture` is only for `start: scratch`"),
        (
            "systems.base.architecture",
            {"hidden_size": 100, "num_layers": 1, "num_heads": 3, "intermediate_size": 8},
            "hidden_size 100 must be a multiple of twice num_heads 3: try 102",
        ),
        ("systems.ours.phases.0.num_steps", 10, "give exactly one of `num_epochs` and `num_steps`"),
        ("systems.ours.phases.0.method", "lora", "`lora` settings are only for `method: lora`"),
        ("systems.ours.phases.0.mixture", "x", "systems.ours.phases.0.mixture: 'x' is not a mixture; there are"),
        (
            "systems.ours.phases.0.learning_rate",
            0,
            "systems.ours.phases.0.learning_rate: Input should be greater than 0",
        ),
        ("systems.ours.phases.0.epochs", 3, "systems.ours.phases.0.epochs: unknown setting"),
        ("evaluate.reference_system", "llama", "'llama' is not a system; there are base, ours"),
        ("evaluate.tasks.hellaswag.directions", ["en-ko"], "are only for translation tasks"),
        (
            "evaluate.tasks.hellaswag.wordings",
            {"en": ["Can you put it into {target}?", "Translate this into {target}."]},
            "wordings.en: 'Translate this into {target}.' is one to train on",
        ),
        ("data_root", None, "give exactly one of `data_root`"),
    ],
)
def test_a_mistake_is_named_with_its_path(
    recipe_content: dict[str, Any], dotted: str, value: Any, expected: str
) -> None:
    set_at(recipe_content, dotted, value)
    assert expected in mistakes(recipe_content)


def test_all_mistakes_come_in_one_message(recipe_content: dict[str, Any]) -> None:
    recipe_content["sede"] = 1
    recipe_content["seed"] = "x"
    recipe_content["systems"]["ours"]["phases"][0]["mixture"] = "papre"
    message = mistakes(recipe_content)
    assert "recipe.yaml: 3 mistakes" in message
    assert "sede: unknown setting" in message and "seed:" in message and "'papre' is not a mixture" in message


def test_systems_are_ordered_after_what_they_start_from(recipe_content: dict[str, Any]) -> None:
    systems = recipe_content["systems"]
    recipe_content["systems"] = {"ours": systems["ours"], "base": systems["base"]}
    assert yaml_file.validate(recipe_content, "r").systems_in_order == ["base", "ours"]


def write_recipe(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml_file.dump(yaml_file.validate(content, "r")), encoding="utf-8")
    return path


def test_overrides_reach_nested_settings_lists_and_all_systems(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    path = write_recipe(tmp_path, recipe_content)
    recipe = yaml_file.load_recipe(
        path, ["systems.*.start=tiny", "systems.ours.phases.0.learning_rate=3e-4", "train.precision=bf16"]
    )
    assert [system.start for system in recipe.systems.values()] == ["tiny", "tiny"]
    assert recipe.systems["ours"].phases[0].learning_rate == 3e-4
    assert recipe.train.precision == "bf16"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed", "write section.key=value"),
        ("systems.ours.phases.7.num_steps=1", "'7' is not a position in a list of 1"),
        ("seed=[1", "not valid YAML"),
    ],
)
def test_a_bad_override_says_how_to_write_it(
    recipe_content: dict[str, Any], tmp_path: Path, override: str, expected: str
) -> None:
    path = write_recipe(tmp_path, recipe_content)
    with pytest.raises(RecipeError, match=expected.replace("[", r"\[")):
        yaml_file.load_recipe(path, [override])


def test_yaml_is_read_as_version_1_2(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    text = yaml_file.dump(yaml_file.validate(recipe_content, "r"))
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace("target: ko", "target: no").replace("en-ko", "en-no"), encoding="utf-8")
    recipe = yaml_file.load_recipe(path, ["systems.ours.phases.0.learning_rate=2e-5"])
    assert recipe.languages.targets == ("no",) and recipe.systems["ours"].phases[0].learning_rate == 2e-5


def test_a_recipe_states_only_what_differs_from_its_base(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    write_recipe(tmp_path, recipe_content)
    child = tmp_path / "child.yaml"
    child.write_text("base: recipe.yaml\nname: child\nsystems:\n  ours: {label: Child}\n", encoding="utf-8")
    recipe = yaml_file.load_recipe(child)
    assert recipe.name == "child" and recipe.systems["ours"].label == "Child" and recipe.systems["ours"].phases
    grandchild = tmp_path / "grandchild.yaml"
    grandchild.write_text("base: child.yaml\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="must be a whole recipe"):
        yaml_file.load_recipe(grandchild)


def test_a_missing_or_empty_recipe_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read this recipe"):
        yaml_file.load_recipe(tmp_path / "nothing.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="a recipe is a YAML mapping"):
        yaml_file.load_recipe(tmp_path / "list.yaml")


def test_quick_needs_a_quick_section(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    path = write_recipe(tmp_path, recipe_content)
    with pytest.raises(RecipeError, match="needs a `quick` section"):
        yaml_file.load_recipe(path, quick=True)
    path.write_text(path.read_text(encoding="utf-8") + "quick: {name: quick, seed: 5}\n", encoding="utf-8")
    assert yaml_file.load_recipe(path, quick=True).seed == 5
    assert yaml_file.load_recipe(path).seed == 1


def test_differences_name_the_settings(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    before = yaml_file.validate(recipe_content, "r")
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml_file.dump(before), encoding="utf-8")
    recipe_content["systems"]["ours"]["phases"][0]["global_batch_size"] = 16
    after = yaml_file.validate(recipe_content, "r")
    assert yaml_file.differences(path, before) == []
    changed = "systems.ours.phases.0.global_batch_size: 8 -> 16"
    assert yaml_file.differences(path, after) == [changed]
    # Not each of its settings, defaults included.
    recipe_content["evaluate"]["tasks"]["more"] = {"task": "open_questions", "language": "ko"}
    recipe_content["report"] = {"title": "Other"}
    assert yaml_file.differences(path, yaml_file.validate(recipe_content, "r")) == [
        "evaluate.tasks.more: not set -> set",
        "report.title:  -> Other",
        changed,
    ]


def test_a_setting_that_an_earlier_version_did_not_write_counts_as_its_default(
    recipe_content: dict[str, Any], tmp_path: Path
) -> None:
    recipe_content["mine"] = {}
    recipe = yaml_file.validate(recipe_content, "r")
    path = tmp_path / "recipe.yaml"
    text = yaml_file.dump(recipe)
    earlier = text.replace("mine: {}\n", "").replace("  micro_batch_tokens: 4096\n", "")
    assert len(text.splitlines()) - len(earlier.splitlines()) == 2
    path.write_text(earlier, encoding="utf-8")
    assert yaml_file.differences(path, recipe) == []
    # What no version reads any more is a difference.
    path.write_text(earlier + "unheard_of: 1\n", encoding="utf-8")
    assert "unheard_of: 1 -> not set" in yaml_file.differences(path, recipe)


def all_recipes() -> list[Path]:
    # Launch files are accelerate's, and a study is no recipe: tests/study loads them.
    return sorted(path for path in RECIPES.rglob("*.yaml") if not {"launch", "ablations"} & {*path.parts})


def test_every_recipe_of_the_repository_is_found() -> None:
    assert len(all_recipes()) == 23, "a recipe came or went: correct this number"


@pytest.mark.parametrize("path", all_recipes(), ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_recipe_of_the_repository_loads(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    needs_root = not any(given in text for given in ("data_root:", "world:", "base: miniature.yaml"))
    yaml_file.load_recipe(path, ["data_root=corpora"] if needs_root else [])


def test_the_seven_stages_go_from_new_input_rows_inwards_and_end_with_the_layers_alone() -> None:
    path = RECIPES / "llama2_7b_korean" / "seven_stages.yaml"
    phases = yaml_file.load_recipe(path, ["data_root=corpora"]).systems["continued"].phases
    assert [set(phase.trains) for phase in phases[:5]] == [
        {"new_input_rows"},
        {"new_output_rows"},
        {"new_input_rows", "new_output_rows"},
        {"output_rows"},
        {"new_input_rows", "output_rows"},
    ]
    adapters = [phase.lora for phase in phases[5:]]
    assert [lora.train_new_rows for lora in adapters if lora] == [True, False]


def test_weights_are_given_to_all_parts_of_a_mixture_or_to_none(recipe_content: dict[str, Any]) -> None:
    recipe_content["data"]["mixtures"]["paper"][0]["weight"] = 2
    with pytest.raises(RecipeError, match=r"data\.mixtures\.paper: some parts have a `weight` and some .*\(alpaca\)"):
        yaml_file.validate(recipe_content, "r")


def test_phases_are_read_under_their_old_name_with_a_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (RECIPES / "miniature.yaml").read_text(encoding="utf-8")
    (tmp_path / "old.yaml").write_text(text.replace("    phases:", "    stages:"), encoding="utf-8")
    override = "systems.ours.stages.0.learning_rate=1e-3"
    recipe = yaml_file.load_recipe(tmp_path / "old.yaml", [override])
    assert recipe == yaml_file.load_recipe(RECIPES / "miniature.yaml", [override.replace("stages", "phases")])
    assert "systems.ours.stages is now called `phases`" in "".join(capsys.readouterr().err.split("\n"))


def test_languages_are_kept_by_their_usual_codes_however_a_recipe_writes_them(recipe_content: dict[str, Any]) -> None:
    expected = yaml_file.validate(recipe_content, "recipe.yaml")
    written = json.loads(json.dumps(recipe_content).replace('"ko"', '"kor"').replace("en-ko", "eng-kor_Hang"))
    assert yaml_file.validate(written, "recipe.yaml") == expected


@pytest.mark.parametrize(("system", "start"), [("ours", "base"), ("ours", "scratch")])
def test_a_name_that_may_be_a_system_or_a_folder_is_refused(
    recipe_content: dict[str, Any], tmp_path: Path, system: str, start: str
) -> None:
    (tmp_path / start).mkdir()
    (tmp_path / start / "config.json").write_text("{}")
    set_at(recipe_content, "data_root", str(tmp_path))
    set_at(recipe_content, f"systems.{system}.start", start)
    if start == "scratch":
        shape = {"hidden_size": 8, "num_layers": 1, "num_heads": 2, "intermediate_size": 8}
        set_at(recipe_content, f"systems.{system}.architecture", shape)
    assert f"systems.{system}.start: {start!r} may be " in mistakes(recipe_content)
    assert f"For the folder write ./{start}" in mistakes(recipe_content)


def test_new_rows_start_by_what_won_unless_the_recipe_says_otherwise() -> None:
    content = yaml_file.load_recipe(RECIPES / "miniature.yaml").model_dump(mode="json", exclude_none=True)
    for system in content["systems"].values():
        system.pop("new_rows")
    systems = yaml_file.validate(content, "recipe").systems
    assert systems["ours"].new_rows == NewRows(method="aligned", mixture="paper", noise=0.0)
    assert systems["continued"].new_rows == NewRows(method="mean_of_subwords", noise=0.0)
    content["systems"]["ours"]["new_rows"] = {"method": "random"}
    assert yaml_file.validate(content, "recipe").systems["ours"].new_rows.noise == 0


def test_the_default_with_translations_is_among_the_best_of_the_miniature() -> None:
    path = RECIPES / "ablations" / "initialisation.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["system"], row["metric"]) == ("ours", "bleu")]
    assert {"aligned", "mean_of_subwords"} <= {row["cell"] for row in rows}
    for task in ("translate_en_ko_en", "translate_en_ko_ko"):
        mean = {row["cell"]: float(row["mean"]) for row in rows if row["task"] == task}
        spread = {row["cell"]: float(row["sd"]) for row in rows if row["task"] == task}
        best = max(mean, key=lambda cell: mean[cell])
        assert mean["aligned"] > mean["mean_of_subwords"]
        assert mean["aligned"] + spread["aligned"] >= mean[best] - spread[best]


def test_the_default_without_translations_is_the_better_one_on_the_real_model() -> None:
    page = (RECIPES.parent / "docs" / "real_model" / "ablations.md").read_text(encoding="utf-8")
    _, table = page.split("## Held-out text, bits per byte\n")
    news = {
        cell: [float(value.strip("* ")) for value in values.split("|")[:2]]
        for cell, values in re.findall(r"^\| (\S*mean\S*) \|(.*)\|$", table.split("## ")[0], re.MULTILINE)
    }
    assert NewRows().noise == 0
    assert all(mean < noisy for mean, noisy in zip(news[r"mean\_rows"], news[r"noisy\_mean\_rows"], strict=True))


def test_a_branch_for_words_is_refused_where_both_languages_share_their_letters(recipe_content: dict[str, Any]) -> None:
    recipe_content["tokenizer"]["extension"]["keep_words_whole"] = True
    yaml_file.validate(recipe_content, "recipe.yaml")
    written = json.loads(json.dumps(recipe_content).replace('"ko"', '"de"').replace("en-ko", "en-de"))
    assert "keep_words_whole: 'de' shares its letters with 'en'" in mistakes(written)
