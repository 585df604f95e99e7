"""Take the miniature's results into README and docs: `make results`, after `make miniature`.

`python docs/update_results.py runs/miniature_world_8 second_world` takes the second world's into docs/results.md.
"""

import csv
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from crosstune.runs.files import read_json, write_json
from crosstune.runs.provenance import public

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results of the miniature: written by docs/update_results.py -->", "<!-- end of results -->"
PAGES = {"report": ("README.md", "README.ko.md"), "second_world": ("docs/results.md",)}

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
KOREAN = {
    "system": "시스템",
    "the English base": "영어 베이스 모델",
    "LoRA on Korean instructions": "LoRA, 한국어 지시문",
    "continued pretraining on Korean": "한국어 추가 사전학습",
    "the paper's mixture": "논문의 데이터 구성",
    "bilingual mixture": "이중 언어 데이터 구성",
    "En→Ko, asked in English": "영→한, 영어 지시문",
    "En→Ko, asked in Korean": "영→한, 한국어 지시문",
}


def main() -> None:
    """Copy tables and report, and set a small table into the page that shows it."""
    run, name = Path(sys.argv[1]), (sys.argv[2:] or ["report"])[0]
    target = ROOT / "docs" / "miniature"
    tables = "tables" if name == "report" else name
    shutil.copyfile(run / "report" / "report.md", target / f"{name}.md")
    shutil.copyfile(run / "report" / "tables.csv", target / f"{tables}.csv")
    if name == "report":
        write_json(target / "run.json", public(read_json(run / "run.json")))
    for page in PAGES[name]:
        before, rest = (ROOT / page).read_text(encoding="utf-8").split(BEGIN)
        _, after = rest.split(END)
        table = "\n".join(table_of(target / f"{tables}.csv", KOREAN if page.endswith(".ko.md") else {}))
        (ROOT / page).write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def table_of(path: Path, words: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return the README's table: what was kept of English, and what was gained in Korean; ``words`` translates it."""
    with path.open(encoding="utf-8", newline="") as file:
        scores = {(row["system"], row["task"], row["metric"]): row for row in csv.DictReader(file)}
    titles = [words.get(title, title) for title in ("system", *(title for title, *_ in COLUMNS))]
    lines = [f"| {' | '.join(titles)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    for system, label in SYSTEMS.items():
        values = [f"{float(scores[system, task, metric]['value']):{form}}" for _, task, metric, form in COLUMNS]
        lines.append(f"| {words.get(label, label)} | {' | '.join(values)} |")
    return lines


if __name__ == "__main__":
    main()
