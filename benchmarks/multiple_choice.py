"""Log-likelihoods of HellaSwag-length items, beside lm-evaluation-harness's own Hugging Face model, in turns.

    python benchmarks/multiple_choice.py [--shape 49M] [--items 16] [--rounds 5]
    python benchmarks/multiple_choice.py --shape 7B --items 128 --device cuda --dtype bfloat16
    python benchmarks/multiple_choice.py --real SmolLM2.gguf DIR/hellaswag/hellaswag_val.jsonl

The last one takes HellaSwag itself and a real model. Both sides get the same token ids and the same weights through the
same method of the harness. The harness's model runs at each batch size once, and then at its best. "Equal kernels" are
torch's default ones on both sides; ours, as `crosstune evaluate` sets them, are oneDNN's, on a GPU FlexAttention. In
float32 it stops where a log-likelihood differs by more than 1e-4 (of a real model 1e-3) or a greedy flag differs.
Prints a table and writes benchmarks/results/multiple_choice_SHAPE.json.
"""

import json as json_text
import logging
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks.hellaswag.utils import preprocess
from random_llama import (
    RESULTS,
    VOCABULARY,
    in_turns,
    make_model,
    make_tokenizer,
    matmul_precision,
    median_ratio,
    write_results,
)
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.evaluate.harness.language_model import CrosstuneLM
from crosstune.models.load import load_model, load_tokenizer

_BATCH_SIZES = {"cpu": (1, 2, 4, 8, 16, 32), "cuda": (8, 16, 32, 64, 128)}
_NUM_ENDINGS = 4
# HellaSwag's validation set with LLaMA-2's tokenizer: 69 tokens of context, 26 of each ending, as means.
_CONTEXT_TOKENS, _ENDING_TOKENS = (24, 114), (8, 44)
_TOLERANCE, _TOLERANCE_OF_A_REAL_MODEL = 1e-4, 1e-3
Request = tuple[tuple[str, str], list[int], list[int]]
Answers = list[tuple[float, bool]]


def make_requests(num_items: int) -> list[Request]:
    """Draw items of one context and four endings, as the harness hands them to a model: texts, and token ids."""
    draw = random.Random(0)

    def tokens(bounds: tuple[int, int]) -> list[int]:
        return [draw.randrange(3, VOCABULARY) for _ in range(draw.randint(*bounds))]

    requests: list[Request] = []
    for item in range(num_items):
        context = [1, *tokens(_CONTEXT_TOKENS)]
        requests += [((str(item), str(ending)), context, tokens(_ENDING_TOKENS)) for ending in range(_NUM_ENDINGS)]
    return requests


def requests_of(hellaswag: Path, num_items: int, harness: HFLM) -> list[Request]:
    """Return items from all over HellaSwag's file, tokenized as the harness does for its task."""
    requests: list[Request] = []
    lines = hellaswag.read_text(encoding="utf-8").splitlines()
    for line in lines[:: len(lines) // num_items][:num_items]:
        item = json_text.loads(line)
        context = preprocess(f"{item['activity_label']}: {item['ctx_a']} {item['ctx_b'].capitalize()}")
        for ending in item["endings"]:
            pair = (context, f" {preprocess(ending)}")
            requests.append((pair, *harness._encode_pair(*pair)))
    return requests


def largest_difference(expected: Answers, found: Answers, dtype: torch.dtype, tolerance: float) -> float:
    """Return the largest difference of log-likelihoods; stop where the sides disagree in float32."""
    largest = max(abs(left[0] - right[0]) for left, right in zip(expected, found, strict=True))
    if dtype != torch.float32:
        return largest
    if largest > tolerance or [flag for _, flag in expected] != [flag for _, flag in found]:
        raise SystemExit(f"the sides disagree: log-likelihoods differ by up to {largest:.1e}, allowed {tolerance}")
    return largest


def main(
    shape: Annotated[str, typer.Option(help="tiny, 28M, 49M, 106M or 7B")] = "49M",
    items: Annotated[int, typer.Option(help="questions of four endings")] = 16,
    rounds: int = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    dtype: Annotated[str, typer.Option(help="of the weights: float32 or bfloat16")] = "float32",
    real: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="MODEL FILE", help="a model's folder or GGUF file, and HellaSwag's file, not a shape"),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="where results go; benchmarks/results if absent")] = None,
) -> None:
    torch.set_num_threads(1)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    if real is not None:
        model_path, hellaswag = real
        model = load_model(model_path, dtype=getattr(torch, dtype)).to(device)  # type: ignore[arg-type]
        tokenizer = load_tokenizer(model_path)
        requests = requests_of(hellaswag, items, HFLM(pretrained=model, tokenizer=tokenizer, device=device))
        shape, tolerance = Path(model_path).name.partition("-")[0], _TOLERANCE_OF_A_REAL_MODEL
    else:
        model, tolerance = make_model(shape, 0.02, device, getattr(torch, dtype)), _TOLERANCE
        tokenizer, requests = make_tokenizer(), make_requests(items)
    ours = CrosstuneLM(model, tokenizer)

    def harness(batch_size: int) -> Callable[[], Answers]:
        theirs = HFLM(pretrained=model, tokenizer=tokenizer, device=device, batch_size=batch_size)

        def score() -> Answers:
            model.set_attn_implementation("sdpa")
            with matmul_precision("highest"):
                found: Answers = theirs._loglikelihood_tokens(requests, disable_tqdm=True)
            return found

        return score

    def crosstune(precision: str) -> Callable[[], Answers]:
        def score() -> Answers:
            with matmul_precision(precision):
                return ours._loglikelihood_tokens(requests)

        return score

    if device == "cuda":  # loads and compiles kernels
        for side in (harness(8), crosstune("highest")):
            side()
    trials, _ = in_turns({str(size): harness(size) for size in _BATCH_SIZES[device]}, 1, device)
    best = min(trials, key=lambda size: trials[size][0])
    theirs = f"lm-evaluation-harness `hf`, batch {best}"
    sides = {
        theirs: harness(int(best)),
        "crosstune, equal kernels": crosstune("highest"),
    }
    if device == "cpu":
        sides["crosstune, its kernels"] = crosstune("medium")
    seconds, answers = in_turns(sides, rounds, device)
    rows: list[dict[str, Any]] = [
        {
            "side": name,
            "requests_per_s": len(requests) / statistics.median(seconds[name]),
            "ratio": median_ratio(seconds[theirs], seconds[name]),
            "largest_difference": f"{largest_difference(answers[theirs], answers[name], model.dtype, tolerance):.0e}",
        }
        for name in sides
    ]
    facts = {"shape": shape, "items": items, "rounds": rounds, "threads": 1, "seconds": seconds}
    facts |= {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "dtype": dtype}
    facts["seconds_by_batch_size"] = {size: found[0] for size, found in trials.items()}
    write_results(
        json or RESULTS / f"multiple_choice_{shape.lower()}.json",
        ("", "requests/s", "ratio", "largest difference"),
        rows,
        facts,
    )


if __name__ == "__main__":
    typer.run(main)
