"""Take what was scored while the real model trained into docs/real_model.md; docs/draw_results.py draws it.

python docs/scores_along_training.py runs/smollm2_korean
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from update_results import REAL_MODEL, ROOT, put

from crosstune.runs.files import read_jsonl

CURVES = ROOT / "docs" / "real_model" / "curves.csv"
BEGIN_CURVES = "<!-- scores along training: written by docs/scores_along_training.py -->"
ALONG_TRAINING = (
    ("En→Ko, asked in English, BLEU", "translate_en_ko_en", "bleu", ".1f"),
    ("asked in Korean", "translate_en_ko_ko", "bleu", ".1f"),
    ("Ko→En, asked in English", "translate_ko_en_en", "bleu", ".1f"),
    ("asked in Korean", "translate_ko_en_ko", "bleu", ".1f"),
    ("English news, bits per byte", "english_news", "bits_per_byte", ".3f"),
    ("Korean news", "korean_news", "bits_per_byte", ".3f"),
    ("HellaSwag, length-normalized", "hellaswag", "acc_norm", ".2f"),
    ("COPA", "copa", "acc", ".2f"),
)


def main(run: Path) -> None:
    """Write the scores of all systems as CSV, and those of the bilingual one into the page."""
    write_curves(run, list(REAL_MODEL.systems), CURVES)
    put(ROOT / "docs" / "real_model.md", BEGIN_CURVES, curves_table("bilingual"))


def write_curves(run: Path, systems: Sequence[str], path: Path) -> None:
    """Write what was scored while systems trained: a row for each system, step, task and metric."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("system", "step", "task", "metric", "value"))
        for system in systems:
            scored = run / "systems" / system / "scores_during_training.jsonl"
            for row in read_jsonl(scored) if scored.exists() else ():
                for task, metrics in row["scores"].items():
                    for metric, value in metrics.items():
                        writer.writerow((system, row["step"], task, metric, f"{value:.6g}"))


def curves_table(system: str) -> list[str]:
    """Return the scores of a system along its training, a row for each step."""
    with CURVES.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["system"] == system]
    values = {(row["step"], row["task"], row["metric"]): float(row["value"]) for row in rows}
    lines = [f"| {' | '.join(['step', *(title for title, *_ in ALONG_TRAINING)])} |", f"|{'---:|' * 9}"]
    for step in dict.fromkeys(row["step"] for row in rows):
        cells = [format(values[step, task, metric], form) for _, task, metric, form in ALONG_TRAINING]
        lines.append(f"| {' | '.join([step, *cells])} |")
    return lines


if __name__ == "__main__":
    main(Path(sys.argv[1]))
