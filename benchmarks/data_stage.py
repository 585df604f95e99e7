"""The data stage on as many rows as the paper's mixture has: read, filter, near-deduplicate, decontaminate, mix, write.

    python benchmarks/data_stage.py --json benchmarks/results/data_stage.json

The corpora are drawn word by word from a seed, with the lengths of the real ones: 200,302 pairs, 52,002 English and
49,620 Korean instructions, of which some are repeated, nearly repeated, or hold a stretch of an evaluation item.
"""

import argparse
import json
import os
import random
import resource
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

from crosstune.data import stage
from crosstune.recipe import yaml_file
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.runs.provenance import commit, hardware, versions

PAIRS, ENGLISH, KOREAN, ITEMS = 200_302, 52_002, 49_620, 10_042
_SYLLABLES = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호기니디리미비시이지치키티피히는을에서"


class Corpus:
    """Draws sentences of both languages from a vocabulary with Zipf's frequencies."""

    def __init__(self, seed: int) -> None:
        self.generator = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._english = [self._word(letters, 3, 9) for _ in range(30_000)]
        self._korean = [self._word(_SYLLABLES, 1, 4) for _ in range(30_000)]
        self._weights = list(accumulate(1 / (rank + 10) for rank in range(30_000)))

    def _word(self, letters: str, shortest: int, longest: int) -> str:
        return "".join(self.generator.choice(letters) for _ in range(self.generator.randint(shortest, longest)))

    def english(self, mean: float) -> str:
        return self._sentence(self._english, mean)

    def korean(self, mean: float) -> str:
        return self._sentence(self._korean, mean * 0.7)

    def _sentence(self, words: list[str], mean: float) -> str:
        length = max(3, round(self.generator.lognormvariate(0, 0.5) * mean))
        return " ".join(self.generator.choices(words, cum_weights=self._weights, k=length)) + "."


def write_corpora(folder: Path, share: float) -> None:
    """Write the four files; ``share`` scales the numbers of rows."""
    corpus = Corpus(seed=1)
    draw = corpus.generator
    items = [
        {
            "ind": number,
            "activity_label": "",
            "ctx_a": corpus.english(30),
            "ctx_b": "",
            "endings": [corpus.english(14) for _ in range(4)],
            "label": 0,
        }
        for number in range(round(ITEMS * share))
    ]
    (folder / "hellaswag.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    stretches = [str(item["ctx_a"]) for item in items if str(item["ctx_a"]).count(" ") > 15]

    def dirty(rows: list[dict[str, str]], key: str) -> list[dict[str, str]]:
        for index in range(0, len(rows), 50):
            other = rows[draw.randrange(len(rows))]
            kind = draw.random()
            if kind < 0.4:
                rows[index] = dict(other)
            elif kind < 0.8:
                rows[index] = {**other, key: other[key] + " Also."}
            else:
                rows[index] = {**other, key: f"Then {draw.choice(stretches)}"}
        return rows

    pairs = [{"en": corpus.english(14), "ko": corpus.korean(14)} for _ in range(round(PAIRS * share))]
    (folder / "pairs.json").write_text(json.dumps({"data": dirty(pairs, "en")}, ensure_ascii=False), encoding="utf-8")
    for name, number, make in (("alpaca", ENGLISH, corpus.english), ("koalpaca", KOREAN, corpus.korean)):
        rows = [
            {"instruction": make(11), "input": make(15) if draw.random() < 0.4 else "", "output": make(44)}
            for _ in range(round(number * share))
        ]
        (folder / f"{name}.json").write_text(json.dumps(dirty(rows, "output"), ensure_ascii=False), encoding="utf-8")


def recipe_of(folder: Path) -> dict[str, Any]:
    """Return the paper's mixture of these files, with every check on."""
    return {
        "name": "data_stage",
        "seed": 1,
        "runs_root": str(folder / "runs"),
        "data_root": str(folder),
        "languages": {"source": "en", "target": "ko"},
        "data": {
            "sources": {
                "pairs": {"kind": "parallel", "paths": ["pairs.json"]},
                "alpaca": {"kind": "instructions", "language": "en", "paths": ["alpaca.json"]},
                "koalpaca": {"kind": "instructions", "language": "ko", "paths": ["koalpaca.json"]},
            },
            "mixtures": {
                "paper": [
                    {"source": "pairs", "directions": ["en-ko"], "instruction_languages": ["en"]},
                    {"source": "alpaca"},
                    {"source": "koalpaca"},
                ]
            },
            "quality": {"near_duplicate_threshold": 0.8},
        },
        "tokenizer": {"base": {"kind": "given", "path": "none"}},
        "systems": {"base": {"start": "none", "tokenizer": "base"}},
        "evaluate": {
            "reference_system": "base",
            "tasks": {"hellaswag": {"task": "hellaswag", "paths": ["hellaswag.jsonl"]}},
        },
    }


def run_stage(content: dict[str, Any], name: str, cores: set[int]) -> tuple[RunFolder, float, float]:
    """Run the stage on some cores; return the run's folder, the seconds by the clock and those of this process."""
    os.sched_setaffinity(0, cores)
    recipe = yaml_file.validate(content | {"name": name}, "benchmark")
    run = RunFolder(recipe.runs_root / recipe.name)
    started, processor = time.perf_counter(), time.process_time()
    stage.run(recipe, run)
    return run, time.perf_counter() - started, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows, for trials")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpora(folder, arguments.share)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        run, seconds, processor = run_stage(recipe_of(folder), "one_core", {max(cores)})
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        on_all, seconds_on_all, _ = run_stage(recipe_of(folder), "all_cores", cores)
        for file in ("examples.parquet", "dropped.jsonl"):
            first, second = ((one.mixture("paper") / file).read_bytes() for one in (run, on_all))
            assert first == second, f"{file} depends on the number of cores"
        parts = read_json(run.mixture("paper") / "manifest.json")["parts"]
    num_rows = sum(part["rows_read"] for part in parts)
    result = {
        "rows": num_rows,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(processor, 1),
        "rows_per_cpu_second": round(num_rows / processor),
        "cores": len(cores),
        "seconds_on_all_cores": round(seconds_on_all, 1),
        "peak_mb": round(peak),
        "peak_mb_before": round(before),
        "dropped": {part["source"]: part["dropped"] for part in parts},
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
    }
    print(f"{num_rows:,} rows in {seconds:.1f} s on one core, {processor:.1f} CPU s")
    print(f"in {seconds_on_all:.1f} s on {len(cores)}; {peak:.0f} MB at the peak on one ({before:.0f} before)")
    if arguments.json:
        arguments.json.parent.mkdir(exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
