"""Data sets are streamed by name; here from local folders, which have the hub's layout."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstune.data import stage
from crosstune.data.rows import BadRow, Row
from crosstune.data.sources import find_files, read_source
from crosstune.errors import BadInputError
from crosstune.prompts.examples import read_examples
from crosstune.recipe import Languages, Source, yaml_file
from crosstune.runs.folder import RunFolder

LANGUAGES = Languages(source="en", target="ko")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def source(**settings: Any) -> Source:
    given = {"kind": "text", "language": "ko", "format": "hugging_face", "paths": ("corpus",), "split": "train"}
    return Source.model_validate(given | settings)


def read(asked: Source, root: Path) -> list[Row | BadRow]:
    return list(read_source(asked, find_files(asked, root, "data.sources.x.paths"), root, LANGUAGES))


def write(path: Path, *rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def test_a_split_is_streamed(tmp_path: Path) -> None:
    write(tmp_path / "corpus/train.jsonl", {"text": "하나"}, {"text": None}, {"text": "셋"})
    write(tmp_path / "corpus/test.jsonl", {"text": "다른"})
    one, two, three = read(source(), tmp_path)
    assert [one, three] == [
        Row("corpus/train:row 1", {"text": "하나"}),
        Row("corpus/train:row 3", {"text": "셋"}),
    ]
    assert isinstance(two, BadRow) and "'text' is not a text" in two.problem
    assert [path.name for path in find_files(source(), tmp_path, "x")] == ["test.jsonl", "train.jsonl"]


def test_columns_and_nested_rows_mean_what_they_mean_in_json(tmp_path: Path) -> None:
    write(tmp_path / "corpus/train.jsonl", {"translation": {"en": "One", "ko": "하나"}})
    assert read(source(kind="parallel", language=None), tmp_path) == [
        Row("corpus/train:row 1", {"en": "One", "ko": "하나"})
    ]
    write(
        tmp_path / "chat/train.jsonl",
        {"messages": [{"role": "user", "content": "가"}, {"role": "assistant", "content": "나"}]},
    )
    assert read(source(kind="instructions", paths=("chat",)), tmp_path) == [
        Row("chat/train:row 1", {"instruction": "가", "input": "", "output": "나"})
    ]
    assert read(source(paths=("chat",), columns={"text": "messages"}), tmp_path)[0].origin == "chat/train:row 1"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "validation"}, "split 'validation', revision None. could not be read.*Correct the name, `config`"),
        ({"config": "none"}, "config 'none'.*could not be read"),
        (
            {"paths": ("someone/nothing",), "revision": "abc1234"},
            "'someone/nothing'.*revision 'abc1234'. could not be read",
        ),
        ({"paths": ("someone/nothing",)}, "may change: set `revision` to its commit"),
    ],
)
def test_what_cannot_be_loaded_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    write(tmp_path / "corpus/train.jsonl", {"text": "하나"})
    with pytest.raises(BadInputError, match=message):
        read(source(**settings), tmp_path)


def test_a_mixture_is_made_of_a_data_set_and_made_again_when_its_files_change(
    recipe_content: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path / "corpus/train.jsonl", {"text": "하나"}, {"text": "둘"})
    recipe_content["data_root"] = str(tmp_path)
    settings = {"kind": "text", "language": "ko", "format": "hugging_face", "paths": ["corpus"], "split": "train"}
    recipe_content["data"] |= {"sources": {"web": settings}, "mixtures": {"paper": [{"source": "web"}]}}
    recipe_content["evaluate"]["tasks"] = {}
    recipe_content["data"]["mixtures"] |= {"korean": [{"source": "web"}]}
    run = RunFolder(tmp_path / "run")
    for expected in ({"하나", "둘"}, {"셋"}):
        stage.run(yaml_file.validate(recipe_content, "r"), run)
        examples = read_examples(run.mixture("paper") / "examples.parquet")
        assert {example.completion for example in examples} == expected
        write(tmp_path / "corpus/train.jsonl", {"text": "셋"})
