"""Translating lines by a real model, beside transformers' `generate` and llama.cpp, in turns.

    pip install xllamacpp
    crosstune export MODEL.gguf folder --dtype float32                   # of a GGUF file; a folder goes as it is
    crosstune export folder float32.gguf --gguf --dtype float32 --converter llama.cpp/convert_hf_to_gguf.py
    OMP_NUM_THREADS=1 python benchmarks/translating.py MODEL --lines FILE --gguf float32.gguf --gguf MODEL.gguf

MODEL is a folder or GGUF file, FILE has an English line in each row. All sides continue the same token ids greedily, as
many rows side by side, in float32, and in bfloat16 where the processor computes in it; llama.cpp reads the --gguf files
as they are, in this process, by its server's continuous batching. Seconds are the processor's, of one thread that
computes. Prints a table and writes benchmarks/results/translating.json.
"""

import json as json_text
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from random_llama import RESULTS, in_turns, matmul_precision, median_ratio, write_results

from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.models.load import load_model, load_tokenizer

_MAX_POSITIONS, _MAX_NEW_TOKENS = 512, 64
Answers = list[list[int]]


@torch.inference_mode()
def hf_generate(model: Any, prompts: list[list[int]], stop: int, batch_size: int) -> Answers:
    """Continue prompts in batches of similar length, padded on the left."""
    model.set_attn_implementation("sdpa")
    answers: Answers = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        longest = len(prompts[batch[0]])
        padding = [longest - len(prompts[index]) for index in batch]
        rows = [[stop] * pad + prompts[index] for pad, index in zip(padding, batch, strict=True)]
        mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding])
        settings = {"do_sample": False, "max_new_tokens": _MAX_NEW_TOKENS, "eos_token_id": stop, "pad_token_id": stop}
        written = model.generate(torch.tensor(rows), attention_mask=mask, **settings)[:, longest:].tolist()
        for index, tokens in zip(batch, written, strict=True):
            answers[index] = tokens[: tokens.index(stop) + 1] if stop in tokens else tokens
    return answers


def crosstune_generate(model: Any, prompts: list[list[int]], stop: int, rows: int) -> Answers:
    limits = Limits(_MAX_NEW_TOKENS, max_positions=_MAX_POSITIONS, max_rows=rows, batch_tokens=8192)
    found = dict(generate(model, prompts, (stop,), limits))
    # As `generate` returns it, the token that ended an answer counts.
    return [[*found[index].tokens, *([stop] if found[index].finished else [])] for index in range(len(prompts))]


class LlamaCpp:
    """A model in llama.cpp's server, which lives in this process and computes on one thread."""

    def __init__(self, path: Path, rows: int) -> None:
        import xllamacpp

        settings = xllamacpp.CommonParams()
        settings.model.path, settings.verbosity = str(path), -1
        settings.n_parallel, settings.n_ctx = rows, rows * _MAX_POSITIONS
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
        self._server, self._rows = xllamacpp.Server(settings), rows

    def num_written(self, prompts: list[list[int]]) -> list[int]:
        """Continue prompts greedily, and return how many tokens each answer has; a text is not cut into its tokens."""

        def answer(prompt: list[int]) -> int:
            said: list[str] = []
            asked = {"prompt": prompt, "n_predict": _MAX_NEW_TOKENS, "temperature": 0, "cache_prompt": False}
            self._server.handle_completions(json_text.dumps(asked), said.append)
            return int(json_text.loads(said[-1])["usage"]["completion_tokens"])

        with ThreadPoolExecutor(self._rows) as waiting:
            return [*waiting.map(answer, prompts)]


def prompts_of(model: str, lines: Path, number: int) -> tuple[list[list[int]], int]:
    """Return the token ids of requests to translate, in the model's own chat template, and the token that ends."""
    tokenizer = load_tokenizer(model)
    texts = [line for line in lines.read_text(encoding="utf-8").splitlines() if line.strip()][:number]
    asked = [[{"role": "user", "content": f"Translate this sentence into Korean.\n\n{text}"}] for text in texts]
    rows = [tokenizer.apply_chat_template(one, add_generation_prompt=True, return_dict=False) for one in asked]
    return rows, int(tokenizer.eos_token_id)


def main(
    model: str,
    lines: Annotated[Path, typer.Option(help="a file with an English sentence in each line")],
    gguf: Annotated[list[Path], typer.Option(help="what llama.cpp reads")] = [],  # noqa: B006
    prompts: Annotated[int, typer.Option(help="how many lines are translated")] = 64,
    rounds: int = 3,
    rows: Annotated[int, typer.Option(help="side by side, on each side")] = 32,
    json: Annotated[Path | None, typer.Option(help="where results go; benchmarks/results if absent")] = None,
) -> None:
    torch.set_num_threads(1)
    loaded = load_model(model)
    asked, stop = prompts_of(model, lines, prompts)

    def with_kernels(precision: str, work: Callable[[], Answers]) -> Callable[[], Answers]:
        def run() -> Answers:
            with matmul_precision(precision):
                return work()

        return run

    def ours() -> Answers:
        return crosstune_generate(loaded, asked, stop, rows)

    def in_bf16(write: Callable[..., Answers]) -> Callable[[], Answers]:
        return partial(write, load_model(model, dtype=torch.bfloat16), asked, stop, rows)

    theirs = f"transformers `generate`, batch {rows}"
    sides: dict[str, Callable[[], Any]] = {
        theirs: with_kernels("highest", lambda: hf_generate(loaded, asked, stop, rows)),
        "crosstune, equal kernels": with_kernels("highest", ours),
        "crosstune, its kernels": with_kernels("medium", ours),
    }
    if torch.cpu._is_avx512_bf16_supported():
        sides[f"{theirs}, bfloat16"] = in_bf16(hf_generate)
        sides["crosstune, bfloat16"] = in_bf16(crosstune_generate)
    for path in gguf:
        sides[f"llama.cpp, {path.name}"] = partial(LlamaCpp(path, rows).num_written, asked)
    seconds, answers = in_turns(sides, rounds)
    new_tokens = {name: sum(one if isinstance(one, int) else len(one) for one in answers[name]) for name in sides}
    rates = {name: [new_tokens[name] / one for one in seconds[name]] for name in sides}
    found = [
        {
            "side": name,
            "new_tokens": new_tokens[name],
            "new_tokens_per_s": statistics.median(rates[name]),
            # Of tokens a second: answers of other roundings are of other lengths.
            "ratio": median_ratio(rates[name], rates[theirs]),
            "equal_answers": sum(left == right for left, right in zip(answers[theirs], answers[name], strict=True)),
        }
        for name in sides
    ]
    facts = {
        "model": Path(model).name,
        "prompts": prompts,
        "rounds": rounds,
        "rows": rows,
        "most_new_tokens": _MAX_NEW_TOKENS,
    }
    write_results(
        json or RESULTS / "translating.json",
        ("", "new tokens", "new tokens/s", "ratio", "equal answers"),
        found,
        {**facts, "seconds": seconds},
    )


if __name__ == "__main__":
    typer.run(main)
