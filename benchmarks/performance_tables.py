"""Take the tables of `make benchmark-training` into docs/performance.md, from the JSON in benchmarks/results.

python benchmarks/performance_tables.py
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MODELS = ("m", "s", "miniature")
NAMES = {
    "crosstune": "crosstune",
    "crosstune_1536": "crosstune, micro-batches of 1,536 tokens",
    "trainer": "HF Trainer, our process settings",
    "trl": "TRL SFTTrainer, our process settings",
    "trainer_as_is": "HF Trainer as it comes",
    "trl_as_is": "TRL SFTTrainer as it comes",
}


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8"))
    return content


def training_table(model: str) -> str:
    content = read(f"training_{model}.json")
    lines = [
        f"Model {content['model']}; this core multiplies matrices at {content['matrix_gflops']:.0f} GFLOP/s; commit "
        f"{content['commit']}; {content['hardware']['processor']}; torch {content['versions']['torch']}.",
        "",
        "| trainer | tokens per CPU second | crosstune is faster by | by the clock | useful share of the matrix rate "
        "| peak MB |",
        "|---|---|---|---|---|---|",
    ]
    ours = content["results"][0]["tokens_per_second"]
    for row in content["results"]:
        lines.append(
            f"| {NAMES.get(row['variant'], row['variant'])} | {row['tokens_per_cpu_second']:,.0f} | "
            f"{row['crosstune_is_faster']:.2f} × | {ours / row['tokens_per_second']:.2f} × | "
            f"{row['share_of_matrix_rate']:.0%} | {row['peak_mb']:,} |"
        )
    return "\n".join(lines)


def profile_table() -> str:
    profiles = [read(f"profile_{model}.json") for model in MODELS]
    lines = ["| share of a step's time | " + " | ".join(found["model"] for found in profiles) + " |"]
    lines.append("|---" * (1 + len(profiles)) + "|")
    for kind in profiles[0]["shares"]:
        lines.append(f"| {kind} | " + " | ".join(f"{found['shares'].get(kind, 0):.0%}" for found in profiles) + " |")
    return "\n".join(lines)


def main() -> None:
    page = ROOT / "docs" / "performance.md"
    text = page.read_text(encoding="utf-8")
    tables = {f"training {model}": training_table(model) for model in MODELS} | {"profile": profile_table()}
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        if len(re.findall(pattern, text, flags=re.DOTALL)) != 1:
            sys.exit(f"{page} needs one pair of the lines {begin} and {end}, between which the table is put")
        whole = f"{begin}\n{table}\n{end}"
        text = re.sub(pattern, lambda _, whole=whole: whole, text, flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
