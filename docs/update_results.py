"""Take the miniature's results into docs/results.md: `make results`, after `make miniature`.

`python docs/update_results.py runs/miniature_world_8 second_world` takes the second world's there,
`python docs/update_results.py runs/smollm2_korean_budget real_model` the real model's to docs/real_model.md and README,
`... runs/smollm2_korean_chat chat` and `... runs/smollm2_korean_cure chat_cure` those of the chat model,
`... runs/gemma3_chat_vector chat_vector` those of the chat vector,
and `... runs/smollm2_korean_paper_cure paper_cure` those of the real model's cure.
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


class Table(NamedTuple):
    """What of a run's results stands on a page.

    Attributes:
        columns: title, task, metric, format.
        has_intervals: whether they stand in the table, too.
    """

    columns: Sequence[tuple[str, str, str, str]]
    has_intervals: bool = False


class Results(NamedTuple):
    """Where the results of a run go.

    Attributes:
        report: in docs, the report; its tables stand beside it.
        pages: the table that each page has between BEGIN and END.
        systems: how the tables call them, in their order.
    """

    report: str
    tables: str
    of: str
    pages: Mapping[str, Table]
    systems: Mapping[str, str]

    @property
    def begin(self) -> str:
        """What a table stands behind."""
        return f"<!-- results of {self.of}: written by docs/update_results.py -->"


MINIATURE_TABLE = Table(
    (
        ("HellaSwag", "hellaswag", "acc", ".3f"),
        ("COPA", "copa", "acc", ".3f"),
        ("NSMC", "nsmc", "acc", ".3f"),
        ("En→Ko, asked in English", "translate_en_ko_en", "bleu", ".1f"),
        ("En→Ko, asked in Korean", "translate_en_ko_ko", "bleu", ".1f"),
    )
)
MINIATURE = Results(
    "miniature/report.md",
    "miniature/tables.csv",
    "the miniature",
    {"docs/results.md": MINIATURE_TABLE},
    {
        "llama": "the English base",
        "lora": "LoRA on Korean instructions",
        "continued": "continued pretraining on Korean",
        "ours": "the paper's mixture",
        "bilingual": "bilingual mixture",
    },
)
SECOND_WORLD = MINIATURE._replace(
    report="miniature/second_world.md", tables="miniature/second_world.csv", of="the second world"
)
SHORT = Table(
    (
        ("HellaSwag", "hellaswag", "acc", ".3f"),
        ("COPA", "copa", "acc", ".3f"),
        ("English news", "english_news", "bits_per_byte", ".3f"),
        ("Korean news", "korean_news", "bits_per_byte", ".3f"),
        ("En→Ko, asked in English", "translate_en_ko_en", "chrf++", ".1f"),
        ("En→Ko, asked in Korean", "translate_en_ko_ko", "chrf++", ".1f"),
        ("Ko→En, asked in English", "translate_ko_en_en", "chrf++", ".1f"),
    )
)
WHOLE = Table(
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
REAL_MODEL = Results(
    "real_model/report.md",
    "real_model/tables.csv",
    "the real model",
    {"docs/real_model.md": WHOLE, "README.md": SHORT, "README.ko.md": SHORT},
    {
        "smollm2": "SmolLM2-135M-Instruct",
        "lora": "LoRA on Korean instructions",
        "continued": "continued pretraining on Korean",
        "paper": "the paper's mixture",
        "without_translation": "without translation",
        "bilingual": "bilingual mixture",
    },
)
KEPT = Table(
    (
        ("instructions passed, English", "instructions_en", "pass_rate", ".3f"),
        ("instructions passed, Korean", "instructions_ko", "pass_rate", ".3f"),
        ("English questions answered in English", "open_questions_en", "in_language", ".3f"),
        ("HellaSwag", "hellaswag", "acc", ".3f"),
        ("COPA", "copa", "acc", ".3f"),
        ("English news", "english_news", "bits_per_byte", ".3f"),
        ("Korean news", "korean_news", "bits_per_byte", ".3f"),
    ),
    has_intervals=True,
)
CHAT = Results(
    "chat/report.md",
    "chat/tables.csv",
    "the chat model",
    {"docs/results.md": KEPT},
    {
        "chat": "before",
        "korean": "Korean",
        "published": "Korean and published English answers",
        "replay": "Korean and its own English answers",
        "interpolated": "Korean, interpolated with before",
        "copied": "Korean, special tokens copied back",
    },
)
CHAT_CURE = Results(
    "chat/cure.md",
    "chat/cure.csv",
    "the chat model's cure",
    {"docs/results.md": KEPT},
    {"korean": "Korean", "nll": "then the references alone", "cpo": "then CPO", "dpo": "then DPO"},
)
VECTOR = Results(
    "chat/vector.md",
    "chat/vector.csv",
    "the chat vector",
    {
        "docs/results.md": Table(
            (
                ("English instructions passed", "instructions_en", "pass_rate", ".3f"),
                ("answered in English", "instructions_en", "answered_in_language", ".3f"),
                ("Korean instructions passed", "instructions_ko", "pass_rate", ".3f"),
                ("answered in Korean", "instructions_ko", "answered_in_language", ".3f"),
                ("English news", "english_news", "bits_per_byte", ".3f"),
                ("Korean news", "korean_news", "bits_per_byte", ".3f"),
            ),
            has_intervals=True,
        )
    },
    {
        "gemma3": "Gemma 3 270M",
        "chat": "English chat",
        "chat_then_korean": "English chat, then Korean",
        "korean": "Korean",
        "half_vector": "Korean + half the chat vector",
        "vector": "Korean + the chat vector",
    },
)
PAPER_CURE = Results(
    "real_model/cure.md",
    "real_model/cure.csv",
    "the real model's cure",
    {
        "docs/results.md": Table(
            (
                ("En→Ko, asked in English, BLEU", "translate_en_ko_en", "bleu", ".1f"),
                ("asked in Korean", "translate_en_ko_ko", "bleu", ".1f"),
                ("Ko→En, asked in English, chrF++", "translate_ko_en_en", "chrf++", ".1f"),
                ("asked in Korean", "translate_ko_en_ko", "chrf++", ".1f"),
                ("HellaSwag", "hellaswag", "acc", ".3f"),
                ("COPA", "copa", "acc", ".3f"),
                ("English news", "english_news", "bits_per_byte", ".3f"),
                ("Korean news", "korean_news", "bits_per_byte", ".3f"),
            ),
            has_intervals=True,
        )
    },
    {"paper": "the paper's mixture", "nll": "then the references alone", "cpo": "then CPO", "dpo": "then DPO"},
)
RESULTS = {
    "report": MINIATURE,
    "second_world": SECOND_WORLD,
    "real_model": REAL_MODEL,
    "chat": CHAT,
    "chat_cure": CHAT_CURE,
    "chat_vector": VECTOR,
    "paper_cure": PAPER_CURE,
}
KOREAN = {
    "system": "시스템",
    "LoRA on Korean instructions": "LoRA, 한국어 지시문",
    "continued pretraining on Korean": "한국어 추가 사전학습",
    "the paper's mixture": "논문의 데이터 구성",
    "without translation": "번역 데이터 없음",
    "bilingual mixture": "이중 언어 데이터 구성",
    "English news": "영어 뉴스",
    "Korean news": "한국어 뉴스",
    "En→Ko, asked in English": "영→한, 영어 지시문",
    "En→Ko, asked in Korean": "영→한, 한국어 지시문",
    "Ko→En, asked in English": "한→영, 영어 지시문",
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
    for page, shown in results.pages.items():
        words = KOREAN if page.endswith(".ko.md") else {}
        put(ROOT / page, results.begin, table_of(tables, results.systems, shown, words))


def put(page: Path, begin: str, table: Sequence[str]) -> None:
    """Put a table into a page, between a line and END."""
    before, rest = page.read_text(encoding="utf-8").split(begin)
    _, _, after = rest.partition(END)
    text = "\n".join(table)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def table_of(
    path: Path, systems: Mapping[str, str], table: Table, words: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return a page's table: what was kept of English, and what was gained in Korean; ``words`` translates it.

    Systems that are not scored yet are left out.
    """
    with path.open(encoding="utf-8", newline="") as file:
        scores = {(row["system"], row["task"], row["metric"]): row for row in csv.DictReader(file)}
    titles = [words.get(title, title) for title in ("system", *(title for title, *_ in table.columns))]
    lines = [f"| {' | '.join(titles)} |", f"|---|{'---:|' * len(table.columns)}"]
    scored = {system for system, *_ in scores}
    for system, label in systems.items():
        if system in scored:
            found = [(scores[system, task, metric], form) for _, task, metric, form in table.columns]
            values = [_value(row, form, table.has_intervals) for row, form in found]
            lines.append(f"| {words.get(label, label)} | {' | '.join(values)} |")
    return lines


def _value(row: Mapping[str, str], form: str, has_interval: bool) -> str:
    value, low, high = (float(row[name]) if row[name] else None for name in ("value", "low", "high"))
    if not has_interval or low is None or high is None:
        return format(value, form)
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


if __name__ == "__main__":
    main()
