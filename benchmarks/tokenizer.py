"""Measure learning, extending and encoding on LLaMA-2's tokenizer.

    python benchmarks/tokenizer.py DATA_ROOT --json benchmarks/results/tokenizer.json

DATA_ROOT holds tokenizers/llama2/tokenizer.model, text/korean_*.gz, parallel/train_*.json.gz and ntrex/. The
Korean text is repeated up to the size asked for; results are printed as JSON. With ``--save DIR``, base and extended
tokenizer are written to DIR/base and DIR/extended.
"""

import argparse
import gzip
import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from crosstune.runs.files import write_json
from crosstune.runs.provenance import hardware, versions
from crosstune.tokenizer import given
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.folder import write_folder
from crosstune.tokenizer.learn import LearnRequest, NewPieces, learn_new_pieces

_TURNS = 21


def korean_texts(root: Path) -> list[str]:
    """Return the distinct Korean texts: documents, reviews, and the Korean side of parallel text."""
    with gzip.open(root / "text" / "korean_docs.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    with gzip.open(root / "text" / "korean_reviews.txt.gz", "rt", encoding="utf-8") as file:
        texts += file.read().splitlines()
    for path in sorted((root / "parallel").glob("train_*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            texts += [row["ko"] for row in json.load(file)["data"]]
    return texts


def repeated(texts: list[str], num_bytes: int) -> Iterator[str]:
    for text in cycle(texts):
        yield text
        num_bytes -= len(text.encode())
        if num_bytes <= 0:
            return


@contextmanager
def threads(several: bool) -> Iterator[None]:
    """Let the library use all cores, as it does by itself, or one thread, whose time a busy machine disturbs least."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if several else "false"
    yield
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def encoding_seconds(tokenizer: BpeTokenizer, lines: list[str]) -> float:
    """Return the processor's time to encode lines that the tokenizer has not seen: it keeps what it has cut before."""
    fresh = BpeTokenizer(tokenizer.content)
    fresh.encode_lines(["a"])
    start = time.process_time()
    fresh.encode_lines(lines)
    return time.process_time() - start


def encoding_ratios(base: BpeTokenizer, extended: BpeTokenizer, lines: list[str]) -> dict[str, float]:
    """Return time ratios extended / base on the same lines, and base / base, which is what this machine's noise makes.

    Each is that of the least of the times, taken in turns: other work can only add to a time.
    """
    tokenizers = {"base": base, "extended": extended, "base again": base}
    times = [
        {name: encoding_seconds(tokenizer, lines) for name, tokenizer in tokenizers.items()} for _ in range(_TURNS)
    ]
    least = {name: min(turn[name] for turn in times) for name in tokenizers}
    return {name: round(least[name] / least["base"], 3) for name in ("extended", "base again")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--num-new-pieces", type=int, default=14_336)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    root: Path = arguments.data_root
    content, configuration = given.load(root / "tokenizers" / "llama2" / "tokenizer.model", "tokenizer.base.path")
    base = BpeTokenizer(content)
    texts = korean_texts(root)
    request = LearnRequest("ko", arguments.num_new_pieces, "ks_x_1001")

    def learn(several: bool) -> tuple[NewPieces, float]:
        with threads(several):
            started = time.perf_counter()
            new = learn_new_pieces(base, repeated(texts, round(arguments.megabytes * 1e6)), request)
            return new, time.perf_counter() - started

    new, on_one_core = learn(several=False)
    again, on_all_cores = learn(several=True)
    assert again == new, "what is learnt depends on the number of cores"
    started = time.perf_counter()
    extended = extend(base, new, arguments.num_new_pieces)
    size = extended.tokenizer.get_vocab_size()
    extending = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    sides = {"en": "newstest2019-src.eng.txt", "ko": "newstest2019-ref.kor.txt"}
    lines = {side: (root / "ntrex" / name).read_text(encoding="utf-8").splitlines() for side, name in sides.items()}
    words = sum(len(line.split()) for line in lines["ko"])
    result = {
        "hardware": hardware(),
        "versions": versions(),
        "megabytes": arguments.megabytes,
        "distinct_megabytes": round(min(arguments.megabytes, sum(len(text.encode()) for text in texts) / 1e6), 1),
        "learn_seconds": round(on_one_core, 1),
        "learn_seconds_on_all_cores": round(on_all_cores, 1),
        "extend_seconds": round(extending, 1),
        "peak_gigabytes": round(peak, 2),
        "size": size,
        "encode_time_ratio": {side: encoding_ratios(base, extended, lines[side]) for side in sides},
        "ntrex_ko_tokens_per_word": {
            name: round(sum(map(len, tokenizer.encode_lines(lines["ko"]))) / words, 3)
            for name, tokenizer in (("base", base), ("extended", extended))
        },
    }
    print(json.dumps(result, indent=2))
    if arguments.json is not None:
        write_json(arguments.json, result)
    if arguments.save is not None:
        for name, tokenizer in (("base", base), ("extended", extended)):
            (arguments.save / name).mkdir(parents=True, exist_ok=True)
            write_folder(arguments.save / name, tokenizer.content, configuration)


if __name__ == "__main__":
    main()
