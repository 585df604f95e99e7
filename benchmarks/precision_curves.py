"""Learning curves of one system whose weights are kept in several precisions, on what a finished run left behind.

    crosstune run recipes/miniature.yaml
    python benchmarks/precision_curves.py runs/miniature --group base_weights --steps 400 \
        --json benchmarks/results/precision_base_weights.json
    python benchmarks/precision_curves.py runs/miniature --group weights --steps 1000 \
        --json benchmarks/results/precision_weights.json

The same rows in the same order, the same first weights, the same adapters. Each variant is written when it is done; one
that is in the file already is not trained again.
"""

import argparse
import json
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

GROUPS: dict[str, dict[str, dict[str, str]]] = {
    "base_weights": {kind: {"base_weights": kind} for kind in ("float32", "bf16", "int8", "nf4")},
    "weights": {
        "float32": {},
        "bf16": {"weights": "bf16"},
        "bf16, adamw_8bit": {"weights": "bf16", "optimizer": "adamw_8bit"},
    },
}
LORA = {"rank": 16, "alpha": 32, "targets": "all-linear", "train_new_rows": True}
_SMOOTHED = 50


def phase_of(group: str, arguments: argparse.Namespace) -> dict[str, Any]:
    common = {
        "mixture": arguments.mixture,
        "num_steps": arguments.steps,
        "global_batch_size": arguments.rows,
        "max_length_tokens": 256,
    }
    if group == "base_weights":
        return {**common, "method": "lora", "lora": LORA, "learning_rate": 2e-3}
    return {**common, "method": "full", "learning_rate": 5.5e-4}


def train(arguments: argparse.Namespace, settings: dict[str, str]) -> dict[str, Any]:
    import torch

    from crosstune.models.process import prepare_libraries
    from crosstune.recipe import yaml_file
    from crosstune.runs.folder import RunFolder
    from crosstune.train import stage

    torch.set_num_threads(1)
    prepare_libraries()
    content = yaml_file.load_recipe(arguments.run / "recipe.yaml").model_dump(mode="json", exclude_none=True)
    start = (arguments.run / "systems" / arguments.start / "model").resolve()
    phases = [phase_of(arguments.group, arguments)]
    content["systems"] = {"tried": {"start": str(start), "tokenizer": "extended", "phases": phases}}
    every = max(1, arguments.steps // 10)
    content["train"] = {**content["train"], "validate_every_steps": every, "save_every_steps": 10**6, **settings}
    content["evaluate"] = {"reference_system": "tried", "tasks": {}}
    with tempfile.TemporaryDirectory() as folder:
        content["runs_root"] = folder
        recipe = yaml_file.validate(content, "benchmark")
        run = RunFolder(Path(folder) / recipe.name)
        for part in ("data", "tokenizer"):
            shutil.copytree(arguments.run / part, run.root / part)
        begun = time.process_time()
        stage.run(recipe, run)
        seconds = time.process_time() - begun
        rows = [json.loads(line) for line in (run.system("tried") / "metrics.jsonl").read_text().splitlines()]
        seen = [json.loads(line) for line in (run.system("tried") / "validation.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows]
    smoothed = [
        round(sum(losses[place : place + _SMOOTHED]) / len(losses[place : place + _SMOOTHED]), 4)
        for place in range(0, len(losses), _SMOOTHED)
    ]
    return {
        "losses": [round(loss, 4) for loss in losses],
        f"means_of_{_SMOOTHED}": smoothed,
        "held_out": [{"step": row["step"], **row["bits_per_byte"]} for row in seen],
        "cpu_seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--group", choices=GROUPS, required=True)
    parser.add_argument("--start", default="llama", help="the system whose model is trained on")
    parser.add_argument("--mixture", default="paper")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=8, help="in a batch")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    import torch

    found: dict[str, Any] = json.loads(arguments.json.read_text()) if arguments.json.exists() else {"variants": {}}
    found |= {"group": arguments.group, "steps": arguments.steps, "rows": arguments.rows, "mixture": arguments.mixture}
    found |= {"torch": torch.__version__, "processor": platform.processor() or platform.machine()}
    for name, settings in GROUPS[arguments.group].items():
        if name not in found["variants"]:
            found["variants"][name] = train(arguments, settings)
            arguments.json.write_text(json.dumps(found) + "\n")
        variant = found["variants"][name]
        print(f"{name}: held out {variant['held_out'][-1]}, last losses {variant[f'means_of_{_SMOOTHED}'][-1]}")


if __name__ == "__main__":
    main()
