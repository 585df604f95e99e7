"""What the self-test of packed rows costs: CPU seconds of each use, on a model's own weights or on random ones.

    OMP_NUM_THREADS=1 python benchmarks/self_test.py SmolLM2-135M-Instruct.Q4_1.gguf
    OMP_NUM_THREADS=1 python benchmarks/self_test.py --layers 2 --dtype bfloat16      # of LLaMA-2-7B's shape

Scoring goes first and generation next, as in an evaluation: both are held to one pass of plain transformers. Training
is tested on its own, as when a training starts. Beside the seconds: how far the process's memory grew above what it
held before (Linux).
"""

import argparse
import re
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from crosstune.models.load import load_model
from crosstune.models.paths import Use, path_of
from crosstune.models.process import prepare_libraries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a folder or a GGUF file")
    parser.add_argument("--layers", type=int, help="instead of a model: so many layers of LLaMA-2-7B's shape")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    asked = parser.parse_args()
    prepare_libraries()
    for uses in (("scoring", "generation"), ("training",)):
        model = _model(asked.model, asked.layers).to(getattr(torch, asked.dtype))
        for use in uses:
            _measure(model, use)


def _model(path: str | None, num_layers: int | None) -> PreTrainedModel:
    if path is not None:
        return load_model(path)
    config = LlamaConfig(hidden_size=4096, intermediate_size=11_008, num_hidden_layers=num_layers)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model.eval()


def _measure(model: PreTrainedModel, use: Use) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # The highest memory is that of now.
    before = _highest_memory()
    cpu, clock = time.process_time(), time.perf_counter()
    path = path_of(model, use)
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    grown = _highest_memory() - before
    print(f"{use}: {path.way}, {cpu:.2f} CPU s, {clock:.2f} s by the clock, {grown / 2**20:.2f} GiB more", flush=True)


def _highest_memory() -> int:
    """Return the most memory that the process held, in KiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main()
