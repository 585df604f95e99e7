"""Tokenising and masking, beside the loop that Stanford Alpaca published, on the same rows, in turns, by CPU seconds.

    python benchmarks/tokenise.py DATA TOKENIZER [--rows 20000] [--alone] [--controls]

DATA holds alpaca/alpaca_data.json and koalpaca/ko_alpaca_data.json, or is the examples.parquet of a run's mixture;
TOKENIZER is a tokenizer folder or a SentencePiece .model file (LLaMA-2's). Our side begins at examples.parquet and ends
with the tokens on the disk; the other side begins and ends in memory. `--alone` leaves the other side out; `--controls`
reads control tokens in the prompts, for a mixture that a chat template wrote. Our rate is
measured three times: with the tokenizer loaded anew, with a tokenizer that has met none of the words, and with one that
has met all. Where there are several shards, they are written on all cores, too, by the clock. Prints a table and writes
JSON to stdout.
"""

import copy
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

# Before the libraries read it: one core each.
os.environ |= {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}

import pyarrow as pa
import pyarrow.parquet as pq
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
from crosstune.runs.workers import num_cores
from crosstune.terminal.output import console
from crosstune.tokenizer import given
from crosstune.tokenizer.folder import write_folder
from crosstune.tokens import store
from crosstune.tokens.shard_files import read_shard
from crosstune.tokens.store import shards_for, tokenize, write_shards

_TEMPLATE = TEMPLATES["alpaca"]
_ROUNDS = 3
_ROWS_PER_GROUP = 20_000
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


def read_examples(data: Path, num_rows: int) -> list[Example]:
    """Return so many examples of a mixture, or all where it has fewer, or of both corpora in one template."""
    if data.is_file():
        table = pq.read_table(data, columns=["prompt", "completion", "language", "source", "origin"])
        kept = table.take(random.Random(0).sample(range(len(table)), min(num_rows, len(table))))
        return [Example(**row) for row in kept.to_pylist()]
    return [
        Example(_TEMPLATE.prompt(row["instruction"], row["input"]), row["output"], "", "", str(index))
        for index, row in enumerate(read_rows(data, num_rows))
    ]


def read_rows(root: Path, num_rows: int) -> list[dict[str, str]]:
    rows = [
        row
        for path in ("alpaca/alpaca_data.json", "koalpaca/ko_alpaca_data.json")
        for row in json.loads((root / path).read_text(encoding="utf-8"))
        if row["output"]
    ]
    return random.Random(0).sample(rows, min(num_rows, len(rows)))


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


def measure_alone(folder: Path, controls: bool) -> dict[str, int]:
    """Return our rows per CPU second with words that the tokenizer has not met, and with words that it has."""
    table, found = pq.read_table(folder / "examples.parquet"), defaultdict[str, list[float]](list)
    for _ in range(_ROUNDS):
        tokenizer = load_tokenizer(str(folder))
        for name in ("new_words", "words_met"):
            _, duration = timed(tokenize, table, tokenizer, controls)
            found[f"rows_per_cpu_second_{name}"].append(duration)
    return {name: round(len(table) / statistics.median(durations)) for name, durations in found.items()}


def measure_cores(folder: Path, controls: bool) -> dict[str, int]:
    """Return our rows per second by the clock, on all cores; nothing where one shard holds all."""
    shards = shards_for(folder / "examples.parquet")
    if len(shards) < 2:
        return {}
    started = time.perf_counter()
    write_shards(folder / "examples.parquet", folder, folder / "on_all_cores", "all cores", controls)
    duration = time.perf_counter() - started
    return {"cores": num_cores(), "rows_per_second": round(sum(shard.num_rows for shard in shards) / duration)}


def write_in_this_process(folder: Path, controls: bool) -> None:
    """Write all shards one after the other, with the tokenizer loaded anew."""
    with mock.patch.object(store, "num_cores", lambda: 1):
        write_shards(folder / "examples.parquet", folder, folder / "tokens", "ours", controls)


def compare(
    folder: Path, texts: tuple[list[str], list[str]], sides: dict[str, PreTrainedTokenizerBase], controls: bool
) -> dict[str, Any]:
    """Measure all sides in turns, and compare their tokens and labels."""
    num_rows = len(texts[0])
    times: dict[str, list[float]] = {name: [] for name in ("crosstune", *sides)}
    results: dict[str, tuple[list[Any], list[Any]]] = {}
    for _ in range(_ROUNDS):
        # The tokenizer is loaded anew: no word is known from the round before.
        shutil.rmtree(folder / "tokens", ignore_errors=True)
        _, duration = timed(write_in_this_process, folder, controls)
        times["crosstune"].append(duration)
        for name, other in sides.items():
            results[name], duration = timed(alpaca_preprocess, *texts, other)
            times[name].append(duration)
    ours = pa.concat_tables([read_shard(path) for path in sorted((folder / "tokens").iterdir())])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "rows/CPU s", "ratio", "differ, no piece across the border", "differ, a piece across it"):
        table.add_column(column, justify="left" if not column else "right")
    found: dict[str, Any] = {}
    for name, measured in times.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(measured, times["crosstune"], strict=True))
        rate = round(num_rows / statistics.median(measured))
        found[name] = {"rows_per_cpu_second": rate, "time_ratio": round(ratio, 1)}
        if name in sides:
            pairs = list(differences(ours, results[name]))
            found[name]["differ_elsewhere"] = sum(differ for crosses, differ in pairs if not crosses)
            found[name]["differ_at_border"] = sum(differ for crosses, differ in pairs if crosses)
        table.add_row(name, *(f"{value:,}" for value in found[name].values()))
    console.print(table)
    return found


def main(
    data: Path,
    tokenizer: Path,
    rows: Annotated[int, typer.Option(help="how many, at most")] = 20_000,
    alone: Annotated[bool, typer.Option("--alone", help="without the other side")] = False,
    controls: Annotated[bool, typer.Option("--controls", help="a chat template wrote the prompts")] = False,
) -> None:
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    prepare_libraries()
    examples = read_examples(data, rows)
    sources = [example.prompt for example in examples]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        load(tokenizer, folder)
        loaded = prepared(load_tokenizer(str(folder)))
        sides = {} if alone else {"alpaca loop, fast tokenizer": loaded}
        if tokenizer.suffix == ".model" and not alone:
            slow = LlamaSlow(vocab_file=str(tokenizer), unk_token="<unk>", bos_token="<s>", eos_token="</s>")
            sides["alpaca loop, slow tokenizer"] = prepared(slow)
        write_examples(folder / "examples.parquet", examples)
        # In groups of rows, as the data stage writes them: shards hold whole groups.
        in_one = pq.read_table(folder / "examples.parquet")
        pq.write_table(in_one, folder / "examples.parquet", row_group_size=_ROWS_PER_GROUP)
        measured = compare(
            folder, (sources, [example.completion + loaded.eos_token for example in examples]), sides, controls
        )
        measured["crosstune"] |= {**measure_alone(folder, controls), **measure_cores(folder, controls)}
    console.print(measured["crosstune"])
    num_bytes = sum(len((example.prompt + example.completion).encode()) for example in examples)
    facts = {"rows": len(examples), "bytes_a_row": round(num_bytes / len(examples))}
    json.dump({**facts, **measured, "hardware": hardware(), "versions": versions()}, sys.stdout, indent=2)


if __name__ == "__main__":
    typer.run(main)
