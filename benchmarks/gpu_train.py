"""Full fine-tuning of LLaMA-2-7B's shape on one GPU: crosstune beside TRL's SFTTrainer, in one call under 9 minutes.

    python benchmarks/gpu_train.py --json benchmarks/results/gpu_train.json
    python benchmarks/gpu_train.py --tiny

Random weights, 128 rows a step as in the paper. Weights, gradients and the optimiser's moments are bfloat16 on all
sides, 8 bytes for each of 6.9 billion weights; this measures speed, it is no way to train, but for the variants
that have weights in float32. Each variant is a process of its own, one after another; what one has found is written
before the next begins, and one that fails says why; the last three run only where they are named. With 120 GB and more
nobody computes layers twice (gradient checkpointing) but where it says so. ``--tiny`` runs the same code with a tiny
model, without a GPU too. TRL, Liger and torchao's fp8 take part where they are installed; of crosstune's own
dependencies it needs those of ``NEEDED`` only.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import trainers
import training_rows
from training_variants import Variant

BATCH_ROWS = 128
# Random batches, each seen once; the first are not timed: they allocate, compile and choose kernels.
NUM_BATCHES, NUM_WARMUP = 64, 4
# Batches grouped by length are a few that stand for all, over and over.
PASSES = 10
# For imports, building the model and compiling, beside the training itself.
STARTING_SECONDS = 100
# Without checkpointing, a token's activations are 5 to 8 MB beside 55 GB of weights, gradients and moments.
ENOUGH_BYTES = 120e9
# As many as the time holds: a variant took 54 s on an H200 with 10 s of timed training.
NUM_BY_DEFAULT = 8
# Of the paper: 301,924 rows, three epochs.
PAPER_ROWS_SEEN = 3 * 301_924
SHAPES: dict[str, dict[str, Any]] = {
    "7b": {
        "vocab_size": 46_336,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "intermediate_size": 11_008,
        "heads": 32,
    },
    "tiny": {"vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "heads": 2},
}
NEEDED = ("torch", "transformers", "accelerate", "peft", "pyarrow", "rich", "pydantic", "ruamel.yaml")


@dataclass(frozen=True)
class Setup:
    """A variant: a trainer's settings, and those of crosstune's section `train`.

    `grouped`: rows of similar length share a batch, as who pads needs it. `checkpointing`: layers are computed twice.
    """

    trainer: Variant
    settings: dict[str, Any] = field(default_factory=dict)
    grouped: bool = False
    checkpointing: bool = False
    dtype: str = "bfloat16"
    needs: tuple[str, ...] = ()
    needs_gpu: bool = False


PLAIN = ("crosstune", "crosstune_grouped_kernels")
OURS = Variant("crosstune")
# Twice the rows at a time would not fit beside them: their layers keep 8 MB a token.
PADDING_FREE = Variant("trl", "sdpa", 2, padding_free=True)
# Weights and moments in float32, products in fewer bits: no update is rounded away. 110 GB, so that layers are computed
# twice; or moments in a byte each, and layers once.
FLOAT32 = Setup(OURS, {"precision": "bf16"}, checkpointing=True, dtype="float32", needs_gpu=True)
BYTES = {"precision": "bf16", "optimizer": "adamw_8bit", "micro_batch_tokens": 8192}
VARIANTS = {
    "crosstune": Setup(OURS, needs_gpu=True),
    "trl_varlen_liger": Setup(
        replace(PADDING_FREE, attention=trainers.VARLEN, liger=True), needs=("trl", "liger_kernel"), needs_gpu=True
    ),
    "crosstune_fp8": Setup(OURS, {"precision": "fp8"}, needs=("torchao",), needs_gpu=True),
    "trl_varlen": Setup(replace(PADDING_FREE, attention=trainers.VARLEN), needs=("trl",), needs_gpu=True),
    "crosstune_float32_weights": FLOAT32,
    "trl_padding_free": Setup(PADDING_FREE, needs=("trl",)),
    "trl": Setup(Variant("trl", "sdpa", 2), grouped=True, checkpointing=True, needs=("trl",)),
    "crosstune_fp8_float32_weights": replace(FLOAT32, settings={"precision": "fp8"}, needs=("torchao",)),
    "crosstune_8bit_moments": replace(FLOAT32, settings=BYTES, checkpointing=False, needs=("torchao",)),
    "crosstune_grouped_kernels": Setup(OURS, {"flex_attention": False}),
    "trainer": Setup(Variant("trainer", "sdpa", 4), grouped=True, checkpointing=True),
}


def run_one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one variant in this process."""
    import torch
    from gpu_clock import Clock

    from crosstune.models.process import prepare_libraries
    from crosstune.models.recompute import recompute_layers
    from crosstune.train.speed import matrix_rate

    device = "cuda" if torch.cuda.is_available() else "cpu"
    total_bytes = torch.cuda.get_device_properties(0).total_memory if device == "cuda" else 0
    setup, shape = VARIANTS[arguments.one], SHAPES["tiny" if arguments.tiny else "7b"]
    rate = matrix_rate(torch.device(device), torch.bfloat16)
    rows = training_rows.make_rows(shape["vocab_size"], NUM_BATCHES * BATCH_ROWS, seed=1)
    if setup.grouped:
        batches = PASSES * training_rows.make_batches(rows, 2, grouped=True, batch_rows=BATCH_ROWS)
    else:
        batches = training_rows.random_batches(rows, 2, NUM_BATCHES, BATCH_ROWS)
    dtype = getattr(torch, setup.dtype)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = trainers.build_model(shape, setup.trainer.attention)
    torch.set_default_dtype(torch.float32)
    model.to(dtype)
    is_large = total_bytes > ENOUGH_BYTES
    settings = {"micro_batch_tokens": 10_240 if is_large else 8192, **setup.settings}
    if not arguments.tiny and (setup.checkpointing or not is_large):
        recompute_layers(model)
    warmup = len(set(map(id, batches))) if setup.grouped else NUM_WARMUP
    clock = Clock(warmup, arguments.seconds, arguments.profiles and arguments.profiles / f"{arguments.one}.txt")
    try:
        if setup.trainer.trainer == "crosstune":
            prepare_libraries()
            trainers.run_crosstune(model, batches, clock, **settings)
        else:
            trainers.run_trainer(model, batches, setup.trainer, clock)
    except TimeoutError:
        pass
    timed = batches[clock.num_untimed : len(clock.steps)]
    seconds = sum(step["seconds"] for step in clock.timed)
    tokens_per_second = sum(len(tokens) for batch in timed for tokens, _ in batch) / seconds
    flops = sum(trainers.useful_flops(model, batch, settings["micro_batch_tokens"]) for batch in timed)
    mean_tokens = sum(len(tokens) for tokens, _ in rows) / len(rows)
    return {
        "variant": arguments.one,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "timed_steps": len(clock.timed),
        "tokens_per_second": round(tokens_per_second, 1),
        "matrix_tflops": round(rate / 1e12, 3),
        "matrix_tflops_afterwards": round(matrix_rate(torch.device(device), torch.bfloat16) / 1e12, 3),
        "share_of_matrix_rate": round(flops / seconds / rate, 3),
        "hours_for_the_paper": round(PAPER_ROWS_SEEN * mean_tokens / tokens_per_second / 3600, 2),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1) if device == "cuda" else None,
        "checkpointing": bool(model.is_gradient_checkpointing),
        "settings": settings if setup.trainer.trainer == "crosstune" else vars(setup.trainer),
        "losses": [step["loss"] for step in clock.steps],
        "seconds": [round(step["seconds"], 4) for step in clock.steps],
    }


def lacking() -> str:
    """Return the packages without which nothing here runs, empty where all are there."""
    # To look into a package, its outer one is imported, which may lack, too.
    return " ".join(name for name in NEEDED if not (find_spec(name.partition(".")[0]) and find_spec(name)))


def missing(setup: Setup) -> str | None:
    """Return why a variant cannot run here."""
    import torch

    for package in setup.needs:
        if find_spec(package) is None:
            return f"{package} is not installed"
    return "needs a GPU" if setup.needs_gpu and not torch.cuda.is_available() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to see that everything runs")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS)[:NUM_BY_DEFAULT])
    parser.add_argument("--seconds", type=float, default=15, help="of training for each variant, at most")
    parser.add_argument("--limit", type=float, default=500, help="seconds for everything")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--profiles", type=Path, help="a folder for a profile of one step of each variant")
    parser.add_argument("--one", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if find_spec("crosstune") is None:
        parser.error("crosstune itself is not found: run this with PYTHONPATH=src, or pip install -e .")
    if packages := lacking():
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        parser.error(
            f"this needs {packages}: pip install {packages}. Where there is no network, bring them from a machine that "
            f"has one: pip download --only-binary=:all: --python-version {python} --platform manylinux_2_17_x86_64 "
            f"-d wheels {packages}; then here: pip install --no-index --find-links wheels {packages}"
        )
    if arguments.one:
        # Imports take a fifth of a variant's time: all but the first do them while others train.
        import accelerate  # noqa: F401
        import transformers  # noqa: F401

        if sys.stdin.readline():
            print(json.dumps(run_one(arguments)))
        return
    ends = time.monotonic() + arguments.limit
    results: list[dict[str, Any]] = []
    reasons = {name: missing(VARIANTS[name]) for name in arguments.variants}
    processes = {name: start(name, arguments) for name, reason in reasons.items() if not reason}
    for name, reason in reasons.items():
        result = {"variant": name, "left_out": reason} if reason else finish(name, processes[name], arguments, ends)
        results.append(result | compared(result, results))
        print(json.dumps({key: value for key, value in results[-1].items() if key != "losses"}), flush=True)
        if arguments.json:
            write(arguments.json, results)


def start(name: str, arguments: argparse.Namespace) -> subprocess.Popen[str]:
    """Start a variant's process, which waits behind its imports."""
    command = [sys.executable, __file__, f"--one={name}", f"--seconds={arguments.seconds}"]
    command += ["--tiny"] if arguments.tiny else []
    command += [f"--profiles={arguments.profiles}"] if arguments.profiles else []
    # Rows differ in length, so that blocks of memory do, too: growing ones do not break into pieces.
    environment = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", **os.environ}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=environment, **pipes)


def finish(name: str, process: subprocess.Popen[str], arguments: argparse.Namespace, ends: float) -> dict[str, Any]:
    """Let a variant run in its process, and return its result or why there is none."""
    left = ends - time.monotonic()
    if left < arguments.seconds:
        process.kill()
        return {"variant": name, "left_out": "no time was left"}
    # One that hangs must not take the others' time.
    timeout = min(left, arguments.seconds + STARTING_SECONDS)
    try:
        found, errors = process.communicate("go\n", timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return {"variant": name, "left_out": f"was not done after {timeout:.0f} s"}
    if process.returncode:
        return {"variant": name, "left_out": f"failed: {errors[-3000:]}"}
    result: dict[str, Any] = json.loads(found.splitlines()[-1])
    return result


def compared(result: dict[str, Any], earlier: list[dict[str, Any]]) -> dict[str, float]:
    """Return by how much crosstune, in bfloat16 as it is, was faster than another trainer."""
    ours = [one["tokens_per_second"] for one in earlier if one["variant"] in PLAIN and "device" in one]
    if not ours or "device" not in result or result["variant"].startswith("crosstune"):
        return {}
    return {"crosstune_is_faster": round(max(ours) / result["tokens_per_second"], 2)}


def write(path: Path, results: list[dict[str, Any]]) -> None:
    from crosstune.runs.provenance import commit, hardware, versions

    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"results": results, "commit": commit(), "hardware": hardware(), "versions": versions()}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
