"""Full fine-tuning of LLaMA-2-7B's shape on one GPU: crosstune beside TRL or HF Trainer, in one call under 9 minutes.

    python benchmarks/gpu_train.py --json benchmarks/results/gpu_train.json
    python benchmarks/gpu_train.py --tiny

Weights are random and, with the optimiser's moments, bfloat16 on all sides, so that 7B fit on 80 GB: this measures
speed, it is no way to train. Each variant is a process of its own, one after another. ``--tiny`` runs the same code
with a tiny model, without a GPU too. TRL and torchao's fp8 take part where they are installed.
"""

import argparse
import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import trainers

WARMUP_STEPS = 2
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
VARIANTS = ("crosstune", "crosstune_flex", "crosstune_fp8", "trainer", "trl", "trl_padding_free")


class Clock:
    """Times steps as `trainers.Turn` does, without waiting for turns; a step ends when the device is done."""

    def __init__(self, limit_seconds: float) -> None:
        self.limit = time.perf_counter() + limit_seconds
        self.steps: list[dict[str, float]] = []

    def begin(self) -> None:
        self.started = time.perf_counter()

    def end(self, loss: float) -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.steps.append({"loss": loss, "seconds": now - self.started})
        if now > self.limit and len(self.steps) > WARMUP_STEPS:
            raise TimeoutError


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

    device = "cuda" if torch.cuda.is_available() else "cpu"
    name, shape = arguments.one, SHAPES["tiny" if arguments.tiny else "7b"]
    rows = trainers.make_rows(shape["vocab_size"], 4096, seed=1)
    batches = trainers.make_batches(rows, seed=2, grouped=True)
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
        from torchao.float8 import convert_to_float8_training

        convert_to_float8_training(model, module_filter_fn=lambda _, where: "lm_head" not in where)
    clock = Clock(arguments.seconds)
    try:
        if name.startswith("crosstune"):
            flex = {"flex_attention": name == "crosstune_flex"}
            trainers.run_crosstune(model, batches, clock, micro_batch_tokens=4096, **flex)
        else:
            trainer, _, padding_free = name.partition("_")
            variant = trainers.Variant(trainer, "sdpa", padding_free=bool(padding_free))
            trainers.run_trainer(model, batches, variant, clock)
    except TimeoutError:
        pass
    timed = clock.steps[WARMUP_STEPS:]
    seconds = sum(step["seconds"] for step in timed)
    real = [sum(len(tokens) for tokens, _ in batch) for batch in batches][WARMUP_STEPS : len(clock.steps)]
    mean_tokens = sum(len(tokens) for tokens, _ in rows) / len(rows)
    rate = matrix_rate(device, 256 if arguments.tiny else 8192)
    return {
        "variant": name,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "timed_steps": len(timed),
        "tokens_per_second": round(sum(real) / seconds, 1),
        "matrix_tflops": round(rate / 1e12, 3),
        "share_of_matrix_rate": round(sum(flops[WARMUP_STEPS : len(clock.steps)]) / seconds / rate, 3),
        "hours_for_the_paper": round(PAPER_ROWS_SEEN * mean_tokens / (sum(real) / seconds) / 3600, 2),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1) if device == "cuda" else None,
        "losses": [step["loss"] for step in clock.steps],
    }


def missing(variant: str) -> str | None:
    """Return why a variant cannot run here."""
    import torch

    needed = {"trl": "trl", "trl_padding_free": "trl", "crosstune_fp8": "torchao", "trainer": "datasets"}.get(variant)
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
    if arguments.one:
        print(json.dumps(run_one(arguments)))
        return
    ends = time.monotonic() + arguments.limit
    own = ["--tiny"] if arguments.tiny else []
    results = []
    for name in arguments.variants:
        result: dict[str, Any] = {"variant": name, "left_out": missing(name)}
        if result["left_out"] is None:
            command = [sys.executable, __file__, f"--one={name}", f"--seconds={arguments.seconds}", *own]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=max(1.0, ends - time.monotonic())
                )
                if done.returncode == 0:
                    result = json.loads(done.stdout.splitlines()[-1])
                else:
                    result["left_out"] = f"failed: {done.stderr[-800:]}"
            except subprocess.TimeoutExpired:
                result["left_out"] = "no time was left"
        results.append(result)
        print(json.dumps({key: value for key, value in result.items() if key != "losses"}), flush=True)
    if arguments.json:
        from crosstune.artifacts import commit, hardware, versions

        arguments.json.parent.mkdir(exist_ok=True)
        content = {"results": results, "commit": commit(), "hardware": hardware(), "versions": versions()}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
