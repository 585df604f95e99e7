"""What docs/real_model.md says of the paper's findings holds in the scores of the run beside it, or of one's own.

REAL_RUN names the folder of a run of `make real-budget` or `make real`.
"""

import csv
import os
from pathlib import Path
from typing import NamedTuple

import pytest

MIXTURES = ("paper", "without_translation", "bilingual")


class Interval(NamedTuple):
    low: float
    high: float

    def is_below(self, other: "Interval") -> bool:
        return self.high < other.low


Scores = dict[tuple[str, str, str], Interval]


@pytest.fixture(scope="module")
def scores() -> Scores:
    run = os.environ.get("REAL_RUN")
    folder = Path(run) / "report" if run else Path(__file__).parents[1] / "docs" / "real_model"
    with (folder / "tables.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["system"], row["task"], row["metric"]): Interval(float(row["low"]), float(row["high"]))
            for row in csv.DictReader(file)
            if row["low"]
        }


def test_korean_text_alone_loses_more_english_than_any_mixture(scores: Scores) -> None:
    lost = scores["continued", "english_news", "bits_per_byte"]
    assert all(scores[name, "english_news", "bits_per_byte"].is_below(lost) for name in ("smollm2", *MIXTURES))
    gained = scores["continued", "korean_news", "bits_per_byte"]
    assert all(gained.is_below(scores[name, "korean_news", "bits_per_byte"]) for name in ("smollm2", *MIXTURES))


def test_the_papers_mixture_translates_worse_when_it_is_asked_in_korean_and_the_bilingual_one_not(
    scores: Scores,
) -> None:
    asked = {name: [scores[name, f"translate_en_ko_{by}", "chrf++"] for by in ("en", "ko")] for name in MIXTURES}
    assert asked["paper"][1].is_below(asked["paper"][0])
    assert not asked["bilingual"][1].is_below(asked["bilingual"][0])


def test_only_the_bilingual_mixture_learns_to_translate_into_english(scores: Scores) -> None:
    for by in ("en", "ko"):
        learned = scores["bilingual", f"translate_ko_en_{by}", "chrf++"]
        others = ("smollm2", "continued", "paper", "without_translation")
        assert all(scores[name, f"translate_ko_en_{by}", "chrf++"].is_below(learned) for name in others)


def test_lora_on_korean_instructions_keeps_english_text_and_does_not_translate(scores: Scores) -> None:
    kept, before = (scores[name, "english_news", "bits_per_byte"] for name in ("lora", "smollm2"))
    assert not before.is_below(kept)
    assert kept.is_below(scores["continued", "english_news", "bits_per_byte"])
    for direction, by in (("en_ko", "en"), ("en_ko", "ko"), ("ko_en", "en"), ("ko_en", "ko")):
        task = f"translate_{direction}_{by}"
        assert scores["lora", task, "chrf++"].is_below(scores["bilingual", task, "chrf++"])
