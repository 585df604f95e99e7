"""Take the miniature's results into README and docs: `make results`, after `make miniature`.

`python docs/update_results.py runs/miniature_world_8 second_world` takes the second world's into docs/results.md,
`python docs/update_results.py runs/smollm2_korean_budget real_model` the real model's into docs/real_model.md.
"""

import csv
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from crosstune.runs.files import read_json, write_json
from crosstune.runs.provenance import public

ROOT = Path(__file__).parent.parent
END = "<!-- end of results -->"


class Results(NamedTuple):
    """Where the results of a run go, and what of them stands in a table on a page.

    Attributes:
        report: in docs, the report; its tables stand beside it.
        pages: with a table between BEGIN and END.
        columns: title, task, metric, format.
        has_intervals: whether they stand in the table, too.
    """

    report: str
    tables: str
    of: str
    pages: tuple[str, ...]
    systems: Mapping[str, str]
    columns: Sequence[tuple[str, str, str, str]]
    has_intervals: bool = False

    @property
    def begin(self) -> str:
        """What a table stands behind."""
        return f"<!-- results of {self.of}: written by docs/update_results.py -->"


MINIATURE = Results(
    "miniature/report.md",
    "miniature/tables.csv",
    "the miniature",
    ("README.md", "README.ko.md"),
    {
        "llama": "the English base",
        "lora": "LoRA on Korean instructions",
        "continued": "continued pretraining on Korean",
        "ours": "the paper's mixture",
        "bilingual": "bilingual mixture",
    },
    (
        ("HellaSwag", "hellaswag", "acc", ".3f"),
        ("COPA", "copa", "acc", ".3f"),
        ("NSMC", "nsmc", "acc", ".3f"),
        ("En→Ko, asked in English", "translate_en_ko_en", "bleu", ".1f"),
        ("En→Ko, asked in Korean", "translate_en_ko_ko", "bleu", ".1f"),
    ),
)
SECOND_WORLD = MINIATURE._replace(
    report="miniature/second_world.md", tables="miniature/second_world.csv", pages=("docs/results.md",)
)
REAL_MODEL = Results(
    "real_model/report.md",
    "real_model/tables.csv",
    "the real model",
    ("docs/real_model.md",),
    {
        "smollm2": "SmolLM2-135M-Instruct",
        "lora": "LoRA on Korean instructions",
        "continued": "continued pretraining on Korean",
        "paper": "the paper's mixture",
        "bilingual": "bilingual mixture",
        "without_translation": "without translation",
    },
    (
        ("HellaSwag, length-normalized", "hellaswag", "acc_norm", ".3f"),
        ("COPA", "copa", "acc", ".3f"),
        ("English news, bits per byte", "english_news", "bits_per_byte", ".3f"),
        ("Korean news, bits per byte", "korean_news", "bits_per_byte", ".3f"),
        ("NSMC by likelihood", "nsmc_choice", "acc", ".3f"),
        ("En→Ko, asked in English, chrF++", "translate_en_ko_en", "chrf++", ".1f"),
        ("En→Ko, asked in Korean, chrF++", "translate_en_ko_ko", "chrf++", ".1f"),
        ("Ko→En, asked in English, chrF++", "translate_ko_en_en", "chrf++", ".1f"),
        ("Ko→En, asked in Korean, chrF++", "translate_ko_en_ko", "chrf++", ".1f"),
    ),
    has_intervals=True,
)
RESULTS = {"report": MINIATURE, "second_world": SECOND_WORLD, "real_model": REAL_MODEL}
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
    run, results = Path(sys.argv[1]), RESULTS[(sys.argv[2:] or ["report"])[0]]
    report, tables = ROOT / "docs" / results.report, ROOT / "docs" / results.tables
    report.parent.mkdir(exist_ok=True)
    shutil.copyfile(run / "report" / "report.md", report)
    shutil.copyfile(run / "report" / "tables.csv", tables)
    if report.name == "report.md":
        write_json(report.with_name("run.json"), public(read_json(run / "run.json")))
    for page in results.pages:
        before, rest = (ROOT / page).read_text(encoding="utf-8").split(results.begin)
        _, _, after = rest.partition(END)
        table = "\n".join(table_of(tables, results, KOREAN if page.endswith(".ko.md") else {}))
        text = f"{before}{results.begin}\n\n{table}\n\n{END}{after}"
        (ROOT / page).write_text(text, encoding="utf-8")


def table_of(path: Path, results: Results = MINIATURE, words: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return a page's table: what was kept of English, and what was gained in Korean; ``words`` translates it.

    Systems that are not scored yet are left out.
    """
    with path.open(encoding="utf-8", newline="") as file:
        scores = {(row["system"], row["task"], row["metric"]): row for row in csv.DictReader(file)}
    titles = [words.get(title, title) for title in ("system", *(title for title, *_ in results.columns))]
    lines = [f"| {' | '.join(titles)} |", f"|---|{'---:|' * len(results.columns)}"]
    scored = {system for system, *_ in scores}
    for system, label in results.systems.items():
        if system in scored:
            found = [(scores[system, task, metric], form) for _, task, metric, form in results.columns]
            values = [_value(row, form, results.has_intervals) for row, form in found]
            lines.append(f"| {words.get(label, label)} | {' | '.join(values)} |")
    return lines


def _value(row: Mapping[str, str], form: str, has_interval: bool) -> str:
    value, low, high = (float(row[name]) if row[name] else None for name in ("value", "low", "high"))
    if not has_interval or low is None or high is None:
        return format(value, form)
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


if __name__ == "__main__":
    main()
