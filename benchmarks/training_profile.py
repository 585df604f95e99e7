"""Where the time of crosstune's training step goes, by torch's profiler: operators, their share, and what they do.

python benchmarks/training_profile.py --model M --json benchmarks/results/profile_m.json
"""

import argparse
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import trainers
import training_rows
import training_variants

KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::addmm_"),
    "attention": ("aten::bmm", "aten::_softmax", "aten::_softmax_backward_data"),
    "activation": ("aten::silu", "aten::silu_backward"),
    "products and sums by element": (
        "aten::mul",
        "aten::mul_",
        "aten::add",
        "aten::add_",
        "aten::sum",
        "aten::neg",
        "aten::pow",
    ),
    "copies": (
        "aten::copy_",
        "aten::cat",
        "aten::index_select",
        "aten::fill_",
        "aten::scatter_add_",
        "aten::index_copy_",
    ),
    "optimiser": ("aten::_fused_adamw_", "aten::linalg_vector_norm"),
}


class Profiled:
    """Takes the place of `trainers.Turn`: warms up, then records every step."""

    def __init__(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        self.step = 0
        self.profiler = profile(activities=[ProfilerActivity.CPU], record_shapes=True)

    def begin(self) -> None:
        if self.step == training_rows.WARMUP_STEPS:
            self.profiler.start()
        self.step += 1

    def end(self, loss: float) -> None:
        if self.step == training_rows.WARMUP_STEPS + training_rows.TIMED_STEPS:
            self.profiler.stop()


def time_by_kind(events: Any, vocab_size: int) -> list[tuple[str, float]]:
    """Return the share of the step's own time of each kind of operator, largest first.

    Cross-entropy is what works on [rows, pieces], matrix products apart. Events: averages by operator and shapes.
    """
    kind_of = {name: kind for kind, names in KINDS.items() for name in names}
    microseconds: Counter[str] = Counter()
    for event in events:
        kind = kind_of.get(event.key, "everything else")
        shape = event.input_shapes[0] if event.input_shapes else []
        if kind != "matrix products" and len(shape) == 2 and shape[1] == vocab_size:
            kind = "cross-entropy"
        microseconds[kind] += event.self_cpu_time_total
    return [(kind, spent / microseconds.total()) for kind, spent in microseconds.most_common()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=training_variants.MODELS, default="M")
    parser.add_argument("--micro-batch-tokens", type=int, default=training_variants.MICRO_BATCH_TOKENS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    import torch

    from crosstune.models.process import prepare_libraries
    from crosstune.runs.provenance import commit, hardware, versions

    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    prepare_libraries()
    shape = training_variants.MODELS[arguments.model]
    rows = training_rows.make_rows(shape["vocab_size"], 4096, seed=1)
    batches = training_rows.make_batches(rows, 2, True, training_variants.batch_rows_of(arguments.model))
    turn = Profiled()
    settings = {"micro_batch_tokens": arguments.micro_batch_tokens}
    trainers.run_crosstune(trainers.build_model(shape, "eager"), batches, turn, **settings)
    shares = time_by_kind(turn.profiler.key_averages(group_by_input_shape=True), shape["vocab_size"])
    for kind, share in shares:
        print(f"{kind:30} {share:6.1%}")
    if arguments.json:
        arguments.json.parent.mkdir(exist_ok=True)
        content = {"model": arguments.model, **settings, "shares": dict(shares), "commit": commit()}
        content |= {"hardware": hardware(), "versions": versions()}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
