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
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BATCH_ROWS = 32
WARMUP_STEPS, TIMED_STEPS = 1, 5
LEARNING_RATE = 1e-4
LARGEST_LOSS_DIFFERENCE = 1e-5
MODELS: dict[str, dict[str, Any]] = {
    # The head is most of the work: flatters whoever skips it.
    "S": {"vocab_size": 46_336, "hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 688, "heads": 4},
    # The head is 2 to 4 %: the mix of work of a 7B model.
    "M": {"vocab_size": 2_048, "hidden_size": 512, "num_hidden_layers": 8, "intermediate_size": 1376, "heads": 8},
    "miniature": {
        "vocab_size": 3_200,
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "intermediate_size": 512,
        "heads": 6,
    },
}


@dataclass(frozen=True)
class Variant:
    """A trainer and its settings; `fast`: with the process settings of `crosstune.models.prepare_libraries`."""

    trainer: str
    attention: str = "eager"
    micro_batches: int = 1
    fast: bool = True
    padding_free: bool = False


# The fastest of every trainer, and Trainer and TRL without our process settings.
COMPARED = {
    "crosstune": Variant("crosstune"),
    "trainer": Variant("trainer", micro_batches=4),
    "trl": Variant("trl", micro_batches=4),
    "trainer_as_is": Variant("trainer", micro_batches=4, fast=False),
    "trl_as_is": Variant("trl", micro_batches=4, fast=False),
}
# What else was tried; see docs/performance.md.
TRIED = {
    "trainer_whole": Variant("trainer"),
    "trainer_sdpa": Variant("trainer", "sdpa", micro_batches=4),
    "trl_whole": Variant("trl"),
    "trl_sdpa": Variant("trl", "sdpa", micro_batches=4),
    "trl_padding_free": Variant("trl", padding_free=True),
    "trl_padding_free_sdpa": Variant("trl", "sdpa", padding_free=True),
}
VARIANTS = COMPARED | TRIED
# On this side a batch is split by tokens: larger tensors leave the core's cache.
MICRO_BATCH_TOKENS = 1024

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


def make_batches(rows: list[Row], seed: int, grouped: bool) -> list[list[Row]]:
    """Return some batches, in random order: of rows of similar length as HF's grouping makes them, or of any rows."""
    if not grouped:
        wanted = (WARMUP_STEPS + TIMED_STEPS) * BATCH_ROWS
        drawn = random.Random(seed).sample(rows, wanted)
        return [drawn[first : first + BATCH_ROWS] for first in range(0, wanted, BATCH_ROWS)]
    ordered = sorted(rows, key=lambda row: len(row[0]))
    batches = [ordered[first : first + BATCH_ROWS] for first in range(0, len(ordered), BATCH_ROWS)]
    random.Random(seed).shuffle(batches)
    # A few batches stand for all: one from each part of the range of lengths.
    wanted = WARMUP_STEPS + TIMED_STEPS
    by_length = sorted(batches, key=lambda batch: len(batch[0][0]))
    chosen = [by_length[(2 * index + 1) * len(by_length) // (2 * wanted)] for index in range(wanted)]
    random.Random(seed).shuffle(chosen)
    return chosen


_MARK = "turn: "


class Turn:
    """A variant's side of the turns: waits for its step, times it, and tells the comparing process."""

    def begin(self) -> None:
        if not sys.stdin.readline():
            sys.exit(1)
        self.started = time.perf_counter(), time.process_time()

    def end(self, loss: float) -> None:
        wall, cpu = time.perf_counter() - self.started[0], time.process_time() - self.started[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.say({"loss": loss, "seconds": wall, "cpu_seconds": cpu, "peak_mb": peak})

    def say(self, what: dict[str, Any]) -> None:
        print(f"\n{_MARK}{json.dumps(what)}", flush=True)


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


def run_crosstune(model: Any, batches: list[list[Row]], turn: Turn, **settings: Any) -> None:
    """Train with crosstune's own step; settings as in the recipe's section train."""
    from accelerate import Accelerator

    from crosstune.flex import use_flex_attention
    from crosstune.recipe import Train
    from crosstune.train.batches import make_schedule
    from crosstune.train.loop import Job, make_optimizer, train_step
    from crosstune.train.methods import make_trainable

    stage = make_stage(len(batches))
    rows = make_segments(batches)
    accelerator = Accelerator(cpu=model.device.type == "cpu")
    trainable = make_trainable(model, stage, None, 0)
    trained, optimizer = accelerator.prepare(trainable.model, make_optimizer(trainable.model, stage))
    schedule = make_schedule(len(rows), stage, (0, 0))
    job = Job("", 0, stage, Train(**settings), 0, rows, schedule, ["paper"], trainable)
    if job.settings.flex_attention:
        use_flex_attention(model)
    trained.train()
    for step in range(len(batches)):
        batch = rows[step * BATCH_ROWS : (step + 1) * BATCH_ROWS]
        turn.begin()
        result = train_step(job, accelerator, trained, optimizer, (step, batch))
        turn.end(sum(result.nats.values()) / sum(row[0].num_supervised for row in batch))


def make_stage(num_steps: int) -> Any:
    from crosstune.recipe import Stage

    return Stage(
        mixture="m",
        method="full",
        num_steps=num_steps,
        global_batch_size=BATCH_ROWS,
        learning_rate=LEARNING_RATE,
        schedule="constant",
        warmup_ratio=0.0,
        adam_betas=(0.9, 0.999),
    )


def make_segments(batches: list[list[Row]]) -> list[Any]:
    from crosstune.train.rows import Segment

    return [(Segment(tuple(tokens), prompt, 1, "paper", ""),) for batch in batches for tokens, prompt in batch]


def useful_flops(model: Any, batch: list[Row]) -> float:
    """Return the operations that a step needs: shared prefixes once, the head where a token is supervised."""
    from crosstune.train.batches import make_schedule
    from crosstune.train.cost import count_tokens, flops

    stage = make_stage(1)
    rows = make_segments([batch])
    schedule = make_schedule(len(rows), stage, (0, 0))
    return flops(model, count_tokens(rows, schedule, 1, MICRO_BATCH_TOKENS), stage)


def matrix_rate() -> float:
    """Return the operations per second of a product shaped as a layer's, at its best of a few."""
    import torch

    left, right = torch.randn(1024, 1376), torch.randn(1376, 512)
    out = torch.empty(1024, 512)
    seconds = []
    for _ in range(15):
        started = time.process_time()
        torch.mm(left, right, out=out)
        seconds.append(time.process_time() - started)
    return 2 * 1024 * 1376 * 512 / min(seconds)


def run_trainer(model: Any, batches: list[list[Row]], variant: Variant, turn: Turn) -> None:
    """Train with HF Trainer, or TRL's SFTTrainer, with the batches as they are."""
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainerCallback, TrainingArguments

    rows = [row for batch in batches for row in batch]

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            turn.begin()

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            if "loss" in logs:
                turn.end(logs["loss"])

    common = {
        "output_dir": tempfile.mkdtemp(),
        "per_device_train_batch_size": BATCH_ROWS // variant.micro_batches,
        "gradient_accumulation_steps": variant.micro_batches,
        "max_steps": len(batches),
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "optim": "adamw_torch_fused",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": model.device.type == "cpu",
        "disable_tqdm": True,
        "bf16": model.device.type == "cuda",
        "dataloader_pin_memory": False,
        "gradient_checkpointing": model.is_gradient_checkpointing,
        "logging_nan_inf_filter": False,
    }
    if variant.trainer == "trl":
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
            model,
            SFTConfig(**common, max_length=None, completion_only_loss=True, padding_free=variant.padding_free),
            train_dataset=dataset,
            processing_class=_tokenizer(),
            callbacks=[Clock()],
        )
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


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<unk>": 0, "<s>": 1, "</s>": 2}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), eos_token="</s>", pad_token="<unk>"
    )


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
        turn.say({"flops": [useful_flops(model, batch) for batch in batches], "matrix_rate": matrix_rate()})
        run_crosstune(model, batches, turn, micro_batch_tokens=MICRO_BATCH_TOKENS)
    else:
        turn.say({})
        run_trainer(model, batches, variant, turn)


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
        steps: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        for step in range(WARMUP_STEPS + TIMED_STEPS):
            for name, worker in workers.items():
                assert worker.stdin
                worker.stdin.write("step\n")
                worker.stdin.flush()
                steps[name].append(hear(name, worker))
                print(f"step {step + 1} {name:22} {steps[name][-1]['cpu_seconds']:6.2f} s", file=sys.stderr)
    return summary(arguments, said["crosstune"], steps)


def hear(name: str, worker: subprocess.Popen[str]) -> Any:
    assert worker.stdout
    for line in worker.stdout:
        if line.startswith(_MARK):
            return json.loads(line.removeprefix(_MARK))
    sys.exit(f"{name} ended before its turn: run it with --verbose --variants crosstune {name}")


def summary(
    arguments: argparse.Namespace, said: dict[str, Any], steps: dict[str, list[dict[str, float]]]
) -> dict[str, Any]:
    tokens = [sum(len(tokens) for tokens, _ in batch) for batch in batches_of(arguments)][WARMUP_STEPS:]
    flops = said["flops"][WARMUP_STEPS:]
    reference = steps["crosstune"]
    results = []
    for name, found in steps.items():
        differences = [abs(a["loss"] - b["loss"]) / b["loss"] for a, b in zip(found, reference, strict=True)]
        if max(differences) > LARGEST_LOSS_DIFFERENCE:
            sys.exit(f"{name} does not learn the same: its losses differ from crosstune's by {max(differences):.1e}")
        timed, ours = found[WARMUP_STEPS:], reference[WARMUP_STEPS:]
        cpu = sum(step["cpu_seconds"] for step in timed)
        results.append(
            {
                "variant": name,
                "settings": asdict(VARIANTS[name]),
                "tokens_per_cpu_second": round(sum(tokens) / cpu, 1),
                "tokens_per_second": round(sum(tokens) / sum(step["seconds"] for step in timed), 1),
                # Of the steps on the same batch, which stand next to each other in time.
                "crosstune_is_faster": round(
                    statistics.median(a["cpu_seconds"] / b["cpu_seconds"] for a, b in zip(timed, ours, strict=True)), 2
                ),
                "share_of_matrix_rate": round(sum(flops) / cpu / said["matrix_rate"], 3),
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
        "matrix_gflops": round(said["matrix_rate"] / 1e9, 1),
        "results": results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=MODELS, default="M")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(COMPARED))
    parser.add_argument("--rows", choices=("grouped", "random"), default="grouped", help="which rows share a batch")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verbose", action="store_true", help="show what the trainers print")
    parser.add_argument("--one", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run_one(arguments)
        return
    if "crosstune" not in arguments.variants:
        parser.error("crosstune must be among the variants: its losses are the reference")
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
