"""A step of each optimiser on the weights of a LLaMA, without a model around it: time, and bytes of the moments.

python benchmarks/optimizer.py --json benchmarks/results/optimizer.json
"""

import argparse
import json
import statistics
import time
from pathlib import Path

SHAPES = {
    "tiny": {"vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 128},
    "M": {"vocab_size": 2048, "hidden_size": 512, "num_hidden_layers": 2, "intermediate_size": 1408},
    "7b_layer": {"vocab_size": 46_336, "hidden_size": 4096, "num_hidden_layers": 1, "intermediate_size": 11_008},
}


def run_one(shape: str, optimizer: str, num_steps: int) -> dict[str, float | str | int]:
    """Time an optimiser's step, behind a first one that may compile."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from crosstune.recipe import Phase, Train
    from crosstune.train.methods.optimizer import bytes_of_moments, make_optimizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape], num_attention_heads=SHAPES[shape]["hidden_size"] // 64))
    settings = Train.model_validate_json(json.dumps({"optimizer": optimizer}))
    phase = Phase(mixture="none", method="full", num_steps=1, global_batch_size=1, learning_rate=1e-5)
    stepped = make_optimizer(model, phase, settings)
    seconds = []
    for _ in range(1 + num_steps):
        for weight in model.parameters():
            weight.grad = torch.randn_like(weight) * 1e-4
        begun = time.perf_counter()
        stepped.step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    num_weights = sum(weight.numel() for weight in model.parameters())
    return {
        "shape": shape,
        "optimizer": optimizer,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "num_weights": num_weights,
        "bytes_per_weight": round(bytes_of_moments(model, settings) / num_weights, 2),
        "seconds_of_the_first_step": round(seconds[0], 3),
        "nanoseconds_per_weight": round(1e9 * statistics.median(seconds[1:]) / num_weights, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shape", choices=SHAPES, default="M")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    from crosstune.runs.files import write_json
    from crosstune.runs.provenance import commit, hardware, versions

    found = [run_one(arguments.shape, optimizer, arguments.steps) for optimizer in ("adamw", "adamw_8bit")]
    for one in found:
        print(json.dumps(one))
    if arguments.json:
        content = {"results": found, "commit": commit(), "hardware": hardware(), "versions": versions()}
        write_json(arguments.json, content)


if __name__ == "__main__":
    main()
