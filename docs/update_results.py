"""Take the miniature's results into README and docs: `make results`, after `make miniature`.

`python docs/update_results.py runs/miniature_world_8 second_world` takes the second world's into docs/results.md.
"""

import csv
import shutil
import sys
from pathlib import Path

from crosstune.runs.files import read_json, write_json
from crosstune.runs.provenance import public

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results of the miniature: written by docs/update_results.py -->", "<!-- end of results -->"
PAGES = {"report": "README.md", "second_world": "docs/results.md"}

SYSTEMS = {
    "llama": "the English base",
    "lora": "LoRA on Korean instructions",
    "continued": "continued pretraining on Korean",
    "ours": "the paper's mixture",
    "bilingual": "bilingual mixture",
}
# Title, task, metric, format.
COLUMNS = (
    ("HellaSwag", "hellaswag", "acc", ".3f"),
    ("COPA", "copa", "acc", ".3f"),
    ("NSMC", "nsmc", "acc", ".3f"),
    ("En→Ko, asked in English", "translate_en_ko_en", "bleu", ".1f"),
    ("En→Ko, asked in Korean", "translate_en_ko_ko", "bleu", ".1f"),
)


def main() -> None:
    """Copy tables and report, and set a small table into the page that shows it."""
    run, name = Path(sys.argv[1]), (sys.argv[2:] or ["report"])[0]
    target = ROOT / "docs" / "miniature"
    tables = "tables" if name == "report" else name
    shutil.copyfile(run / "report" / "report.md", target / f"{name}.md")
    shutil.copyfile(run / "report" / "tables.csv", target / f"{tables}.csv")
    if name == "report":
        write_json(target / "run.json", public(read_json(run / "run.json")))
    page = ROOT / PAGES[name]
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    table = "\n".join(table_of(target / f"{tables}.csv"))
    page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def table_of(path: Path) -> list[str]:
    """Return the README's table: what was kept of English, and what was gained in Korean."""
    with path.open(encoding="utf-8", newline="") as file:
        scores = {(row["system"], row["task"], row["metric"]): row for row in csv.DictReader(file)}
    lines = [f"| system | {' | '.join(title for title, *_ in COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    for system, label in SYSTEMS.items():
        values = [f"{float(scores[system, task, metric]['value']):{form}}" for _, task, metric, form in COLUMNS]
        lines.append(f"| {label} | {' | '.join(values)} |")
    return lines


if __name__ == "__main__":
    main()
