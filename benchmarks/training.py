"""Training side by side: tokens/s of crosstune's step, HF Trainer and TRL on the same rows, batches and optimiser.

    python benchmarks/training.py --model M --json benchmarks/results/training_m.json

Every variant runs in a process of its own, the variants in turn, so that none profits from another's caches or suffers
from its heat. All get the same rows in the same batches, sorted so that rows of similar length stand together (which
the padding trainers need and ours does not), and must report the same losses.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH_ROWS = 32
WARMUP_STEPS, TIMED_STEPS = 2, 6
LEARNING_RATE = 1e-4
MODELS: dict[str, dict[str, Any]] = {
    # The head is most of the work: flatters whoever skips it.
    "S": {"vocab_size": 46_336, "hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 688, "heads": 4},
    # The head is 2 to 4 %: the mix of work of a 7B model.
    "M": {"vocab_size": 2_048, "hidden_size": 512, "num_hidden_layers": 8, "intermediate_size": 1376, "heads": 8},
}
VARIANTS = ("crosstune", "trainer", "trainer_eager", "trl", "trl_eager")
KERNELS = ("onednn", "default")

Row = tuple[list[int], int]
"""Tokens, and how many of them are the prompt."""


def make_rows(vocab_size: int, number: int, seed: int) -> list[Row]:
    """Draw rows with the lengths of the paper's mixture: two thirds translations under one instruction of 13 tokens."""
    generator = random.Random(seed)
    instruction = [generator.randrange(3, vocab_size) for _ in range(13)]

    def tokens(length: float) -> list[int]:
        return [generator.randrange(3, vocab_size) for _ in range(max(2, round(length)))]

    rows: list[Row] = []
    for _ in range(number):
        if generator.random() < 0.66:
            source = tokens(generator.lognormvariate(3.0, 0.45))
            prompt = [1, *instruction, *source, *tokens(4)]
            completion = tokens(1.15 * len(source))
        else:
            prompt = [1, *tokens(generator.lognormvariate(3.2, 0.5)), *tokens(4)]
            completion = tokens(min(400, generator.lognormvariate(4.0, 0.9)))
        rows.append(([*prompt, *completion, 2], len(prompt)))
    return rows


def make_batches(rows: list[Row], seed: int) -> list[list[Row]]:
    """Return batches of rows of similar length, in random order, as HF's grouping by length makes them."""
    ordered = sorted(rows, key=lambda row: len(row[0]))
    batches = [ordered[first : first + BATCH_ROWS] for first in range(0, len(ordered), BATCH_ROWS)]
    random.Random(seed).shuffle(batches)
    # A few batches stand for all: one from each part of the range of lengths.
    wanted = WARMUP_STEPS + TIMED_STEPS
    by_length = sorted(batches, key=lambda batch: len(batch[0][0]))
    chosen = [by_length[(2 * index + 1) * len(by_length) // (2 * wanted)] for index in range(wanted)]
    random.Random(seed).shuffle(chosen)
    return chosen


def build_model(shape: dict[str, Any], attention: str) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        **{key: value for key, value in shape.items() if key != "heads"},
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"],
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config)


def run_crosstune(model: Any, batches: list[list[Row]]) -> Iterator[tuple[float, float]]:
    """Yield loss and seconds of each step of crosstune's own loop."""
    from accelerate import Accelerator

    from crosstune.recipe import Stage, Train
    from crosstune.train.batches import make_schedule
    from crosstune.train.loop import Job, make_optimizer, train_step
    from crosstune.train.methods import make_trainable
    from crosstune.train.rows import Segment

    stage = Stage(
        mixture="m",
        method="full",
        num_steps=len(batches),
        global_batch_size=BATCH_ROWS,
        learning_rate=LEARNING_RATE,
        schedule="constant",
        warmup_ratio=0.0,
        adam_betas=(0.9, 0.999),
    )
    rows = [(Segment(tuple(tokens), prompt, 1, "paper", ""),) for batch in batches for tokens, prompt in batch]
    accelerator = Accelerator(cpu=True)
    trainable = make_trainable(model, stage, None, 0)
    trained, optimizer = accelerator.prepare(trainable.model, make_optimizer(trainable.model, stage))
    schedule = make_schedule(len(rows), stage, (0, 0))
    job = Job("", 0, stage, Train(), 0, rows, schedule, ["paper"], trainable)
    trained.train()
    for step in range(len(batches)):
        batch = rows[step * BATCH_ROWS : (step + 1) * BATCH_ROWS]
        started = time.perf_counter()
        result = train_step(job, accelerator, trained, optimizer, (step, batch))
        seconds = time.perf_counter() - started
        yield sum(result.nats.values()) / sum(row[0].num_supervised for row in batch), seconds


def run_trainer(model: Any, batches: list[list[Row]], use_trl: bool) -> Iterator[tuple[float, float]]:
    """Yield loss and seconds of each step of HF Trainer, or of TRL's SFTTrainer, with the batches as they are."""
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainerCallback, TrainingArguments

    rows = [row for batch in batches for row in batch]
    stamps: list[tuple[float, float]] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            stamps.append((time.perf_counter(), 0.0))

        def on_step_end(self, *_: Any, **__: Any) -> None:
            stamps[-1] = (stamps[-1][0], time.perf_counter())

    common = {
        "output_dir": "/tmp/benchmark_trainer",
        "per_device_train_batch_size": BATCH_ROWS,
        "max_steps": len(batches),
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "optim": "adamw_torch_fused",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "bf16": False,
        "dataloader_pin_memory": False,
        "gradient_checkpointing": False,
    }
    if use_trl:
        from trl import SFTConfig, SFTTrainer

        class Ours(SFTTrainer):  # type: ignore[misc]
            def _get_train_sampler(self, *_: Any) -> Any:
                return SequentialSampler(self.train_dataset)

        dataset = Dataset.from_list(
            [
                {"input_ids": tokens, "completion_mask": [0] * prompt + [1] * (len(tokens) - prompt)}
                for tokens, prompt in rows
            ]
        )
        trainer: Any = Ours(
            model, SFTConfig(**common, max_length=None, completion_only_loss=True), train_dataset=dataset,
            processing_class=_tokenizer(), callbacks=[Clock()],
        )  # fmt: skip
    else:

        class Sequential(Trainer):
            def _get_train_sampler(self, *_: Any) -> Any:
                return SequentialSampler(self.train_dataset)

        def collate(examples: list[dict[str, Any]]) -> dict[str, Any]:
            longest = max(len(example["input_ids"]) for example in examples)
            ids = torch.zeros(len(examples), longest, dtype=torch.long)
            labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
            for index, example in enumerate(examples):
                tokens, prompt = example["input_ids"], example["prompt"]
                ids[index, : len(tokens)] = torch.tensor(tokens)
                labels[index, prompt : len(tokens)] = torch.tensor(tokens[prompt:])
                mask[index, : len(tokens)] = 1
            return {"input_ids": ids, "labels": labels, "attention_mask": mask}

        dataset = [{"input_ids": tokens, "prompt": prompt} for tokens, prompt in rows]
        trainer = Sequential(
            model,
            TrainingArguments(**common, remove_unused_columns=False),
            train_dataset=dataset,  # type: ignore[arg-type]
            data_collator=collate,
            callbacks=[Clock()],
        )
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    for loss, (begin, end) in zip(losses, stamps, strict=True):
        yield loss, end - begin


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<unk>": 0, "<s>": 1, "</s>": 2}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), eos_token="</s>", pad_token="<unk>"
    )


def run_one(variant: str, model_name: str, kernels: str, num_rows: int) -> dict[str, Any]:
    """Run one variant in this process."""
    import resource

    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.set_float32_matmul_precision("medium" if kernels == "onednn" else "highest")
    shape = MODELS[model_name]
    batches = make_batches(make_rows(shape["vocab_size"], num_rows, seed=1), seed=2)
    model = build_model(shape, "eager" if variant.endswith("_eager") else "sdpa")
    if variant == "crosstune":
        steps = list(run_crosstune(model, batches))
    else:
        steps = list(run_trainer(model, batches, use_trl=variant.startswith("trl")))
    real = [sum(len(tokens) for tokens, _ in batch) for batch in batches]
    return {
        "tokens_per_second": sum(real[WARMUP_STEPS:]) / sum(seconds for _, seconds in steps[WARMUP_STEPS:]),
        "losses": [loss for loss, _ in steps],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all variants in turn, several times, and check that they learn the same."""
    found: dict[str, list[dict[str, Any]]] = {}
    cases = [(variant, "onednn") for variant in arguments.variants]
    cases += [(variant, "default") for variant in arguments.variants if variant != "crosstune"]
    for repeat in range(arguments.repeats):
        for variant, kernels in cases:
            command = [sys.executable, __file__, "--one", variant, "--kernels", kernels, "--model", arguments.model]
            command += ["--rows", str(arguments.rows)]
            environment = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "2000", **os.environ}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            if done.returncode != 0:
                sys.exit(f"{variant} failed:\n{done.stderr[-3000:]}")
            result = json.loads(done.stdout.splitlines()[-1])
            found.setdefault(f"{variant} {kernels}", []).append(result)
            print(f"{repeat + 1} {variant:14} {kernels:8} {result['tokens_per_second']:8.0f} tok/s", file=sys.stderr)
    reference = found["crosstune onednn"][0]["losses"]
    rows = []
    for name, results in found.items():
        difference = max(abs(a - b) / abs(b) for a, b in zip(results[0]["losses"], reference, strict=True))
        rows.append(
            {
                "variant": name.split()[0],
                "kernels": name.split()[1],
                "tokens_per_second": round(statistics.median(result["tokens_per_second"] for result in results), 1),
                "runs": [round(result["tokens_per_second"], 1) for result in results],
                "peak_mb": round(statistics.median(result["peak_mb"] for result in results)),
                "largest_loss_difference": difference,
            }
        )
    return {"model": arguments.model, "batch_rows": BATCH_ROWS, "steps": TIMED_STEPS, "results": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=MODELS, default="M")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=4096, help="rows that the batches are drawn from")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--kernels", choices=KERNELS, default="onednn", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_one(arguments.one, arguments.model, arguments.kernels, arguments.rows)))
        return
    from crosstune.artifacts import commit, hardware, versions

    result = {**compare(arguments), "commit": commit(), "hardware": hardware(), "versions": versions()}
    ours = next(row for row in result["results"] if row["variant"] == "crosstune")
    for row in result["results"]:
        ratio = ours["tokens_per_second"] / row["tokens_per_second"]
        print(
            f"{row['variant']:14} {row['kernels']:8} {row['tokens_per_second']:8.0f} tok/s {row['peak_mb']:6} MB  "
            f"ours {ratio:.2f} x  losses differ by at most {row['largest_loss_difference']:.0e}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
