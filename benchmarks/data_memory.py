"""Peak memory of the data stage on a text corpus that does not fit: made here, streamed through, mixed and written.

    python benchmarks/data_memory.py --gigabytes 5 --json benchmarks/results/data_memory.json

The phase runs in a process of its own, so that its peak is its own: reading, every check, duplicates, shuffle, Parquet.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crosstune.runs.files import read_json
from crosstune.runs.provenance import commit, hardware, versions

_SYLLABLES = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호기니디리미비시이지치키티피히는을에서"
_RECIPE = """
name: memory
seed: 1
languages: {source: en, target: ko}
data:
  sources:
    korean: {kind: text, language: ko, paths: [korean.txt]}
  mixtures:
    korean_text: [{source: korean}]
tokenizer:
  base: {kind: given, path: none}
systems:
  base: {start: none, tokenizer: base}
evaluate:
  reference_system: base
  tasks:
    nsmc: {task: nsmc_generate, paths: [nsmc.txt]}
"""


def write_corpus(folder: Path, num_bytes: int) -> int:
    """Write documents of 20 to 200 words drawn from 50,000, one in a hundred twice; return their number."""
    generator = random.Random(1)
    words = ["".join(generator.choices(_SYLLABLES, k=generator.randint(1, 4))) for _ in range(50_000)]
    written = num_documents = 0
    with (folder / "korean.txt").open("w", encoding="utf-8") as file:
        while written < num_bytes:
            document = " ".join(generator.choices(words, k=generator.randint(20, 200))) + ".\n"
            for _ in range(2 if generator.random() < 0.01 else 1):
                file.write(document)
                num_documents += 1
                written += len(document.encode())
    (folder / "nsmc.txt").write_text("id\tdocument\tlabel\n1\t재미있는 영화였다 정말로\t1\n", encoding="utf-8")
    return num_documents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--folder", type=Path, help="for the corpus and what is made of it: four times its size")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        num_documents = write_corpus(folder, round(arguments.gigabytes * 1e9))
        (folder / "recipe.yaml").write_text(_RECIPE, encoding="utf-8")
        command = [sys.executable, "-m", "crosstune", "--quiet", "data", str(folder / "recipe.yaml")]
        started = time.perf_counter()
        subprocess.run([*command, f"data_root={folder}", f"runs_root={folder}"], check=True)
        seconds = time.perf_counter() - started
        manifest = read_json(folder / "memory/data/mixtures/korean_text/manifest.json")
    assert manifest["total"] + manifest["parts"][0]["dropped"]["duplicate"] == num_documents
    result = {
        "gigabytes": arguments.gigabytes,
        "documents": num_documents,
        "duplicates": manifest["parts"][0]["dropped"]["duplicate"],
        "seconds": round(seconds, 1),
        "mb_per_second": round(arguments.gigabytes * 1000 / seconds, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
    }
    print(
        f"{arguments.gigabytes:g} GB, {num_documents:,} documents in {seconds:.0f} s: "
        f"{result['mb_per_second']} MB/s, {result['peak_mb']:,} MB at the peak"
    )
    if arguments.json:
        arguments.json.parent.mkdir(exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
