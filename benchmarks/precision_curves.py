"""Learning curves of one phase whose weights are kept in several precisions, from what a finished run left behind.

    crosstune run recipes/miniature.yaml
    OMP_NUM_THREADS=1 python benchmarks/precision_curves.py runs/miniature \
        --json benchmarks/results/precision_curves.json

All begin with the weights of one system and learn the rows of the paper's mixture in one order; of each method one more
draws another order and other new rows, which says how far apart two runs are that differ in nothing else. Each curve
is written when it is complete, and one that is in the file is not trained again. One that was interrupted or killed
goes on, with the same command, from its last checkpoint, which lies in a folder beside the file until it is complete.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from crosstune.runs.files import write_text
from crosstune.runs.provenance import commit, hardware, versions

FULL = {"method": "full", "learning_rate": 5.5e-4}
LORA = {
    "method": "lora",
    "learning_rate": 2e-3,
    "lora": {"rank": 16, "alpha": 32, "targets": "all-linear", "train_new_rows": True},
}
# What each curve trains, and the settings that it trains with.
CURVES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "full, float32": (FULL, {}),
    "full, weights bf16": (FULL, {"weights": "bf16"}),
    **{f"lora, base {kind}": (LORA, {"base_weights": kind}) for kind in ("float32", "bf16", "int8", "nf4")},
    "full, float32, another seed": (FULL, {}),
    "lora, base float32, another seed": (LORA, {}),
}
# How many times the held-out text is scored.
_NUM_SCORED = 5
# Steps that a kill costs at most.
_SAVE_EVERY_STEPS = 50


def recipe_of(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the finished run's recipe with one system, which trains as a curve of this name does."""
    from crosstune.recipe import yaml_file

    method, settings = CURVES[name]
    content = yaml_file.load_recipe(arguments.run / "recipe.yaml").model_dump(mode="json", exclude_none=True)
    phase = {
        **method,
        **({"learning_rate": arguments.learning_rate} if arguments.learning_rate else {}),
        "mixture": arguments.mixture,
        "num_steps": arguments.steps,
        "global_batch_size": arguments.rows,
        "max_length_tokens": 256,
        "on_too_long": "truncate",
    }
    model = arguments.run / "systems" / arguments.start / "model"
    # A system that trains nothing has no model folder: it is what it starts from.
    start = model.resolve() if model.is_dir() else Path(content["systems"][arguments.start]["start"]).resolve()
    system = {"start": str(start), "tokenizer": "extended", "seed": 2 if "another seed" in name else 1}
    train = {**content["train"], "save_every_steps": _SAVE_EVERY_STEPS, "keep_checkpoints": 1, **settings}
    if "validation" in train:
        train["validate_every_steps"] = max(1, arguments.steps // _NUM_SCORED)
    evaluate = {"reference_system": "tried", "tasks": {}}
    changed = {"systems_at_once": 1, "train": train, "evaluate": evaluate}
    return {**content, **changed, "systems": {"tried": {**system, "phases": [phase]}}}


def train(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one curve, or go on with it; return its losses, and the held-out text's bits per byte."""
    import torch

    from crosstune.models.process import prepare_libraries
    from crosstune.recipe import yaml_file
    from crosstune.runs.files import read_jsonl
    from crosstune.runs.folder import RunFolder
    from crosstune.train import stage

    torch.set_num_threads(1)
    prepare_libraries()
    folder = unfinished(name, arguments)
    recipe = yaml_file.validate({**recipe_of(name, arguments), "runs_root": str(folder)}, "benchmark")
    run = RunFolder(folder / recipe.name)
    for part in ("data", "tokenizer"):
        if not (run.root / part).exists():
            shutil.rmtree(run.root / f".{part}", ignore_errors=True)
            shutil.copytree(arguments.run / part, run.root / f".{part}")
            (run.root / f".{part}").rename(run.root / part)
    stage.run(recipe, run)
    rows = list(read_jsonl(run.system("tried") / "metrics.jsonl"))
    scored = list(read_jsonl(run.system("tried") / "validation.jsonl")) if recipe.train.validation else []
    return {
        "losses": [round(row["loss"], 4) for row in rows],
        "held_out": [{"step": row["step"], **row["bits_per_byte"]} for row in scored],
        "seconds": round(rows[-1]["seconds"]),
        "commit": commit(),
    }


def unfinished(name: str, arguments: argparse.Namespace) -> Path:
    """Return the folder of a curve that is not complete."""
    return Path(f"{arguments.json.resolve()}.unfinished") / name.replace(", ", "_").replace(" ", "_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--start", default="llama", help="the system whose model is trained on")
    parser.add_argument("--mixture", default="paper")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=8, help="in a batch")
    parser.add_argument("--learning-rate", type=float, help="of every curve, instead of its own")
    parser.add_argument("--curves", nargs="+", choices=CURVES, default=list(CURVES))
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    asked = {name: getattr(arguments, name) for name in ("start", "mixture", "steps", "rows", "learning_rate")}
    found: dict[str, Any] = {**asked, "hardware": hardware(), "versions": versions(), "curves": {}}
    if arguments.json.exists():
        before = json.loads(arguments.json.read_text(encoding="utf-8"))
        if {name: before.get(name) for name in asked} != asked:
            raise SystemExit(f"{arguments.json} holds curves of other settings: name another file, or delete it")
        found = before
    for name in arguments.curves:
        if name not in found["curves"]:
            found["curves"][name] = train(name, arguments)
            write_text(arguments.json, json.dumps(found, ensure_ascii=False) + "\n")
            shutil.rmtree(unfinished(name, arguments))
        print(f"{name}: last losses {found['curves'][name]['losses'][-5:]}", flush=True)


if __name__ == "__main__":
    main()
