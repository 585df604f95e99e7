"""Draw the figures of docs/results.md from the studies' results: `python docs/draw_results.py`."""

import csv
import sys
from pathlib import Path

from crosstune.report.write.charts import Series, scatter_chart, standalone

ROOT = Path(__file__).parent.parent
INSTRUCTIONS = {"en": "English", "ko": "Korean"}


def main(folder: Path) -> None:
    """Write every figure into a folder."""
    folder.mkdir(exist_ok=True)
    for language, name in INSTRUCTIONS.items():
        (folder / f"wordings_{language}.svg").write_text(wordings(language, name), encoding="utf-8")


def wordings(language: str, name: str) -> str:
    """Draw BLEU into Korean under unseen wordings against BLEU under the one that was learnt."""
    rows: dict[tuple[str, str, str], float] = {}
    for study in ("mixtures", "wordings"):
        with (ROOT / "recipes" / "ablations" / f"{study}.csv").open(encoding="utf-8", newline="") as file:
            rows |= {(row["cell"], row["task"], row["metric"]): float(row["mean"]) for row in csv.DictReader(file)}
    drawn: list[Series] = []
    for cell in dict.fromkeys(cell for cell, _, _ in rows):
        learnt = rows[cell, f"translate_en_ko_{language}", "bleu"]
        unseen = [rows[cell, f"held_out_en_ko_{language}", f"bleu_{which}"] for which in ("mean", "worst")]
        if learnt > 1:
            drawn.append(Series(cell, [(learnt, value) for value in unseen], len(drawn) + 1))
    equal = Series("no loss", [(100, 100), (0, 0)], 0)
    labels = (
        f"En→Ko BLEU under the {name} instruction of training",
        "under ten unseen wordings: mean, and worst (small)",
    )
    return standalone(scatter_chart([equal, *drawn], (760, 560), labels))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "results")
