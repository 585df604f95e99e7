"""Greedy generation of translation-length answers, beside transformers' `generate`, left-padded, in turns.

    python benchmarks/generation.py [--shape 28M] [--prompts 192] [--rounds 5] [--threads 1] [--batch-sizes 32,64]

Both sides get the same prompts and weights; transformers' side is sorted by length and runs at each batch size once,
and then at its best. One token id in forty ends an answer, so that lengths vary as those of translations do (a random
model has no EOS habit). "Equal kernels" are torch's default ones on both sides; ours, as `crosstune evaluate` sets
them, are oneDNN's. With equal kernels every answer must be equal, token for token. Prints a table and writes
benchmarks/results/generation_SHAPE.json.
"""

import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from random_llama import RESULTS, VOCABULARY, in_turns, make_model, matmul_precision, median_ratio, write_results
from transformers import LlamaForCausalLM

from crosstune.evaluate.generate.generation import Limits, generate

_PROMPT_TOKENS = (30, 90)
_MAX_NEW_TOKENS = 128
_STOP_EVERY = 40
# Larger than usual: with 0.02 a random model repeats one token for ever.
_WEIGHT_DEVIATION = 0.1
Answers = list[tuple[int, ...]]


def make_prompts(num_prompts: int) -> list[list[int]]:
    draw = random.Random(0)
    return [
        [1, *(draw.randrange(3, VOCABULARY) for _ in range(draw.randint(*_PROMPT_TOKENS)))] for _ in range(num_prompts)
    ]


@torch.inference_mode()
def hf_generate(model: LlamaForCausalLM, prompts: list[list[int]], batch_size: int) -> Answers:
    """Continue prompts in batches of similar length, padded on the left."""
    model.set_attn_implementation("sdpa")
    answers: Answers = [()] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    stops = list(range(0, VOCABULARY, _STOP_EVERY))
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        longest = len(prompts[batch[0]])
        padding = [longest - len(prompts[index]) for index in batch]
        rows = [[0] * pad + prompts[index] for pad, index in zip(padding, batch, strict=True)]
        mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding])
        written = model.generate(
            torch.tensor(rows),
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=_MAX_NEW_TOKENS,
            eos_token_id=stops,
            pad_token_id=0,
        )[:, longest:].tolist()
        for index, tokens in zip(batch, written, strict=True):
            end = next((place for place, token in enumerate(tokens) if token % _STOP_EVERY == 0), len(tokens))
            answers[index] = tuple(tokens[: end + 1])
    return answers


def crosstune_generate(model: LlamaForCausalLM, prompts: list[list[int]]) -> Answers:
    limits = Limits(_MAX_NEW_TOKENS, max_positions=1024, max_rows=128, batch_tokens=8192)
    found = dict(generate(model, prompts, (), limits, lambda tokens: tokens[-1] % _STOP_EVERY == 0))
    return [found[index].tokens for index in range(len(prompts))]


def with_kernels(precision: str, work: Callable[[], Answers]) -> Callable[[], Answers]:
    def run() -> Answers:
        with matmul_precision(precision):
            return work()

    return run


def main(
    shape: Annotated[str, typer.Option(help="tiny, 28M, 49M or 106M")] = "28M",
    prompts: Annotated[int, typer.Option(help="how many are continued")] = 192,
    rounds: int = 5,
    threads: int = 1,
    batch_sizes: Annotated[str, typer.Option(help="of transformers, the best of which is compared")] = "8,16,32,64,96",
    json: Annotated[Path | None, typer.Option(help="where results go; benchmarks/results if absent")] = None,
) -> None:
    torch.set_num_threads(threads)
    model, texts = make_model(shape, _WEIGHT_DEVIATION), make_prompts(prompts)

    def transformers(batch_size: int) -> Callable[[], Answers]:
        return with_kernels("highest", lambda: hf_generate(model, texts, batch_size))

    trials, _ = in_turns({size: transformers(int(size)) for size in batch_sizes.split(",")}, rounds=1)
    best = min(trials, key=lambda size: trials[size][0])
    theirs = f"transformers `generate`, batch {best}"
    sides = {
        theirs: transformers(int(best)),
        "crosstune, equal kernels": with_kernels("highest", lambda: crosstune_generate(model, texts)),
        "crosstune, its kernels": with_kernels("medium", lambda: crosstune_generate(model, texts)),
    }
    seconds, answers = in_turns(sides, rounds)
    num_tokens = sum(map(len, answers[theirs]))
    rows: list[dict[str, Any]] = [
        {
            "side": name,
            "new_tokens_per_s": num_tokens / statistics.median(seconds[name]),
            "ratio": median_ratio(seconds[theirs], seconds[name]),
            "equal_answers": sum(left == right for left, right in zip(answers[theirs], answers[name], strict=True)),
        }
        for name in sides
    ]
    if rows[1]["equal_answers"] != prompts:
        raise SystemExit(f"with equal kernels only {rows[1]['equal_answers']} of {prompts} answers are equal")
    facts = {"shape": shape, "prompts": prompts, "new_tokens": num_tokens, "rounds": rounds, "threads": threads}
    facts |= {"seconds": seconds, "seconds_by_batch_size": {size: found[0] for size, found in trials.items()}}
    write_results(
        json or RESULTS / f"generation_{shape.lower()}.json",
        ("", "new tokens/s", "ratio", "equal answers"),
        rows,
        facts,
    )


if __name__ == "__main__":
    typer.run(main)
