"""What the benchmarks of scoring and generation share: a LLaMA of random weights, a tokenizer, turns, and results."""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from crosstune.runs.provenance import commit, hardware, versions
from crosstune.terminal.output import console

VOCABULARY = 46_336  # pieces, as LLaMA-2 has with the paper's Korean ones
SHAPES = {  # hidden size, layers, heads, size between; named by the parameters of the layers and the output head
    "tiny": (32, 1, 2, 85),
    "28M": (384, 6, 6, 1024),
    "49M": (512, 8, 8, 1365),
    "106M": (768, 10, 12, 2048),
    "7B": (4096, 32, 32, 11_008),
}


RESULTS = Path(__file__).parent / "results"


def make_model(
    shape: str, weight_deviation: float, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> LlamaForCausalLM:
    """Return a model of random weights with this standard deviation."""
    hidden, layers, heads, between = SHAPES[shape]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=between,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=1024,
        initializer_range=weight_deviation,
    )
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    return model.to(dtype).eval()  # type: ignore[arg-type]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of as many words; the requests are token ids already."""
    words = ["<unk>", "<s>", "</s>", *(f"w{index}" for index in range(3, VOCABULARY))]
    words_to_ids = {word: index for index, word in enumerate(words)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words_to_ids, unk_token="<unk>")),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<unk>",
    )


@contextmanager
def matmul_precision(value: str) -> Iterator[None]:
    """Use torch's float32 kernels (``highest``) or oneDNN's (``medium``), as ``crosstune.models.load`` chooses them."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(value)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def in_turns(
    sides: Mapping[str, Callable[[], Any]], rounds: int, device: str = "cpu"
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Run all sides once per round and return seconds and results; the order turns, so that no side is always first.

    With one thread of a CPU they are seconds of the processor, which other programs that share it take no part in.
    """
    clock = time.process_time if torch.get_num_threads() == 1 and device == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    results: dict[str, Any] = {}
    names = list(sides)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = clock()
            results[name] = sides[name]()
            seconds[name].append(clock() - started)
    return seconds, results


def median_ratio(theirs: list[float], ours: list[float]) -> float:
    """Return the median over rounds of how many times faster ours is; a busy machine slows both of a round."""
    return statistics.median(left / right for left, right in zip(theirs, ours, strict=True))


def write_results(path: Path, columns: tuple[str, ...], rows: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """Print a table, and write it as JSON."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*(f"{value:,.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)
    content = {**facts, "sides": rows, "commit": commit(), "hardware": hardware(), "versions": versions()}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
