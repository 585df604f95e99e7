"""All benchmarks that two cores do, one after the other: one table of ratios, and their tables in docs/performance.md.

    python benchmarks/all_benchmarks.py [--data DIR] [--only training]

DIR holds the open corpora and LLaMA-2's tokenizer; without it the learning of pieces is left out. Nothing else should
run on the machine. Each benchmark is a process of its own and writes its JSON to benchmarks/results.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import performance_tables
import torch
from training_variants import MODELS

RESULTS = Path(__file__).parent / "results"


def commands(data: Path | None) -> dict[str, list[str]]:
    """Return the benchmarks and their arguments, by the name of the file that they write, without its ending."""
    found = {}
    for model in MODELS:
        # The peers as they come are measured where it matters most: the head is large there.
        fewer = [] if model == "S" else ["--variants", "trainer", "trl"]
        found[f"training_{model.lower()}"] = ["training.py", "--model", model, *fewer]
    if torch.cpu._is_avx512_bf16_supported():
        # Where a model of real size is trained in bfloat16; the others by hand, for their time.
        found["training_smollm2_bf16"] = [
            *("training.py", "--model", "SmolLM2", "--precision", "bf16"),
            *("--variants", "crosstune", "trainer_bf16", "trl_bf16"),
        ]
    found["multiple_choice_28m"] = ["multiple_choice.py", "--shape", "28M", "--rounds", "5"]
    sizes = ("--prompts", "48", "--batch-sizes", "32,48")
    found["generation_28m"] = ["generation.py", "--shape", "28M", "--rounds", "5", *sizes]
    found["data_stage"] = ["data_stage.py"]
    found["input_pipeline"] = ["input_pipeline.py", "--rows", "50000", "1000000"]
    if data is not None:
        found["tokenizer"] = ["tokenizer.py", str(data)]
    return found | {f"profile_{model.lower()}": ["training_profile.py", "--model", model] for model in MODELS}


def run(name: str, arguments: list[str]) -> None:
    """Run one; what it prints is shown where it fails."""
    started = time.monotonic()
    print(f"{name:24}", end="", file=sys.stderr, flush=True)
    script, *rest = arguments
    command = [sys.executable, str(Path(__file__).parent / script), *rest, "--json", str(RESULTS / f"{name}.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} if "training" in script else dict(os.environ)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    print(f"{time.monotonic() - started:5.0f} s", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, help="open corpora and tokenizer, for the learning of pieces")
    parser.add_argument("--only", default="", help="only the benchmarks whose names begin so")
    arguments = parser.parse_args()
    for name, command in commands(arguments.data).items():
        if name.startswith(arguments.only):
            run(name, command)
    performance_tables.write_pages()
    print("\n".join(performance_tables.in_columns()))


if __name__ == "__main__":
    main()
