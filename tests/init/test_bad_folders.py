"""Folders as people have them: what `crosstune init` cannot use is listed, and what could not run is not written."""

from pathlib import Path

import pytest

from crosstune.errors import BadInputError
from crosstune.init import plan_hours
from tests.doctor.conftest import MakeModel
from tests.init.conftest import init, lines, write_pairs, write_text, written


@pytest.mark.slow
def test_what_is_not_used_is_listed_with_the_reason(make_model: MakeModel, folder: Path) -> None:
    write_pairs(folder / "pairs.tsv", "hi")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(range(256)) * 20)
    (folder / "empty.txt").write_text("")
    (folder / "README.md").write_text("# My files")
    (folder / "french.txt").write_text("\n".join(lines("fr", 40)), "utf-8")
    marathi = "आज सकाळी मी बाजारात गेलो आणि भाजी विकत घेतली. माझी बहीण शाळेत शिकवते आणि तिला मुले आवडतात."
    (folder / "marathi.txt").write_text("\n".join([marathi] * 20), "utf-8")
    recipe, shown = written(make_model(), folder, "hi")
    assert [*recipe.data.sources] == ["pairs"]
    told = " ".join(shown.split())
    for name, reason in {
        "photo.jpg": "not used: an image (JPEG)",
        "empty.txt": "not used: empty",
        "README.md": "not used: not data",
        "french.txt": "in French",
        "marathi.txt": "in Marathi",
    }.items():
        assert reason in told.partition(name)[2][:200], name


@pytest.mark.slow
def test_of_too_few_rows_nothing_is_held_out_and_what_cannot_be_scored_is_refused(
    make_model: MakeModel, folder: Path
) -> None:
    write_pairs(folder / "pairs.tsv", "ko", 19)
    assert "nothing to score a model with" in str(init(make_model(), folder, "ko").exception)
    write_pairs(folder / "pairs.tsv", "ko", 20)
    recipe, _ = written(make_model(), folder, "ko")
    assert [*recipe.evaluate.tasks] == ["held_out_pairs"]


@pytest.mark.slow
def test_files_of_another_use_than_training_are_told_as_such(make_model: MakeModel, folder: Path) -> None:
    write_text(folder / "english.txt", "en")
    done = init(make_model(), folder, "ko")
    assert "none of its 1 files can be trained on" in str(done.exception)
    assert "not used: nothing in the target language stands beside it" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_a_folder_that_is_a_link_has_its_test_set_where_the_recipe_says(make_model: MakeModel, folder: Path) -> None:
    (folder.parent / "far" / "away").mkdir(parents=True)
    write_pairs(folder.parent / "far" / "away" / "pairs.tsv", "ko")
    folder.rmdir()
    folder.symlink_to(folder.parent / "far" / "away")
    recipe, _ = written(make_model(), folder, "ko")
    (path,) = recipe.evaluate.tasks["held_out_pairs"].paths
    assert (folder / path).is_file()


@pytest.mark.slow
def test_the_test_set_moves_with_a_recipe_whose_folder_is_named_from_it(
    make_model: MakeModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    monkeypatch.chdir(folder.parent)
    for root, path in (
        (folder, str(folder.parent / "recipe_held_out" / "test_pairs.jsonl")),
        (Path(folder.name), "../recipe_held_out/test_pairs.jsonl"),
    ):
        recipe, _ = written(make_model(), root, "ko")
        assert recipe.evaluate.tasks["held_out_pairs"].paths == (path,)
        (folder.parent / "recipe.yaml").unlink()


@pytest.mark.slow
def test_two_test_files_whose_labels_would_be_one_are_two_tasks(make_model: MakeModel, folder: Path) -> None:
    write_pairs(folder / "pairs.tsv", "ko")
    (folder / "a").mkdir()
    write_text(folder / "a" / "test.txt", "ko", 30)
    write_text(folder / "a_test.txt", "ko", 40)
    recipe, _ = written(make_model(), folder, "ko")
    assert {task.paths for task in recipe.evaluate.tasks.values()} >= {("a/test.txt",), ("a_test.txt",)}


def test_an_empty_folder_and_one_of_photographs_end_with_what_is_needed(make_model: MakeModel, folder: Path) -> None:
    model = make_model()
    done = init(model, folder, "ko")
    assert isinstance(done.exception, BadInputError)
    assert "nothing to learn Korean from: it is empty" in str(done.exception)
    for number in range(3):
        (folder / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    done = init(model, folder, "ko")
    assert "none of its 3 files can be trained on" in str(done.exception)
    assert done.stdout.count("not used: an image (PNG)") == 3
    assert not (folder.parent / "recipe.yaml").exists()


@pytest.mark.slow
def test_a_test_set_that_the_hours_leave_out_is_not_held_out(
    make_model: MakeModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_hours, "SHARE_FOR_SCORING", 0.0)
    write_pairs(folder / "pairs.tsv", "ko", 400)
    write_text(folder / "text.txt", "ko", 400)
    recipe, _ = written(make_model(), folder, "ko")
    (label,) = recipe.evaluate.tasks
    kept = {path.name for path in (folder.parent / "recipe_held_out").iterdir()}
    assert kept == {Path(recipe.evaluate.tasks[label].paths[0]).name}
