"""Read published files as a recipe's data stage does."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crosstune.data import evaluation_sets
from crosstune.recipe import EvaluationTask, Languages

LANGUAGES = Languages(source="en", target="ko")


def read(root: Path, task: str, files: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Write files (text, rows of JSON lines, or rows of Parquet, by their names) and return the items of a task."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        elif path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(content), path)
        else:
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")
    section = EvaluationTask.model_validate({"task": task, "paths": tuple(files), **more})
    paths = [root / name for name in files]
    raw = evaluation_sets.read(section, paths, root, LANGUAGES)
    items, _ = evaluation_sets.choose("it", section, raw, "stop", LANGUAGES)
    return [{key: value for key, value in item.items() if key != "origin"} for item in items]
