"""The stage writes evaluation sets and mixtures, accounts for every row, and skips what is already there."""

import json
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from crosstune.data import mixture_folders, stage
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.prompts.examples import read_examples
from crosstune.prompts.templates import translation_instructions
from crosstune.recipe import yaml_file
from crosstune.runs.files import read_json, read_jsonl
from crosstune.runs.folder import RunFolder
from crosstune.terminal.output import console, quiet

HELLASWAG = {"ind": 1, "activity_label": "Roof", "ctx_a": "A man sits on a roof.", "ctx_b": "he", "label": 0}
PAIRS = [
    {"en": "Go.", "ko": "가."},
    {"en": "Go.", "ko": " 가. "},
    {"en": "A man sits on a roof.", "ko": "한 남자가 지붕에 앉아 있다."},
    {"en": "Stop.", "ko": "멈춰."},
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet(console):
        yield


def write_corpora(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    contents = {
        "pairs.json": json.dumps({"data": PAIRS}),
        "alpaca.json": json.dumps([{"instruction": "Say hi", "input": "", "output": "Hi"}]),
        "korean.txt": "가을이 왔다.\n\n겨울이 왔다.\n",
        "hellaswag.jsonl": json.dumps({**HELLASWAG, "endings": ["is up.", "is down.", "is in.", "is out."]}) + "\n",
    }
    for name, content in contents.items():
        (root / name).write_text(content, encoding="utf-8")


@pytest.fixture
def run(recipe_content: dict[str, Any], tmp_path: Path) -> RunFolder:
    write_corpora(tmp_path / "corpora")
    recipe_content["data_root"] = str(tmp_path / "corpora")
    return RunFolder(tmp_path / "run")


def do(content: dict[str, Any], run: RunFolder) -> dict[str, int]:
    """Run the stage and return when each manifest was written."""
    stage.run(yaml_file.validate(content, "r"), run)
    return {str(path): path.stat().st_mtime_ns for path in run.root.glob("data/*/*/manifest.json")}


def test_evaluation_items_have_the_form_of_the_training_rows(recipe_content: dict[str, Any], run: RunFolder) -> None:
    item = {
        **HELLASWAG,
        "ctx_a": unicodedata.normalize("NFD", "한 남자\x00가 앉아 있다."),
        "endings": [" a\r\n", *"bcd"],
    }
    path = Path(recipe_content["data_root"]) / "hellaswag.jsonl"
    path.write_text(json.dumps(item) + "\n", encoding="utf-8")
    do(recipe_content, run)
    [written] = read_jsonl(run.evaluation_set("hellaswag") / "items.jsonl")
    assert (written["ctx_a"], written["endings"]) == ("한 남자가 앉아 있다.", ["a", "b", "c", "d"])


def test_every_row_is_used_or_dropped_with_a_reason(recipe_content: dict[str, Any], run: RunFolder) -> None:
    do(recipe_content, run)
    examples = read_examples(run.mixture("paper") / "examples.parquet")
    assert {(example.source, example.completion) for example in examples} == {
        ("pairs", "\n가."),
        ("pairs", "\n멈춰."),
        ("alpaca", "\nHi"),
    }
    dropped = read_jsonl(run.mixture("paper") / "dropped.jsonl")
    assert {(drop["reason"], drop["origin"]) for drop in dropped} == {
        ("duplicate", "pairs.json:row 2"),
        ("evaluation overlap: hellaswag", "pairs.json:row 3"),
    }
    assert read_json(run.mixture("paper") / "manifest.json")["parts"][0] == {
        "source": "pairs",
        "rows_read": 4,
        "dropped": {"evaluation overlap: hellaswag": 1, "duplicate": 1},
        "not_drawn": 0,
        "used": 2,
        "examples": 2,
        "wordings": {"en-ko en": 1},
        "wording_noise": {"share": 0.0, "changed": 0},
    }
    assert len(read_jsonl(run.evaluation_set("hellaswag") / "items.jsonl")) == 1


def test_noise_in_instructions_is_counted_in_the_manifest(recipe_content: dict[str, Any], run: RunFolder) -> None:
    recipe_content["data"]["mixtures"]["paper"][0] |= {"wording_noise": 1.0, "wordings": "train", "num_wordings": 8}
    do(recipe_content, run)
    part = read_json(run.mixture("paper") / "manifest.json")["parts"][0]
    asked = [example.prompt.split("\n")[1] for example in read_examples(run.mixture("paper") / "examples.parquet")]
    written = set(translation_instructions("en-ko", "en", "train"))
    assert part["wordings"] == {"en-ko en": 8}
    assert part["wording_noise"] == {"share": 1.0, "changed": sum(one not in written for one in asked[:2])}


def test_noise_borrows_of_the_mixture_s_other_instructions(recipe_content: dict[str, Any], run: RunFolder) -> None:
    part = recipe_content["data"]["mixtures"]["paper"][0]
    part |= {
        "wording_noise": 1.0,
        "wordings": "train",
        "directions": ["en-ko", "ko-en"],
        "instruction_languages": ["en"],
    }
    prompts = {}
    for name, parts in {"alone": [part], "with": recipe_content["data"]["mixtures"]["paper"]}.items():
        recipe_content["data"]["mixtures"]["paper"] = parts
        do(recipe_content, run)
        examples = read_examples(run.mixture("paper") / "examples.parquet")
        prompts[name] = [example.prompt for example in examples if example.source == "pairs"]
    assert len(prompts["alone"]) == len(prompts["with"]) and prompts["alone"] != prompts["with"]


def test_quality_settings_keep_what_they_are_told_to(recipe_content: dict[str, Any], run: RunFolder) -> None:
    recipe_content["data"]["quality"] = {"drop_duplicates": False, "drop_evaluation_overlap": False}
    do(recipe_content, run)
    assert len(read_examples(run.mixture("paper") / "examples.parquet")) == 5


def test_what_is_there_is_skipped_and_only_what_changed_is_made_again(
    recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path
) -> None:
    first = do(recipe_content, run)
    assert do(recipe_content, run) == first
    (tmp_path / "corpora" / "alpaca.json").write_text('[{"instruction": "a", "output": "b"}]')
    second = do(recipe_content, run)
    assert {Path(path).parent.name for path in first if first[path] != second[path]} == {"paper"}


def test_another_evaluation_set_makes_every_mixture_again(
    recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path
) -> None:
    first = do(recipe_content, run)
    with (tmp_path / "corpora" / "hellaswag.jsonl").open("a") as file:
        file.write(json.dumps({**HELLASWAG, "ind": 2, "endings": ["a", "b", "c", "d"]}) + "\n")
    second = do(recipe_content, run)
    assert all(first[path] != second[path] for path in first)


def test_wordings_that_no_mixture_uses_make_none_again(recipe_content: dict[str, Any], run: RunFolder) -> None:
    def mixtures(train: list[str], held_out: list[str]) -> dict[str, int]:
        recipe_content["data"]["translation_instructions"] = {"en": {"train": train, "held_out": held_out}}
        return {path: when for path, when in do(recipe_content, run).items() if "mixtures" in path}

    first = mixtures(["In {target}:"], ["{target}, please."])
    assert mixtures(["In {target}:", "To {target}:"], ["Say it in {target}."]) == first
    again = mixtures(["Into {target}:"], [])
    paper = str(run.mixture("paper") / "manifest.json")
    assert again[paper] != first[paper]


def test_the_other_order_of_two_files_makes_an_evaluation_set_again(
    recipe_content: dict[str, Any], run: RunFolder
) -> None:
    for name, content in (("a.txt", "1.\n2.\n"), ("b.txt", "3.\n4.\n")):
        (Path(recipe_content["data_root"]) / name).write_text(content, encoding="utf-8")
    task = {"task": "translation", "directions": ["en-ko"], "instruction_languages": ["en"]}

    def sides(*paths: str) -> list[str]:
        recipe_content["evaluate"]["tasks"]["news"] = {**task, "paths": list(paths)}
        do(recipe_content, run)
        return [f"{item['en']}{item['ko']}" for item in read_jsonl(run.evaluation_set("news") / "items.jsonl")]

    assert [sides("a.txt", "b.txt"), sides("b.txt", "a.txt")] == [["1.3.", "2.4."], ["3.1.", "4.2."]]


def test_weights_are_kept_and_the_repeats_that_they_take_are_stated(
    recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "corpora" / "korean.txt").write_text("\n".join(f"{number}번째 글." for number in range(5)))
    mixture = [{"source": "korean", "repeats": 9, "weight": 3}, {"source": "pairs", "as_text": "en", "weight": 1}]
    recipe_content["data"]["mixtures"]["korean"] = mixture
    do(recipe_content, run)
    parts = read_json(run.mixture("korean") / "manifest.json")["parts"]
    assert [(part["examples"], part["repeats"]) for part in parts] == [(6, 1.2), (2, 1.0)]
    assert len(read_examples(run.mixture("korean") / "examples.parquet")) == 8


def test_rows_that_weights_leave_out_are_neither_used_nor_counted_as_changed(
    recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path
) -> None:
    pairs = [{"en": f"This is sentence {number}.", "ko": f"이것은 {number}번째 문장이다."} for number in range(60)]
    (tmp_path / "corpora" / "pairs.json").write_text(json.dumps({"data": pairs}), encoding="utf-8")
    cells = {"directions": ["en-ko", "ko-en"], "instruction_languages": ["en"], "wording_noise": 1.0, "repeats": 2}
    mixture = [{"source": "pairs", **cells, "weight": 9}, {"source": "alpaca", "weight": 1}]
    recipe_content["data"]["mixtures"]["paper"] = mixture
    do(recipe_content, run)
    part, _ = read_json(run.mixture("paper") / "manifest.json")["parts"]
    found = [one for one in read_examples(run.mixture("paper") / "examples.parquet") if one.source == "pairs"]
    assert (part["examples"], part["used"]) == (9, len({one.origin for one in found}))
    assert part["used"] + part["not_drawn"] == part["rows_read"] == 60
    written = set(translation_instructions("en-ko", "en", "paper") + translation_instructions("ko-en", "en", "paper"))
    changed = sum(one.prompt.split("\n")[1] not in written for one in found)
    assert 0 < part["wording_noise"]["changed"] == changed <= 9


def test_one_source_may_be_text_and_translation_in_one_mixture(recipe_content: dict[str, Any], run: RunFolder) -> None:
    recipe_content["data"]["mixtures"]["paper"].append({"source": "pairs", "as_text": "ko"})
    do(recipe_content, run)
    examples = read_examples(run.mixture("paper") / "examples.parquet")
    assert sorted(example.completion for example in examples if not example.prompt) == ["가.", "멈춰."]


@pytest.mark.parametrize("replay", [{"source": "korean"}, {"source": "pairs", "as_text": "en"}], ids=["text", "side"])
def test_replayed_text_makes_up_its_share_of_an_instruction_mixture(
    recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path, replay: dict[str, Any]
) -> None:
    rows = [{"instruction": f"Say {number}", "input": "", "output": f"Number {number}"} for number in range(12)]
    (tmp_path / "corpora" / "alpaca.json").write_text(json.dumps(rows))
    mixture = [{"source": "alpaca", "weight": 6}, {**replay, "weight": 1}]
    recipe_content["data"]["mixtures"]["paper"] = mixture
    do(recipe_content, run)
    examples = read_examples(run.mixture("paper") / "examples.parquet")
    assert sorted((example.source, bool(example.prompt)) for example in examples) == sorted(
        [("alpaca", True)] * 12 + [(replay["source"], False)] * 2
    )


def test_a_row_is_no_duplicate_of_one_that_the_mixture_does_not_use(
    recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path
) -> None:
    texts = [f"{number}번째 글입니다." for number in range(20)]
    for name in ("korean", "more"):
        (tmp_path / "corpora" / f"{name}.txt").write_text("\n".join(texts), encoding="utf-8")
    data = recipe_content["data"]
    data["sources"]["more"] = {**data["sources"]["korean"], "paths": ["more.txt"]}
    data["mixtures"]["korean"] = [{"source": "korean", "max_rows": 5}, {"source": "more"}]
    do(recipe_content, run)
    examples = read_examples(run.mixture("korean") / "examples.parquet")
    assert sorted(example.completion for example in examples) == sorted(texts)
    assert read_json(run.mixture("korean") / "manifest.json")["parts"] == [
        {"source": "korean", "rows_read": 20, "dropped": {}, "not_drawn": 15, "used": 5, "examples": 5},
        {"source": "more", "rows_read": 20, "dropped": {"duplicate": 5}, "not_drawn": 0, "used": 15, "examples": 15},
    ]


def test_the_same_seed_gives_the_same_bytes(recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "other")
    do(recipe_content, run)
    do(recipe_content, other)
    for name in ("examples.parquet", "dropped.jsonl", "manifest.json"):
        assert (run.mixture("paper") / name).read_bytes() == (other.mixture("paper") / name).read_bytes()


def test_a_missing_corpus_is_told_with_its_place_in_the_recipe(
    recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "corpora" / "korean.txt").unlink()
    with pytest.raises(BadInputError, match=r"data\.sources\.korean\.paths: there is no file"):
        do(recipe_content, run)


def test_a_source_without_rows_and_a_mixture_without_examples_are_refused(
    recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "corpora" / "alpaca.json").write_text("[]")
    with pytest.raises(
        BadInputError, match=r"data\.sources\.alpaca should hold rows, but there is none in alpaca.json"
    ):
        do(recipe_content, run)
    write_corpora(tmp_path / "corpora")
    (tmp_path / "corpora" / "korean.txt").write_text("\n\n \n.\n".replace(".", " "))
    with pytest.raises(BadInputError, match=r"korean\.txt is empty"):
        do(recipe_content, run)
    (tmp_path / "corpora" / "korean.txt").write_text("is up and away.\n\x01\n")
    items = json.dumps({**HELLASWAG, "endings": ["is up and away.", "b", "c", "d"]})
    (tmp_path / "corpora" / "hellaswag.jsonl").write_text(items)
    with pytest.raises(
        BadInputError, match=r"mixtures\.korean should hold examples, but every row was dropped: .*empty"
    ):
        do(recipe_content, run)
    assert not run.mixture("korean").exists()


def test_a_bad_row_stops_the_run_unless_the_recipe_drops_it(
    recipe_content: dict[str, Any], run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "corpora" / "alpaca.json").write_text('[{"instruction": "a"}, {"instruction": "a", "output": "b"}]')
    with pytest.raises(BadInputError, match=r"alpaca\.json:row 1 \(of alpaca\): no key 'output'"):
        do(recipe_content, run)
    recipe_content["data"]["quality"] = {"on_bad_row": "drop"}
    do(recipe_content, run)
    dropped = read_jsonl(run.mixture("paper") / "dropped.jsonl")
    assert [drop["row"] for drop in dropped if drop["source"] == "alpaca"] == [{"instruction": "a"}]


class WorldSize(NamedTuple):
    english_documents: int
    korean_documents: int
    parallel_pairs: int
    english_instructions: int
    korean_instructions: int
    test_items: int


def test_the_world_is_written_once_and_is_the_data_root(
    recipe_content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[WorldSize, int]] = []

    def write_world(folder: Path, size: WorldSize, seed: int) -> None:
        calls.append((size, seed))
        write_corpora(folder)

    miniature = ModuleType("crosstune.miniature")
    vars(miniature).update(WorldSize=WorldSize, write_world=write_world)
    monkeypatch.setitem(sys.modules, "crosstune.miniature", miniature)
    del recipe_content["data_root"]
    recipe_content["world"] = {"seed": 7, **dict.fromkeys(WorldSize._fields, 5)}
    run = RunFolder(tmp_path / "run")
    assert do(recipe_content, run) == do(recipe_content, run)
    assert calls == [(WorldSize(5, 5, 5, 5, 5, 5), 7)]
    assert read_examples(run.mixture("korean") / "examples.parquet")[0].origin.startswith("korean.txt:")


def test_what_a_killed_run_left_is_removed(recipe_content: dict[str, Any], run: RunFolder) -> None:
    (run.root / ".sources").mkdir(parents=True)
    (run.root / ".sources" / "pairs.arrows").write_bytes(b"half")
    do(recipe_content, run)
    assert [path.name for path in run.root.iterdir() if path.name.startswith(".")] == []


def test_a_corpus_that_is_written_to_while_it_is_read_is_refused(
    recipe_content: dict[str, Any], run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = Path(recipe_content["data_root"]) / "pairs.json"

    def read(*arguments: Any) -> Iterator[Any]:
        yield from read_source(*arguments)
        pairs.write_text('{"data": []}')

    monkeypatch.setattr(mixture_folders, "read_source", read)
    with pytest.raises(BadInputError, match=r"pairs.json was changed while it was read"):
        do(recipe_content, run)
    assert not run.mixture("paper").exists()
