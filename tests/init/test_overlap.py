"""What `init` tells of leaked items is what the data stage drops of the same rows, of the same items."""

import json
from pathlib import Path

from crosstune.data import stage
from crosstune.init.overlap import overlaps
from crosstune.recipe import yaml_file
from crosstune.runs.folder import RunFolder
from tests.init.conftest import lines


def test_leaks_are_counted_as_the_data_stage_drops_them(tmp_path: Path) -> None:
    texts = [line for line in lines("ko", 60) if len(line) > 20]
    head = "ID\tsentence\tquestion\t1\t2\tAnswer"
    items = [f"{number}\t{text}\t원인\t비가 왔다.\t눈이 왔다.\t1" for number, text in enumerate(texts)]
    (tmp_path / "copa.tsv").write_text("\n".join([head, *items]), "utf-8")
    # Beside a leak, a row that is dropped for another reason, and one in an unusual form.
    rows = [*texts, f"{texts[0]} �", texts[1].replace(" ", "  ")]
    corpus = "\n".join(json.dumps({"text": f"그리고 {text} 그렇다."}, ensure_ascii=False) for text in rows)
    (tmp_path / "text.jsonl").write_text(corpus, "utf-8")
    content = {
        "name": "leaks",
        "seed": 1,
        "data_root": str(tmp_path),
        "runs_root": str(tmp_path / "runs"),
        "languages": {"source": "en", "target": "ko"},
        "data": {
            "prompt": "alpaca",
            "sources": {"text": {"kind": "text", "language": "ko", "paths": ["text.jsonl"]}},
            "mixtures": {"tuning": [{"source": "text"}]},
        },
        "tokenizer": {"base": {"kind": "learned", "mixture": "tuning", "num_pieces": 400}},
        "systems": {"base": {"start": "model", "tokenizer": "base"}},
        "evaluate": {
            "reference_system": "base",
            "tasks": {"copa": {"task": "kobest_copa", "paths": ["copa.tsv"], "max_items": 7}},
        },
    }
    recipe = yaml_file.validate(content, "recipe")
    run = RunFolder(tmp_path / "runs" / "leaks")
    stage.run(recipe, run)
    (part,) = json.loads((run.mixture("tuning") / "manifest.json").read_text("utf-8"))["parts"]
    dropped = sum(count for reason, count in part["dropped"].items() if "evaluation overlap" in reason)
    # Of 7 items that are scored, not of all in the file.
    assert 5 <= dropped <= 8 < len(texts)
    assert overlaps(recipe, {"copa"}) == {"text": dropped}
    assert overlaps(recipe, set()) == {}
