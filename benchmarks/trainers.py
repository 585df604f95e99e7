"""How the training benchmarks run each trainer: its model, rows and batches, and the turns that it takes."""

import json
import resource
import sys
import tempfile
import time
from typing import Any

from training_rows import Row
from training_variants import MICRO_BATCH_TOKENS, Variant

LEARNING_RATE = 1e-4
MARK = "turn: "


class Turn:
    """A variant's side of the turns: waits for its step, times it, and tells the comparing process.

    It says when it waits: what a trainer does after a step, and when it ends, must not run during another's step.
    """

    def begin(self) -> None:
        if not self.wait():
            sys.exit(1)
        self.started = time.perf_counter(), time.process_time()

    def end(self, loss: float) -> None:
        wall, cpu = time.perf_counter() - self.started[0], time.process_time() - self.started[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.say({"loss": loss, "seconds": wall, "cpu_seconds": cpu, "peak_mb": peak})

    def wait(self) -> str:
        self.say({"waits": True})
        return sys.stdin.readline()

    def say(self, what: dict[str, Any]) -> None:
        print(f"\n{MARK}{json.dumps(what)}", flush=True)


VARLEN = "varlen"


def build_model(shape: dict[str, Any], attention: str) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if attention == VARLEN:
        register_varlen_attention()
    torch.manual_seed(0)
    config = LlamaConfig(
        **{"num_key_value_heads": shape["heads"], **{key: value for key, value in shape.items() if key != "heads"}},
        num_attention_heads=shape["heads"],
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config)


def register_varlen_attention() -> None:
    """Let models attend by torch's own copy of FlashAttention-2, which a padding-free trainer hands its borders to.

    It stands for the package flash-attn, which has to be compiled: the same kernel without it.
    """
    from torch.nn.attention.varlen import varlen_attn
    from transformers import AttentionInterface

    def attend(_module: Any, query: Any, key: Any, value: Any, _mask: Any, scaling: float, **given: Any) -> Any:
        states = (each[0].transpose(0, 1) for each in (query, key, value))
        borders, longest = given["cu_seq_lens_q"], given["max_length_q"]
        output = varlen_attn(*states, borders, borders, longest, longest, scale=scaling, window_size=(-1, 0))
        return output[None], None

    AttentionInterface.register(VARLEN, attend)


def run_crosstune(model: Any, batches: list[list[Row]], turn: Turn, **settings: Any) -> None:
    """Train with crosstune's own step; settings as in the recipe's section train."""
    import numpy as np
    from accelerate import Accelerator

    from crosstune.models.kernels.inplace_gradients import choose_kernels, fast_paths, prove_training
    from crosstune.models.paths import way_of
    from crosstune.recipe import Train
    from crosstune.train.batches import Share, make_batch, make_schedule
    from crosstune.train.loop import Job, train_step
    from crosstune.train.methods.optimizer import make_optimizer
    from crosstune.train.methods.trainable import make_trainable
    from crosstune.train.speed import Speed

    batch_rows = len(batches[0])
    phase = make_phase(len(batches), batch_rows)
    rows = make_segments(batches)
    train = Train(**settings)
    # Autocast where weights are kept in float32 and multiplied in fewer bits.
    mixed = train.precision != "float32" and model.dtype.itemsize == 4
    accelerator = Accelerator(cpu=model.device.type == "cpu", mixed_precision="bf16" if mixed else "no")
    trainable = make_trainable(model, phase, None, 0)
    choose_kernels(model, model.device, train)
    trained, optimizer = accelerator.prepare(trainable.model, make_optimizer(trainable.model, phase, train))
    schedule = make_schedule(len(rows), phase, (0, 0))
    job = Job("", 0, phase, train, 0, rows, schedule, trainable, Speed(1, 1))
    trained.train()
    # As at the start of a training; without it rows are read in the exact and slow way. Weights in bfloat16 round all.
    is_half = train.precision == "float32" and model.dtype.itemsize == 2
    proof = train.model_copy(update={"precision": "bf16"}) if is_half else train
    prove_training(trainable.model, trained, accelerator, proof)
    longest = int(rows.facts.length.max())
    if (way := way_of(trainable.model, "training", longest)) != "packed":
        sys.exit(f"rows are read {way}: the self-test of packed rows finds a difference here, so there is no fast path")
    with fast_paths(model, accelerator, train):
        for step in range(len(batches)):
            places = np.arange(step * batch_rows, (step + 1) * batch_rows)
            turn.begin()
            # Laid out within the turn: here there is no second core that would do it beside the step.
            batch = make_batch(rows, step, places, Share(0, 1, train.micro_batch_tokens))
            result = train_step(job, accelerator, trained, optimizer, batch).result("")
            turn.end(sum(result.nats.values()) / batch.num_supervised)


def make_phase(num_steps: int, batch_rows: int) -> Any:
    from crosstune.recipe import Phase

    return Phase(
        mixture="m",
        method="full",
        num_steps=num_steps,
        global_batch_size=batch_rows,
        learning_rate=LEARNING_RATE,
        schedule="constant",
        warmup_ratio=0.0,
        adam_betas=(0.9, 0.999),
    )


def make_segments(batches: list[list[Row]]) -> Any:
    from crosstune.train.rows import Rows, Segment

    pairs = [pair for batch in batches for pair in batch]
    return Rows.of([(Segment(tuple(tokens), prompt, 1, "ko", "paper"),) for tokens, prompt in pairs])


def useful_flops(model: Any, batch: list[Row], micro_batch_tokens: int = MICRO_BATCH_TOKENS) -> float:
    """Return the operations that a step needs: shared prefixes once, the head where a token is supervised."""
    from crosstune.train.batches import make_schedule
    from crosstune.train.cost import count_tokens, flops

    phase = make_phase(1, len(batch))
    rows = make_segments([batch])
    schedule = make_schedule(len(rows), phase, (0, 0))
    return flops(model, count_tokens(rows, schedule, 1, micro_batch_tokens), phase)


def matrix_rate(variant: Variant) -> float:
    """Return the operations per second of a product shaped as a layer's, at its best of a few."""
    import torch

    dtype = torch.bfloat16 if variant.bf16 else torch.float32
    left, right = torch.randn(1024, 1376, dtype=dtype), torch.randn(1376, 512, dtype=dtype)
    out = torch.empty(1024, 512, dtype=dtype)
    seconds = []
    for _ in range(15):
        started = time.process_time()
        torch.mm(left, right, out=out)
        seconds.append(time.process_time() - started)
    return 2 * 1024 * 1376 * 512 / min(seconds)


def run_trainer(model: Any, batches: list[list[Row]], variant: Variant, turn: Turn) -> None:
    """Train with HF Trainer, or TRL's SFTTrainer, with the batches as they are."""
    import torch
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainerCallback, TrainingArguments

    rows = [row for batch in batches for row in batch]
    micro_batch_rows = variant.micro_batch_rows or len(batches[0])

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            turn.begin()

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            if "loss" in logs:
                turn.end(logs["loss"])

    common = {
        "output_dir": tempfile.mkdtemp(),
        "per_device_train_batch_size": micro_batch_rows,
        "gradient_accumulation_steps": len(batches[0]) // micro_batch_rows,
        "max_steps": len(batches),
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "optim": "adamw_torch_fused",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": model.device.type == "cpu",
        "disable_tqdm": True,
        "bf16": variant.bf16 or model.device.type == "cuda",
        "use_liger_kernel": variant.liger,
        "dataloader_pin_memory": False,
        "gradient_checkpointing": model.is_gradient_checkpointing,
        "logging_nan_inf_filter": False,
    }
    if variant.trainer == "trl":
        from datasets import Dataset
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
