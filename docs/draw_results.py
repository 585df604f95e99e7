"""Draw the figures of docs/results.md and docs/real_model.md from committed results: `python docs/draw_results.py`."""

import csv
import sys
from pathlib import Path

from crosstune.report.write.charts import Series, line_chart, scatter_chart, standalone

ROOT = Path(__file__).parent.parent
INSTRUCTIONS = {"en": "English", "ko": "Korean"}
SYSTEMS = {"paper": "paper's mixture", "bilingual": "bilingual"}


def main(folder: Path) -> None:
    """Write every figure into a folder."""
    folder.mkdir(exist_ok=True)
    for language, name in INSTRUCTIONS.items():
        (folder / f"wordings_{language}.svg").write_text(wordings(language, name), encoding="utf-8")
    for name, drawing in curves().items():
        (folder / f"{name}.svg").write_text(drawing, encoding="utf-8")


def curves() -> dict[str, str]:
    """Draw what the real model gained and lost along its longer training."""
    points: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    with (ROOT / "docs" / "real_model" / "curves.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            points.setdefault((row["system"], row["task"], row["metric"]), []).append(
                (float(row["step"]), float(row["value"]))
            )
    systems = [name for name in SYSTEMS if any(system == name for system, *_ in points)]
    cells = {"en_ko_en": "En→Ko, asked in English", "en_ko_ko": "En→Ko, in Korean"}
    cells |= {"ko_en_en": "Ko→En, in English", "ko_en_ko": "Ko→En, in Korean"}
    gained = [
        Series(f"{SYSTEMS[system]}: {label}", points[system, f"translate_{cell}", "bleu"], style)
        for style, (system, (cell, label)) in enumerate((one, cell) for one in systems for cell in cells.items())
    ]
    news = [
        Series(f"{SYSTEMS[system]}: {label} news", points[system, f"{label.lower()}_news", "bits_per_byte"], style)
        for style, (system, label) in enumerate((one, label) for one in systems for label in ("Korean", "English"))
    ]
    # Room for the legend: BLEU rises towards it.
    bleu = (0.0, 1.5 * max(value for one in gained for _, value in one.points))
    translation = line_chart(gained, (760, 400), ("step", "BLEU, 100 sentences"), bleu)
    return {
        "real_model_translation": standalone(translation, gained),
        "real_model_news": standalone(line_chart(news, (760, 300), ("step", "bits per byte of news")), news),
    }


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
