"""Rows that are checked by several processes give the files that one process writes."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from crosstune.data import filters, stage
from crosstune.recipe import yaml_file
from crosstune.runs import in_order
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder

ITEM = {"ind": 1, "activity_label": "", "ctx_a": "A man sits on a roof and looks at the sea.", "ctx_b": "", "label": 0}


def rows_of(generator: random.Random) -> list[Any]:
    """Return pairs of every kind: good, bad, damaged, equal, nearly equal, in need of cleaning, with an item inside."""
    words = [f"{one}{other}" for one in "가나다라마바사" for other in "을는이에서도"]
    pairs: list[Any] = []
    for number in range(120):
        korean = " ".join(generator.choices(words, k=generator.randint(12, 24))) + "."
        pairs.append({"en": " ".join(f"word{ord(word[0]) % 97}" for word in korean.split()), "ko": korean})
        pairs[-1] = generator.choice([pairs[-1]] * 6 + [generator.choice(pairs)])
        if number % 9 == 0:
            pairs += [{"en": 3, "ko": korean}, {"en": "\ufffd", "ko": korean}, {"en": " ", "ko": f"\x00{korean}"}]
            pairs.append({"en": f"So: {ITEM['ctx_a']}", "ko": f"{korean}\r\n\u1100\u1161"})
            pairs.append({**pairs[0], "ko": pairs[0]["ko"] + " 또."})
    return pairs


@pytest.mark.slow
def test_several_processes_write_what_one_writes(
    recipe_content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "corpora"
    root.mkdir()
    (root / "pairs.json").write_text(json.dumps({"data": rows_of(random.Random(1))}), encoding="utf-8")
    (root / "alpaca.json").write_text(json.dumps([{"instruction": "Say hi", "output": "Hi"}]), encoding="utf-8")
    (root / "korean.txt").write_text("가을이 왔다.\n\n겨울이 왔다.\n", encoding="utf-8")
    item = {**ITEM, "endings": ["a b", "c d", "e f", "g h"]}
    (root / "hellaswag.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
    recipe_content["data_root"] = str(root)
    recipe_content["data"]["quality"] = {"on_bad_row": "drop", "near_duplicate_threshold": 0.8}
    recipe = yaml_file.validate(recipe_content, "r")
    one, several = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "several")
    monkeypatch.setattr(filters, "BATCH_CHARACTERS", 500)
    monkeypatch.setattr(in_order, "num_cores", lambda: 1)
    stage.run(recipe, one)
    monkeypatch.setattr(in_order, "num_cores", lambda: 2)
    monkeypatch.setattr(in_order, "MIN_SIZE", 1000)
    stage.run(recipe, several)
    written = sorted(path.relative_to(one.root) for path in one.root.glob("data/mixtures/*/*") if path.is_file())
    assert {path.name for path in written} == {"examples.parquet", "dropped.jsonl", "manifest.json"}
    for path in written:
        if path.name == "manifest.json":
            assert read_json(one.root / path)["parts"] == read_json(several.root / path)["parts"]
        else:
            assert (one.root / path).read_bytes() == (several.root / path).read_bytes()
