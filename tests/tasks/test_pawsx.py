"""PAWS-X as its authors and the hub have it: tab-separated with quotes that mean nothing, or Parquet."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from crosstune.errors import BadInputError
from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from crosstune.evaluate.harness.tasks import paraphrase_dataset
from crosstune.recipe import EvaluationTask
from crosstune.runs.files import write_jsonl
from crosstune.tasks.pawsx import BETWEEN
from tests.tasks.read import read

TSV = 'id\tsentence1\tsentence2\tlabel\n1\t" 그는 왔다 .\t그가 왔다 .\t1\n2\t비가 온다 .\t눈이 온다 .\t0\n'


def test_quotes_are_text_in_tables(tmp_path: Path) -> None:
    items = read(tmp_path, "pawsx", {"x-final/ko/test_2k.tsv": TSV}, language="ko")
    assert [(item["id"], item["sentence1"], item["label"]) for item in items] == [
        ("1", '" 그는 왔다 .', 1),
        ("2", "비가 온다 .", 0),
    ]


def test_the_hubs_parquet_has_numbers_for_texts_of_labels(tmp_path: Path) -> None:
    row = {"id": 1, "sentence1": "그는 왔다 .", "sentence2": "그가 왔다 .", "label": 1}
    assert read(tmp_path, "pawsx", {"ko/test-00000-of-00001.parquet": [row]}, language="ko") == [{**row, "id": "1"}]


def test_it_is_asked_in_the_harnesss_words(tmp_path: Path) -> None:
    import yaml
    from lm_eval import tasks

    class Loader(yaml.SafeLoader):
        """Reads the harness's files, whose functions do not matter here."""

    Loader.add_constructor("!function", lambda *_: None)

    write_jsonl(tmp_path / "items.jsonl", [{"id": "1", "sentence1": "A", "sentence2": "B", "label": 1}])
    for language in BETWEEN:
        [doc] = paraphrase_dataset(str(tmp_path / "items.jsonl"), language)["test"]
        path = Path(tasks.__file__).parent / "paws-x" / f"paws_{language}.yaml"
        template = yaml.load(path.read_text(encoding="utf-8"), Loader)["doc_to_choice"]
        words = template.removeprefix("{{[").removesuffix("]}}").replace("sentence1", "'A'").replace("sentence2", "'B'")
        assert doc["choices"] == list(eval(words))
    with pytest.raises(BadInputError, match="`language`: 'vi' is not one of de, en"):
        paraphrase_dataset(str(tmp_path / "items.jsonl"), "vi")
    with pytest.raises(ValidationError, match="exists in de, en, es, fr, ja, ko, zh, not in 'vi'"):
        EvaluationTask.model_validate({"task": "pawsx", "paths": ("a",), "language": "vi"})


def test_score_finds_its_files_by_language(tmp_path: Path) -> None:
    for name in ("x-final/ko/test_2k.tsv", "x-final/ko/dev_2k.tsv", "x-final/en/dev_2k.tsv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    test = find_tasks(Choice("multilingual", tmp_path, skip_missing=True), 4)
    assert {label: task["paths"] for label, task in test.items()} == {"pawsx_ko": ["x-final/ko/test_2k.tsv"]}
    assert set(find_tasks(Choice("multilingual", tmp_path, "dev", skip_missing=True), 4)) == {"pawsx_en", "pawsx_ko"}
