"""`crosstune init`: the recipe that is written runs, keeps benchmarks for evaluation, and says what is not used."""

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crosstune.cli import app
from crosstune.errors import BadInputError
from crosstune.init import command, found
from crosstune.recipe import Languages
from crosstune.recipe.yaml_file import load_recipe
from tests.doctor.conftest import MakeModel
from tests.init.conftest import init, lines, write_instructions, write_pairs, write_text, written


@pytest.mark.slow
def test_three_files_become_a_recipe_that_a_dry_run_accepts(make_model: MakeModel, folder: Path) -> None:
    write_pairs(folder / "pairs.tsv", "ko", 700)
    write_instructions(folder / "alpaca.json", "en")
    write_instructions(folder / "ko_alpaca.json", "ko")
    recipe, shown = written(make_model(), folder, "ko")
    kinds = {name: (source.kind, source.language) for name, source in recipe.data.sources.items()}
    assert kinds == {
        "alpaca": ("instructions", "en"),
        "ko_alpaca": ("instructions", "ko"),
        "pairs": ("parallel", None),
    }
    pairs = next(part for part in recipe.data.mixtures["tuning"] if part.source == "pairs")
    assert (pairs.directions, pairs.wordings) == (("en-ko", "ko-en"), "train")
    assert recipe.evaluate.tasks["held_out_pairs"].task == "translation"
    assert recipe.systems["ours"].phases[0].num_epochs == 3
    assert "pairs.tsv" in shown and "700" in shown
    done = CliRunner().invoke(app.app, ["run", str(folder.parent / "recipe.yaml"), "--dry-run"])
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_every_choice_has_a_comment_with_its_reason(make_model: MakeModel, folder: Path) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    written(make_model(), folder, "ko")
    text = (folder.parent / "recipe.yaml").read_text("utf-8").splitlines()
    assert any(line.startswith("description:") and "learns Korean" in line for line in text)
    for setting in ("tuning:", "base:", "ours:", "train:", "tasks:", "prompt:", "tokenizer:"):
        places = [place for place, line in enumerate(text) if line.strip().startswith(setting)]
        assert any(text[place - 1].strip().startswith("#") for place in places), setting


@pytest.mark.slow
def test_the_same_rows_are_held_out_whatever_their_order(make_model: MakeModel, folder: Path) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    model = make_model()
    written(model, folder, "ko")
    held_out = folder.parent / "recipe_held_out" / "test_pairs.jsonl"
    first = held_out.read_text("utf-8")
    head, *rows = (folder / "pairs.tsv").read_text("utf-8").split("\n")
    random.Random(0).shuffle(rows)
    (folder / "pairs.tsv").write_text("\n".join([head, *rows]), "utf-8")
    (folder.parent / "recipe.yaml").unlink()
    written(model, folder, "ko")
    assert held_out.read_text("utf-8") == first
    assert len(first.splitlines()) == 6


@pytest.mark.slow
def test_text_beside_translations_is_for_new_pieces_and_for_test_texts(make_model: MakeModel, folder: Path) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    write_text(folder / "english.txt", "en")
    write_text(folder / "korean.txt", "ko")
    recipe, shown = written(make_model(), folder, "ko")
    assert {part.source for part in recipe.data.mixtures["tuning"]} == {"pairs"}
    used = {line.split()[0]: line for line in shown.splitlines() if ".txt" in line}
    assert "test texts, held out of it" in used["english.txt"]
    assert "new pieces, if worth it" in used["korean.txt"]
    assert {"held_out_text_en", "held_out_text_ko"} <= {*recipe.evaluate.tasks}


@pytest.mark.slow
def test_a_test_file_that_is_there_is_kept_and_nothing_else_held_out(make_model: MakeModel, folder: Path) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    write_pairs(folder / "pairs.test.tsv", "ko", 30)
    recipe, shown = written(make_model(), folder, "ko")
    assert [*recipe.data.sources] == ["pairs"]
    assert recipe.evaluate.tasks["pairs_test_tsv"].paths == ("pairs.test.tsv",)
    assert "held_out_pairs" not in recipe.evaluate.tasks
    assert "evaluation: translations" in shown


@pytest.mark.slow
def test_benchmarks_are_kept_and_their_training_splits_left_alone(make_model: MakeModel, folder: Path) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    (folder / "COPA").mkdir()
    rows = ["ID\tsentence\tquestion\t1\t2\tAnswer"]
    rows += [f"{number}\t{lines('ko', 30)[number]}\t원인\t비가 왔다.\t눈이 왔다.\t1" for number in range(20)]
    for split in ("dev", "train"):
        (folder / "COPA" / f"{split}.tsv").write_text("\n".join(rows), "utf-8")
    recipe, shown = written(make_model(), folder, "ko")
    assert recipe.evaluate.tasks["kobest_copa"].paths == ("COPA/dev.tsv",)
    assert [*recipe.data.sources] == ["pairs"]
    assert "another split of KoBEST COPA" in " ".join(shown.split())


@pytest.mark.slow
@pytest.mark.parametrize("language", ["de", "hi"])
def test_text_alone_becomes_continued_pretraining_with_replay(
    make_model: MakeModel, folder: Path, language: str
) -> None:
    write_text(folder / "target.txt", language)
    write_text(folder / "english.txt", "en", 2400)
    recipe, _ = written(make_model(), folder, language)
    target, english = recipe.data.mixtures["tuning"]
    assert (target.source, target.max_rows, english.source) == ("target", None, "english")
    assert english.max_rows is not None and 20 < english.max_rows < 2400
    assert {task.task for task in recipe.evaluate.tasks.values()} == {"bits_per_byte"}
    assert recipe.tokenizer.extension is None
    text = (folder.parent / "recipe.yaml").read_text("utf-8")
    assert "too few to learn pieces from" in " ".join(text.replace("#", "").split())


@pytest.mark.slow
def test_enough_hindi_text_gets_pieces_and_whole_words(make_model: MakeModel, folder: Path) -> None:
    write_text(folder / "target.txt", "hi", 1500)
    done = init(make_model(), folder, "hi")
    assert "new pieces make text in Hindi" in done.output
    recipe = load_recipe(folder.parent / "recipe.yaml")
    extension = recipe.tokenizer.extension
    assert extension is not None and extension.kind == "learned"
    assert extension.keep_words_whole
    assert [part.source for part in recipe.data.mixtures["pieces"]] == ["target"]


@pytest.mark.slow
def test_instructions_alone_are_scored_by_their_answers(make_model: MakeModel, folder: Path) -> None:
    write_instructions(folder / "ko_alpaca.json", "ko")
    recipe, _ = written(make_model(), folder, "ko")
    assert [*recipe.evaluate.tasks] == ["held_out_text_ko"]
    held_out = (folder.parent / "recipe_held_out" / "test_text_ko.jsonl").read_text("utf-8").splitlines()
    assert len(held_out) == 3 and all(json.loads(row)["text"] for row in held_out)


@pytest.mark.slow
def test_two_files_of_lines_are_translations_of_each_other(make_model: MakeModel, folder: Path) -> None:
    write_text(folder / "train.en", "en")
    write_text(folder / "train.ko", "ko")
    write_text(folder / "other.ko", "ko", 50)
    recipe, shown = written(make_model(), folder, "ko")
    assert {name: source.paths for name, source in recipe.data.sources.items()} == {"train": ("train.en", "train.ko")}
    assert "new pieces, if worth it" in shown.partition("other.ko")[2]


@pytest.mark.slow
def test_what_a_dry_run_refuses_is_not_written(
    make_model: MakeModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    propose = command.propose

    def propose_nonsense(seen: command.Found, name: str) -> object:
        content, reasons = propose(seen, name)
        return {**content, "seed": "one"}, reasons

    monkeypatch.setattr(command, "propose", propose_nonsense)
    done = init(make_model(), folder, "ko")
    assert "no recipe was written, since a dry run would refuse it" in str(done.exception)
    assert [path.name for path in folder.parent.glob("*recipe*")] == ["recipe_held_out"]


def test_a_model_that_cannot_be_used_and_a_recipe_that_is_there_end_before_files_are_read(
    make_model: MakeModel, folder: Path
) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    bad = make_model("bad", quantization_config={"quant_method": "awq"})
    assert "its weights are quantized (awq" in str(init(bad, folder, "ko").exception)
    assert "holds no weights" in str(init(make_model("no_weights", weights=False), folder, "ko").exception)
    (folder.parent / "recipe.yaml").write_text("mine")
    assert "already exists" in str(init(make_model(), folder, "ko").exception)
    assert (folder.parent / "recipe.yaml").read_text() == "mine"


@pytest.mark.slow
def test_json_lines_with_texts_and_pairs_in_one_folder_are_told_apart(make_model: MakeModel, folder: Path) -> None:
    text = [{"text": line} for line in lines("ko", 40)]
    (folder / "null.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in text), "utf-8")
    write_pairs(folder / "2024.tsv", "ko")
    recipe, _ = written(make_model(), folder, "ko")
    assert {name: source.kind for name, source in recipe.data.sources.items()} == {"file_2024": "parallel"}
    assert "held_out_text_ko" in recipe.evaluate.tasks


@pytest.mark.slow
def test_data_sets_of_the_hub_are_sources_with_split_and_commit(
    make_model: MakeModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder in the hub's layout stands for a data set, which the reader streams alike.
    (folder / "owner" / "pairs").mkdir(parents=True)
    rows = [{"en": first, "ko": second} for first, second in zip(lines("en", 60), lines("ko", 60), strict=True)]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "owner" / "pairs" / "train.jsonl").write_text(text, "utf-8")
    monkeypatch.setattr(found, "revision_of", lambda name: "0123abc")
    monkeypatch.chdir(folder)
    model, out = make_model(), folder.parent / "recipe.yaml"
    asked = ["init", str(model), "--to", "ko", "--gpu", "rtx4090", "--out", str(out), "--from-hub", "owner/pairs"]
    done = CliRunner().invoke(app.app, asked)
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    source = load_recipe(out).data.sources["pairs"]
    assert (source.format, source.split, source.revision) == ("hugging_face", "train", "0123abc")
    assert source.paths == ("owner/pairs",)


@pytest.mark.slow
def test_without_a_folder_nothing_of_where_the_command_was_typed_is_looked_at(
    make_model: MakeModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"en": first, "ko": second} for first, second in zip(lines("en", 60), lines("ko", 60), strict=True)]
    (folder / "owner" / "pairs").mkdir(parents=True)
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "owner" / "pairs" / "train.jsonl").write_text(text, "utf-8")
    (folder / "COPA").mkdir()
    copa = [f"{number}\t{line}\t원인\t비가 왔다.\t눈이 왔다.\t1" for number, line in enumerate(lines("ko", 20))]
    (folder / "COPA" / "dev.tsv").write_text("\n".join(["ID\tsentence\tquestion\t1\t2\tAnswer", *copa]), "utf-8")
    monkeypatch.setattr(found, "revision_of", lambda name: "0123abc")
    monkeypatch.chdir(folder)
    model, out = make_model(), folder.parent / "recipe.yaml"
    asked = ["init", str(model), "--to", "ko", "--gpu", "rtx4090", "--out", str(out), "--from-hub", "owner/pairs"]
    for directory, tasks in (([], {"held_out_pairs"}), (["."], {"held_out_pairs", "kobest_copa"})):
        out.unlink(missing_ok=True)
        done = CliRunner().invoke(app.app, [*asked[:2], *directory, *asked[2:]])
        assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
        assert {*load_recipe(out).evaluate.tasks} == tasks


def test_a_data_set_that_the_hub_does_not_tell_of_and_no_folder_are_refused(make_model: MakeModel) -> None:
    arguments = ["init", str(make_model()), "--to", "ko", "--gpu", "rtx4090"]
    assert "needs the folder of your files (DIR)" in str(CliRunner().invoke(app.app, arguments).exception)
    done = CliRunner().invoke(app.app, [*arguments, "--out", "nowhere.yaml", "--from-hub", "no/such"])
    assert str(done.exception).startswith(
        "--from-hub no/such: HF_HUB_OFFLINE is set: unset it, or download it elsewhere"
    )
    assert "looking into files" not in done.output


def test_of_a_data_set_with_configurations_one_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (folder / "owner" / "pairs" / name).mkdir(parents=True)
        rows = [{"en": first, "ko": second} for first, second in zip(lines("en", 60), lines("ko", 60), strict=True)]
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / "owner" / "pairs" / name / "train.jsonl").write_text(text, "utf-8")
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/train.jsonl\n" for name in ("one", "two"))
    (folder / "owner" / "pairs" / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", "utf-8")
    monkeypatch.setattr(found, "revision_of", lambda name: "0123abc")
    monkeypatch.chdir(folder)
    languages = Languages(source="en", target="ko")
    for asked in ("owner/pairs", "owner/pairs:three"):
        with pytest.raises(BadInputError, match=r"it has the configurations 'one', 'two': name one of them, as --from"):
            found.look_at_data_sets([asked], Path(), languages)
    (file,) = found.look_at_data_sets(["owner/pairs:two"], Path(), languages)
    assert (file.name, file.kind, file.rows, dict(file.of_hub)["config"]) == ("owner/pairs", "parallel", 60, "two")


def test_files_are_judged_by_rows_from_all_over_them_and_a_dictionary_is_none_of_sentences(
    make_model: MakeModel, folder: Path
) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    words = "respectable\t어엿하다\nsuburb\t근교\ndiscussion\t논의\noctopus leg\t문어다리\narrive\t도착하다\n" * 500
    # What stands first is in another language than the rest.
    (folder / "dictionary.tsv").write_text("en\tko\n" + "patheticness\t寒心\n" * 400 + words, encoding="utf-8")
    recipe, said = written(make_model(), folder, "ko")
    assert [*recipe.data.sources] == ["pairs"]
    assert "a dictionary or a list: most rows have one or two words" in " ".join(said.split())
