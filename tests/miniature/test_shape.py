"""The whole miniature shows what the paper found, and the remedy: held to a run of `make test-all`."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.miniature.shape import BASELINES, CELLS, CLAIMS, Scores, read_scores

RUN = os.environ.get("MINIATURE_RUN")
CHOICES = {"hellaswag": 0.6, "copa": 0.9}
# NSMC, and BLEU in the four cells.
KOREAN = {
    **dict.fromkeys(BASELINES, (0.0, [0.1, 0.1, 0.1, 0.1])),
    "ours": (0.7, [58.0, 20.0, 0.1, 0.1]),
    "bilingual": (0.7, [75.0, 75.0, 80.0, 80.0]),
}


@pytest.mark.skipif(not RUN, reason="needs the folder of a whole miniature: make test-all")
@pytest.mark.parametrize("claim", CLAIMS)
def test_the_whole_miniature_shows_it(claim: Callable[[Scores], None]) -> None:
    assert RUN
    claim(read_scores(Path(RUN)))


@pytest.fixture
def scores(tmp_path: Path) -> Scores:
    """Scores that show it all, by way of a report's table."""
    rows = []
    for system, (nsmc, cells) in KOREAN.items():
        of_system = [(task, "acc", found, 0.05) for task, found in {**CHOICES, "nsmc": nsmc}.items()]
        of_system += [(cell, "bleu", bleu, bleu / 20) for cell, bleu in zip(CELLS, cells, strict=True)]
        rows += [[system, task, metric, of, of - by, of + by, 250, 1] for task, metric, of, by in of_system]
    (tmp_path / "report").mkdir()
    with (tmp_path / "report" / "tables.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["system", "task", "metric", "value", "low", "high", "n", "seed"], *rows])
    return read_scores(tmp_path)


def test_scores_that_show_it_are_taken(scores: Scores) -> None:
    for claim in CLAIMS:
        claim(scores)


@pytest.mark.parametrize(
    ("system", "task", "found", "refuted"),
    [
        ("continued", "copa", {"n": 249}, {"every_system_is_scored_on_every_task_with_250_items"}),
        ("llama", "copa", {"low": 0.75}, {"the_base_knows_english_and_next_to_no_korean"}),
        ("llama", "translate_ko_en_ko", {"value": 2.0}, {"the_base_knows_english_and_next_to_no_korean"}),
        ("ours", "hellaswag", {"high": 0.54}, {"the_papers_mixture_keeps_english"}),
        ("ours", "copa", {"value": 0.85}, {"the_papers_mixture_keeps_english"}),
        ("ours", "nsmc", {"low": 0.5}, {"the_papers_mixture_gains_korean"}),
        ("lora", "translate_en_ko_en", {"high": 6.0}, {"the_papers_mixture_gains_korean"}),
        ("ours", "translate_en_ko_ko", {"value": 50.0}, {"the_papers_mixture_collapses_under_the_korean_instruction"}),
        ("ours", "translate_en_ko_ko", {"high": 56.0}, {"the_papers_mixture_collapses_under_the_korean_instruction"}),
        ("bilingual", "translate_en_ko_ko", {"value": 71.0}, {"the_bilingual_mixture_heals_the_collapse"}),
        ("bilingual", "translate_ko_en_en", {"value": 60.0}, {"the_bilingual_mixture_heals_the_collapse"}),
    ],
)
def test_a_score_that_refutes_it_is_found(
    scores: Scores, system: str, task: str, found: dict[str, float], refuted: set[str]
) -> None:
    scores[system, task, "bleu" if task in CELLS else "acc"].update(found)
    fallen = set()
    for claim in CLAIMS:
        try:
            claim(scores)
        except AssertionError:
            fallen.add(claim.__name__)
    assert fallen == refuted
