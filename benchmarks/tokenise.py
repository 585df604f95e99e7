"""Tokenising and masking, beside the loop that Stanford Alpaca published, on the same rows, in turns, by CPU seconds.

    python benchmarks/tokenise.py DATA_ROOT TOKENIZER [--rows 20000]

DATA_ROOT holds alpaca/alpaca_data.json and koalpaca/ko_alpaca_data.json; TOKENIZER is a tokenizer folder or a
SentencePiece .model file (LLaMA-2's). Our side begins at examples.parquet and ends with the tokens on the disk; the
other side begins and ends in memory. Prints a table and writes JSON to stdout.
"""

import copy
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

# Before the libraries read it: one core each.
os.environ |= {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}

import pyarrow as pa
import torch
import typer
from rich.table import Table
from transformers import PreTrainedTokenizerBase
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

from crosstune.models.load import load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.prompts.examples import Example, write_examples
from crosstune.prompts.templates import TEMPLATES
from crosstune.runs.provenance import hardware, versions
from crosstune.terminal import console
from crosstune.tokenizer import given
from crosstune.tokenizer.folder import write_folder
from crosstune.tokens.shard_files import name_of_shard, read_shard
from crosstune.tokens.store import write_shards

_TEMPLATE = TEMPLATES["alpaca"]
_ROUNDS = 3
_IGNORED = -100


def alpaca_preprocess(
    sources: Sequence[str], targets: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Any], list[Any]]:
    """Tokenise and mask as github.com/tatsu-lab/stanford_alpaca does in train.py (`preprocess`, `_tokenize_fn`).

    Each text is a call of its own, and each source is tokenised twice: alone, for its length, and with its target.
    """

    def tokenize(texts: Sequence[str]) -> tuple[list[Any], list[int]]:
        encoded = [
            tokenizer(
                text,
                return_tensors="pt",
                padding="longest",
                max_length=tokenizer.model_max_length,
                truncation=True,
            )
            for text in texts
        ]
        lengths = [entry.input_ids.ne(tokenizer.pad_token_id).sum().item() for entry in encoded]
        return [entry.input_ids[0] for entry in encoded], lengths

    input_ids, _ = tokenize([source + target for source, target in zip(sources, targets, strict=True)])
    _, source_lengths = tokenize(sources)
    labels = copy.deepcopy(input_ids)
    for label, length in zip(labels, source_lengths, strict=True):
        label[:length] = _IGNORED
    return input_ids, labels


class LlamaSlow(SentencePieceBackend):
    """SentencePiece behind Python, as `use_fast=False` gave it: BOS before each text."""

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        return [self.bos_token_id, *token_ids_0]


def read_rows(root: Path, num_rows: int) -> list[dict[str, str]]:
    rows = [
        row
        for path in ("alpaca/alpaca_data.json", "koalpaca/ko_alpaca_data.json")
        for row in json.loads((root / path).read_text(encoding="utf-8"))
        if row["output"]
    ]
    return random.Random(0).sample(rows, num_rows)


def load(path: Path, folder: Path) -> PreTrainedTokenizerBase:
    content, configuration = given.load(path, "TOKENIZER")
    write_folder(folder, content, configuration)
    return load_tokenizer(str(folder))


def prepared(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Set what the published script sets, and post-processing that adds BOS as `use_fast=False` did."""
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.model_max_length = 4096
    return tokenizer


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    # All of it runs in this process: what else the machine does takes no part.
    started = time.process_time()
    result = work(*arguments)
    return result, time.process_time() - started


def differences(ours: pa.Table, theirs: tuple[list[Any], list[Any]]) -> Iterator[tuple[bool, bool]]:
    """Yield for each row whether a piece crosses the border in it, and whether tokens or labels differ."""
    columns = (ours[name].to_pylist() for name in ("tokens", "num_prompt", "crosses"))
    for tokens, num_prompt, crosses, ids, labels in zip(*columns, *theirs, strict=True):
        masked = [_IGNORED] * num_prompt + tokens[num_prompt:]
        yield crosses, tokens != ids.tolist() or masked != labels.tolist()


def compare(
    folder: Path, texts: tuple[list[str], list[str]], sides: dict[str, PreTrainedTokenizerBase]
) -> dict[str, Any]:
    """Measure all sides in turns, and compare their tokens and labels."""
    path, num_rows = folder / "tokens" / name_of_shard(0), len(texts[0])
    times: dict[str, list[float]] = {name: [] for name in ("crosstune", *sides)}
    results: dict[str, tuple[list[Any], list[Any]]] = {}
    for _ in range(_ROUNDS):
        # The tokenizer is loaded anew: no word is known from the round before.
        path.unlink(missing_ok=True)
        _, duration = timed(write_shards, folder / "examples.parquet", folder, path.parent, "ours")
        times["crosstune"].append(duration)
        for name, other in sides.items():
            results[name], duration = timed(alpaca_preprocess, *texts, other)
            times[name].append(duration)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "rows/CPU s", "ratio", "differ, no piece across the border", "differ, a piece across it"):
        table.add_column(column, justify="left" if not column else "right")
    found: dict[str, Any] = {}
    for name, measured in times.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(measured, times["crosstune"], strict=True))
        rate = round(num_rows / statistics.median(measured))
        found[name] = {"rows_per_cpu_second": rate, "time_ratio": round(ratio, 1)}
        if name in sides:
            pairs = list(differences(read_shard(path), results[name]))
            found[name]["differ_elsewhere"] = sum(differ for crosses, differ in pairs if not crosses)
            found[name]["differ_at_border"] = sum(differ for crosses, differ in pairs if crosses)
        table.add_row(name, *(f"{value:,}" for value in found[name].values()))
    console.print(table)
    return found


def main(
    data_root: Path, tokenizer: Path, rows: Annotated[int, typer.Option(help="how many, of both corpora")] = 20_000
) -> None:
    torch.set_num_threads(1)
    prepare_libraries()
    raw = read_rows(data_root, rows)
    sources = [_TEMPLATE.prompt(row["instruction"], row["input"]) for row in raw]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        load(tokenizer, folder)
        sides = {"alpaca loop, fast tokenizer": prepared(load_tokenizer(str(folder)))}
        if tokenizer.suffix == ".model":
            slow = LlamaSlow(vocab_file=str(tokenizer), unk_token="<unk>", bos_token="<s>", eos_token="</s>")
            sides["alpaca loop, slow tokenizer"] = prepared(slow)
        eos = sides["alpaca loop, fast tokenizer"].eos_token
        examples = [
            Example(source, row["output"], "", "", str(index))
            for index, (source, row) in enumerate(zip(sources, raw, strict=True))
        ]
        write_examples(folder / "examples.parquet", examples)
        measured = compare(folder, (sources, [row["output"] + eos for row in raw]), sides)
    json.dump({"rows": rows, **measured, "hardware": hardware(), "versions": versions()}, sys.stdout, indent=2)


if __name__ == "__main__":
    typer.run(main)
