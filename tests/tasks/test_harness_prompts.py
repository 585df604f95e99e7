"""What our task files ask is what lm-evaluation-harness's own files of the same benchmarks ask."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval import tasks
from lm_eval.tasks import TaskManager

from crosstune.evaluate.harness.task_files import FOLDER
from crosstune.runs.files import write_jsonl

OWN = {
    "kmmlu": "kmmlu/default/_default_kmmlu_yaml",
    "haerae": "haerae/_default_haerae_yaml",
    "belebele": "belebele/_default_template_yaml",
    "global_mmlu": "global_mmlu/full/ko/_ko_template_yaml",
    "multiblimp": "multiblimp/_template_yaml",
}


class Loader(yaml.SafeLoader):
    """Reads task files, whose functions do not matter here."""


Loader.add_constructor("!function", lambda *_: None)


def settings(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader)
    return content


@pytest.mark.parametrize("task", OWN)
def test_prompts_and_choices_are_the_harnesss(task: str) -> None:
    ours, theirs = settings(FOLDER / f"{task}.yaml"), settings(Path(tasks.__file__).parent / OWN[task])
    for key in ("doc_to_text", "doc_to_choice", "output_type", "metric_list"):
        assert ours[key] == theirs[key]
    assert ours.get("target_delimiter") == theirs.get("target_delimiter")


def test_any_direction_is_translated_in_the_harness(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "items.jsonl", [{"id": "1", "en": "It rained.", "de": "Es regnete."}])
    metadata = {"path": str(tmp_path / "items.jsonl"), "direction": "en-de", "instruction_language": "en"}
    manager = TaskManager(include_path=str(FOLDER), include_defaults=False, metadata=metadata)
    task = manager.load("translate")["tasks"]["translate"]
    [doc] = task.test_docs()
    assert "English to German" in doc["query"] and "It rained." in doc["query"] and doc["reference"] == "Es regnete."
    results = task.process_results(doc, ["\nEs regnete."])
    assert task.aggregation()["chrf++"]([results["chrf++"]]) == pytest.approx(100)
