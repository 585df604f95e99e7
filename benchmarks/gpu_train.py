"""Full fine-tuning of LLaMA-2-7B's shape on one GPU: crosstune beside TRL or HF Trainer, in one call under 9 minutes.

    python benchmarks/gpu_train.py --json benchmarks/results/gpu_train.json
    python benchmarks/gpu_train.py --tiny

Weights are random and, with gradients and the optimiser's moments, bfloat16 on all sides: 8 bytes for each of 6.9
billion weights, 55 GB, so that they fit on 80 GB. This measures speed, it is no way to train. Each variant is a process
of its own, one after another; what one has found is written before the next begins, and one that fails says why.
``--tiny`` runs the same code with a tiny model, without a GPU too. TRL and torchao's fp8 take part where they are
installed; of crosstune's own dependencies it needs those of ``NEEDED`` only.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import trainers
import training_rows

# The same few batches over and over; the first time is not counted: it allocates, compiles and chooses kernels.
PASSES = 50
# For imports, building the model and compiling, beside the training itself.
STARTING_SECONDS = 120
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
VARIANTS = ("crosstune", "crosstune_flex", "crosstune_fp8", "trainer", "trl", "trl_padding_free")


class Clock:
    """Times steps as `trainers.Turn` does, without waiting for turns; a step ends when the device is done.

    Raises:
        TimeoutError: out of the training, after so many seconds and at least one step behind the warm-up.
    """

    def __init__(self, num_warmup_steps: int, limit_seconds: float) -> None:
        self.num_warmup_steps, self.limit_seconds = num_warmup_steps, limit_seconds
        self.steps: list[dict[str, float]] = []

    def begin(self) -> None:
        self.started = time.perf_counter()

    def end(self, loss: float) -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.steps.append({"loss": loss, "seconds": now - self.started})
        if sum(step["seconds"] for step in self.timed) > self.limit_seconds:
            raise TimeoutError

    @property
    def timed(self) -> list[dict[str, float]]:
        return self.steps[self.num_warmup_steps :]


def matrix_rate(device: str, size: int) -> float:
    """Return the bfloat16 operations per second of a large product, at its best of a few."""
    import torch

    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)


def run_one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one variant in this process."""
    import torch

    from crosstune.models import prepare_libraries

    device = "cuda" if torch.cuda.is_available() else "cpu"
    name, shape = arguments.one, SHAPES["tiny" if arguments.tiny else "7b"]
    rows = training_rows.make_rows(shape["vocab_size"], 4096, seed=1)
    batches = training_rows.make_batches(rows, seed=2, grouped=True)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = trainers.build_model(shape, "sdpa")
    torch.set_default_dtype(torch.float32)
    model.to(torch.bfloat16)
    flops = [trainers.useful_flops(model, batch) for batch in batches]
    # A step is too large for the memory beside 7B in one piece: checkpointing on all sides.
    if not arguments.tiny:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if name == "crosstune_fp8":
        from torchao.float8 import Float8LinearConfig, convert_to_float8_training

        # Padded: packed rows have any length, fp8 products multiples of 16.
        config = Float8LinearConfig(pad_inner_dim=True)
        convert_to_float8_training(model, config=config, module_filter_fn=lambda _, where: "lm_head" not in where)
    clock = Clock(len(batches), arguments.seconds)
    batches, flops = batches * PASSES, flops * PASSES
    try:
        if name.startswith("crosstune"):
            prepare_libraries()
            flex = {"flex_attention": name == "crosstune_flex"}
            trainers.run_crosstune(model, batches, clock, micro_batch_tokens=4096, **flex)
        else:
            trainer, _, padding_free = name.partition("_")
            variant = trainers.Variant(trainer, "sdpa", padding_free=bool(padding_free))
            trainers.run_trainer(model, batches, variant, clock)
    except TimeoutError:
        pass
    steps = slice(clock.num_warmup_steps, len(clock.steps))
    seconds = sum(step["seconds"] for step in clock.timed)
    tokens_per_second = sum(len(tokens) for batch in batches[steps] for tokens, _ in batch) / seconds
    mean_tokens = sum(len(tokens) for tokens, _ in rows) / len(rows)
    rate = matrix_rate(device, 256 if arguments.tiny else 8192)
    return {
        "variant": name,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "timed_steps": len(clock.timed),
        "tokens_per_second": round(tokens_per_second, 1),
        "matrix_tflops": round(rate / 1e12, 3),
        "share_of_matrix_rate": round(sum(flops[steps]) / seconds / rate, 3),
        "hours_for_the_paper": round(PAPER_ROWS_SEEN * mean_tokens / tokens_per_second / 3600, 2),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1) if device == "cuda" else None,
        "losses": [step["loss"] for step in clock.steps],
    }


def lacking() -> str:
    """Return the packages without which nothing here runs, empty where all are there."""
    # To look into a package, its outer one is imported, which may lack, too.
    return " ".join(name for name in NEEDED if not (find_spec(name.partition(".")[0]) and find_spec(name)))


def missing(variant: str) -> str | None:
    """Return why a variant cannot run here."""
    import torch

    needed = {"trl": "trl", "trl_padding_free": "trl", "crosstune_fp8": "torchao"}.get(variant)
    if needed and find_spec(needed) is None:
        return f"{needed} is not installed"
    if variant in ("crosstune_flex", "crosstune_fp8") and not torch.cuda.is_available():
        return "needs a GPU"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to see that everything runs")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seconds", type=float, default=30, help="of training for each variant, at most")
    parser.add_argument("--limit", type=float, default=500, help="seconds for everything")
    parser.add_argument("--json", type=Path)
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
        print(json.dumps(run_one(arguments)))
        return
    ends = time.monotonic() + arguments.limit
    results: list[dict[str, Any]] = []
    for name in arguments.variants:
        reason = missing(name)
        result = {"variant": name, "left_out": reason} if reason else run_apart(name, arguments, ends)
        results.append(result | compared(result, results))
        print(json.dumps({key: value for key, value in results[-1].items() if key != "losses"}), flush=True)
        if arguments.json:
            write(arguments.json, results)


def run_apart(name: str, arguments: argparse.Namespace, ends: float) -> dict[str, Any]:
    """Run a variant in a process of its own, and return its result or why there is none."""
    command = [sys.executable, __file__, f"--one={name}", f"--seconds={arguments.seconds}"]
    command += ["--tiny"] if arguments.tiny else []
    # Rows differ in length, so that blocks of memory do, too: growing ones do not break into pieces.
    environment = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", **os.environ}
    # One that hangs must not take the others' time.
    timeout = max(1.0, min(ends - time.monotonic(), arguments.seconds + STARTING_SECONDS))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, env=environment)
    except subprocess.TimeoutExpired:
        return {"variant": name, "left_out": f"was not done after {timeout:.0f} s"}
    if done.returncode:
        return {"variant": name, "left_out": f"failed: {done.stderr[-800:]}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compared(result: dict[str, Any], earlier: list[dict[str, Any]]) -> dict[str, float]:
    """Return by how much the fastest variant of crosstune before it is faster than another trainer."""
    ours = [one["tokens_per_second"] for one in earlier if one["variant"].startswith("crosstune") and "device" in one]
    if not ours or "device" not in result or result["variant"].startswith("crosstune"):
        return {}
    return {"crosstune_is_faster": round(max(ours) / result["tokens_per_second"], 2)}


def write(path: Path, results: list[dict[str, Any]]) -> None:
    from crosstune.artifacts import commit, hardware, versions

    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"results": results, "commit": commit(), "hardware": hardware(), "versions": versions()}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
