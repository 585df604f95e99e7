"""Training side by side: tokens/s of crosstune's step, HF Trainer and TRL on the same rows, batches and optimiser.

    python benchmarks/training.py --model M --json benchmarks/results/training_m.json

Every variant is a process of its own with one thread, and takes turns with ours on one core step by step, so that a
busy minute of the machine falls on both. All get the same rows in the same batches, rows of similar length together
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

from trainers import MARK, Turn, build_model, matrix_rate, run_crosstune, run_trainer, useful_flops
from training_rows import TIMED_STEPS, WARMUP_STEPS, Row, make_batches, make_rows
from training_variants import COMPARED, MODELS, VARIANTS, Variant, batch_rows_of

# What the others are compared with, and by how much their losses may differ from its losses.
OURS = {"float32": "crosstune", "bf16": "crosstune_bf16"}
LARGEST_LOSS_DIFFERENCE = {"float32": 1e-5, "bf16": 1e-4}


def run_one(arguments: argparse.Namespace) -> None:
    """Run one variant in this process, a step each time that a line comes in."""
    import torch

    from crosstune.models.process import prepare_libraries

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
    return make_batches(rows, 2, arguments.rows == "grouped", batch_rows_of(arguments.model))


def compare(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Let ours take turns with each other variant, and check that they learn the same; return a result of each.

    In pairs: with six in turn, which wait half a minute between their steps, ratios differed by a fifth between runs.
    """
    ours = OURS[arguments.precision]
    batches = batches_of(arguments)
    results: list[dict[str, Any]] = []
    for name in arguments.variants:
        said, steps = take_turns(arguments, (ours, name))
        if not results:
            results.append(summary(ours, said, steps[ours], steps[ours], batches))
        results.append(summary(name, said, steps[name], steps[ours], batches))
        if results[-1]["largest_loss_difference"] > LARGEST_LOSS_DIFFERENCE[arguments.precision]:
            sys.exit(f"{name} does not learn the same: its losses are {[step['loss'] for step in steps[name]]}")
    return with_shares(results)


def with_shares(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return results with the useful share of the best matrix rate: beside another process that starts, it is lower."""
    best = max(row["matrix_gflops"] for row in results)
    return [{**row, "share_of_matrix_rate": round(row["useful_gflops"] / best, 3)} for row in results]


def take_turns(
    arguments: argparse.Namespace, names: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, list[dict[str, float]]]]:
    """Let variants take turns, step by step; return what ours said before, and each one's steps."""
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
            for name in names
        }
        said = [hear(name, worker) for name, worker in workers.items()]
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
    return said[0], steps


def hear(name: str, worker: subprocess.Popen[str]) -> Any:
    assert worker.stdout
    for line in worker.stdout:
        if line.startswith(MARK):
            return json.loads(line.removeprefix(MARK))
    sys.exit(f"{name} ended before its turn: run it with --verbose --variants crosstune {name}")


def summary(
    name: str,
    said: dict[str, Any],
    steps: list[dict[str, float]],
    ours: list[dict[str, float]],
    batches: list[list[Row]],
) -> dict[str, Any]:
    num_tokens = sum(len(tokens) for batch in batches[WARMUP_STEPS:] for tokens, _ in batch)
    cpu = sum(step["cpu_seconds"] for step in steps[WARMUP_STEPS:])
    ratios = [a["cpu_seconds"] / b["cpu_seconds"] for a, b in zip(steps, ours, strict=True)]
    return {
        "variant": name,
        "settings": asdict(VARIANTS[name]),
        "tokens_per_cpu_second": round(num_tokens / cpu, 1),
        "tokens_per_second": round(num_tokens / sum(step["seconds"] for step in steps[WARMUP_STEPS:]), 1),
        # Of the steps on the same batch, which stand next to each other in time.
        "crosstune_is_faster": round(statistics.median(ratios[WARMUP_STEPS:]), 2),
        "useful_gflops": round(sum(said["flops"][WARMUP_STEPS:]) / cpu / 1e9, 2),
        "matrix_gflops": round(said["matrix_rate"] / 1e9, 1),
        "peak_mb": round(steps[-1]["peak_mb"]),
        "largest_loss_difference": max(
            abs(a["loss"] - b["loss"]) / b["loss"] for a, b in zip(steps, ours, strict=True)
        ),
        "steps": steps,
        "steps_of_crosstune": ours,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=MODELS, default="M")
    parser.add_argument("--precision", choices=OURS, default="float32", help="of crosstune, with which others compare")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, help="the others")
    parser.add_argument("--rows", choices=("grouped", "random"), default="grouped", help="which rows share a batch")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verbose", action="store_true", help="show what the trainers print")
    parser.add_argument("--one", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run_one(arguments)
        return
    arguments.variants = arguments.variants or COMPARED[arguments.precision]
    if OURS[arguments.precision] in arguments.variants:
        parser.error(f"{OURS[arguments.precision]} is what the others are compared with: leave it out")
    from crosstune.runs.provenance import commit, hardware, versions

    result = {
        "model": arguments.model,
        "rows": arguments.rows,
        "batch_rows": batch_rows_of(arguments.model),
        "timed_steps": TIMED_STEPS,
        "results": compare(arguments),
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
    }
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
