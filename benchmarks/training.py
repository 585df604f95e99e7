"""Training side by side: tokens/s of crosstune's step, HF Trainer and TRL on the same rows, batches and optimiser.

    python benchmarks/training.py --model M --json benchmarks/results/training_m.json

Every variant is a process of its own with one thread, and all take turns on one core step by step, so that a busy
minute of the machine falls on all of them. All get the same rows in the same batches, rows of similar length together
(which the padding trainers need and ours does not), and must report the same losses.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainers import (
    COMPARED,
    COMPARED_IN_BF16,
    MARK,
    MODELS,
    VARIANTS,
    Turn,
    Variant,
    build_model,
    matrix_rate,
    run_crosstune,
    run_trainer,
    useful_flops,
)
from training_rows import BATCH_ROWS, TIMED_STEPS, WARMUP_STEPS, Row, make_batches, make_rows

# Whose speed the others are compared with; losses are in both cases compared with those in float32.
OURS = {"float32": "crosstune", "bf16": "crosstune_bf16"}
LARGEST_LOSS_DIFFERENCE = {"float32": 1e-5, "bf16": 1e-4}


def run_one(arguments: argparse.Namespace) -> None:
    """Run one variant in this process, a step each time that a line comes in."""
    import torch

    from crosstune.models import prepare_libraries

    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    variant = VARIANTS[arguments.one]
    if variant.fast:
        prepare_libraries()
    shape = MODELS[arguments.model]
    batches = batches_of(arguments)
    turn = Turn()
    model = build_model(shape, variant.attention)
    if variant.trainer == "crosstune":
        turn.say({"flops": [useful_flops(model, batch) for batch in batches], "matrix_rate": matrix_rate(variant)})
        settings = {"micro_batch_tokens": variant.micro_batch_tokens, "precision": precision_of(variant)}
        run_crosstune(model, batches, turn, **settings)
    else:
        turn.say({})
        run_trainer(model, batches, variant, turn)
    turn.wait()


def precision_of(variant: Variant) -> str:
    return "bf16" if variant.bf16 else "float32"


def batches_of(arguments: argparse.Namespace) -> list[list[Row]]:
    rows = make_rows(MODELS[arguments.model]["vocab_size"], number=4096, seed=1)
    return make_batches(rows, seed=2, grouped=arguments.rows == "grouped")


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let the variants take turns, and check that they learn the same."""
    own = [f"--{name}={getattr(arguments, name)}" for name in ("model", "rows")]
    with contextlib.ExitStack() as processes:
        workers = {
            name: processes.enter_context(
                subprocess.Popen(
                    [sys.executable, __file__, f"--one={name}", *own],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL if not arguments.verbose else None,
                    text=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
            )
            for name in arguments.variants
        }
        said = {name: hear(name, worker) for name, worker in workers.items()}
        for name, worker in workers.items():
            hear(name, worker)  # that it waits
        steps: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        for step in range(WARMUP_STEPS + TIMED_STEPS):
            for name, worker in workers.items():
                assert worker.stdin
                worker.stdin.write("step\n")
                worker.stdin.flush()
                steps[name].append(hear(name, worker))
                hear(name, worker)
                print(f"step {step + 1} {name:22} {steps[name][-1]['cpu_seconds']:6.2f} s", file=sys.stderr)
    return summary(arguments, said, steps)


def hear(name: str, worker: subprocess.Popen[str]) -> Any:
    assert worker.stdout
    for line in worker.stdout:
        if line.startswith(MARK):
            return json.loads(line.removeprefix(MARK))
    sys.exit(f"{name} ended before its turn: run it with --verbose --variants crosstune {name}")


def summary(
    arguments: argparse.Namespace, said: dict[str, dict[str, Any]], steps: dict[str, list[dict[str, float]]]
) -> dict[str, Any]:
    tokens = [sum(len(tokens) for tokens, _ in batch) for batch in batches_of(arguments)][WARMUP_STEPS:]
    flops = said["crosstune"]["flops"][WARMUP_STEPS:]
    results = []
    for name, found in steps.items():
        precision = precision_of(VARIANTS[name])
        differences = [abs(a["loss"] - b["loss"]) / b["loss"] for a, b in zip(found, steps["crosstune"], strict=True)]
        if max(differences) > LARGEST_LOSS_DIFFERENCE[precision]:
            sys.exit(f"{name} does not learn the same: its losses differ from crosstune's by {max(differences):.1e}")
        same_precision = OURS[precision]
        timed, ours = found[WARMUP_STEPS:], steps[same_precision][WARMUP_STEPS:]
        cpu, clock = (sum(step[key] for step in timed) for key in ("cpu_seconds", "seconds"))
        results.append(
            {
                "variant": name,
                "settings": asdict(VARIANTS[name]),
                "tokens_per_cpu_second": round(sum(tokens) / cpu, 1),
                "tokens_per_second": round(sum(tokens) / clock, 1),
                # Of the steps on the same batch, which stand next to each other in time.
                "crosstune_is_faster": round(
                    statistics.median(a["cpu_seconds"] / b["cpu_seconds"] for a, b in zip(timed, ours, strict=True)), 2
                ),
                "crosstune_is_faster_by_the_clock": round(clock / sum(step["seconds"] for step in ours), 2),
                "share_of_matrix_rate": round(sum(flops) / cpu / said[same_precision]["matrix_rate"], 3),
                "peak_mb": round(found[-1]["peak_mb"]),
                "largest_loss_difference": max(differences),
                "steps": found,
            }
        )
    return {
        "model": arguments.model,
        "rows": arguments.rows,
        "batch_rows": BATCH_ROWS,
        "timed_steps": TIMED_STEPS,
        "matrix_gflops": {
            precision: round(said[name]["matrix_rate"] / 1e9, 1) for precision, name in OURS.items() if name in said
        },
        "results": results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=MODELS, default="M")
    parser.add_argument("--precision", choices=OURS, default="float32", help="of products, where no variants are named")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, help="crosstune among them (and crosstune_bf16)")
    parser.add_argument("--rows", choices=("grouped", "random"), default="grouped", help="which rows share a batch")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verbose", action="store_true", help="show what the trainers print")
    parser.add_argument("--one", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run_one(arguments)
        return
    arguments.variants = arguments.variants or list(COMPARED if arguments.precision == "float32" else COMPARED_IN_BF16)
    needed = {"crosstune"} | {OURS[precision_of(VARIANTS[name])] for name in arguments.variants}
    if missing := needed - set(arguments.variants):
        parser.error(f"{' and '.join(sorted(missing))} must be among the variants: the others are compared with it")
    from crosstune.artifacts import commit, hardware, versions

    result = {**compare(arguments), "commit": commit(), "hardware": hardware(), "versions": versions()}
    for row in result["results"]:
        print(
            f"{row['variant']:22} {row['tokens_per_cpu_second']:6.0f} tokens/CPU s {row['tokens_per_second']:6.0f} "
            f"tokens/s {row['peak_mb']:6} MB  {row['share_of_matrix_rate']:.0%} of the matrix rate  "
            f"ours {row['crosstune_is_faster']:.2f} x  losses differ by at most {row['largest_loss_difference']:.0e}"
        )
    if arguments.json:
        arguments.json.parent.mkdir(exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
