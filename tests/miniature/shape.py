"""What the paper found, and the remedy, as claims about the scores of a whole miniature."""

import csv
from pathlib import Path

BASELINES = ("llama", "lora", "continued")
CELLS = ("translate_en_ko_en", "translate_en_ko_ko", "translate_ko_en_en", "translate_ko_en_ko")
# value, low, high and n, by system, task and metric.
Scores = dict[tuple[str, str, str], dict[str, float]]


def read_scores(run: Path) -> Scores:
    """Return the scores of a run, as its report tells them."""
    with (run / "report" / "tables.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["system"], row["task"], row["metric"]): {key: float(row[key]) for key in ("value", "low", "high", "n")}
            for row in csv.DictReader(file)
        }


def value(scores: Scores, system: str, task: str, metric: str) -> float:
    return scores[system, task, metric]["value"]


def every_system_is_scored_on_every_task_with_250_items(scores: Scores) -> None:
    tasks = [("hellaswag", "acc"), ("copa", "acc"), ("nsmc", "acc"), *((cell, "bleu") for cell in CELLS)]
    for system in (*BASELINES, "ours", "bilingual"):
        assert [scores[system, task, metric]["n"] for task, metric in tasks] == [250] * len(tasks)


def the_base_knows_english_and_next_to_no_korean(scores: Scores) -> None:
    assert scores["llama", "hellaswag", "acc"]["low"] > 0.4  # chance 0.25
    assert scores["llama", "copa", "acc"]["low"] > 0.75  # chance 0.5
    assert value(scores, "llama", "nsmc", "acc") < 0.1
    assert all(value(scores, "llama", cell, "bleu") < 2 for cell in CELLS)


def the_papers_mixture_keeps_english(scores: Scores) -> None:
    base, ours = (scores[system, "hellaswag", "acc"] for system in ("llama", "ours"))
    assert ours["high"] >= base["low"], "HellaSwag fell by more than noise"
    assert value(scores, "ours", "copa", "acc") >= value(scores, "llama", "copa", "acc") - 0.04


def the_papers_mixture_gains_korean(scores: Scores) -> None:
    nsmc = scores["ours", "nsmc", "acc"]
    assert nsmc["low"] > 0.5
    assert all(nsmc["value"] > scores[system, "nsmc", "acc"]["high"] for system in BASELINES)
    bleu = scores["ours", "translate_en_ko_en", "bleu"]
    assert bleu["value"] > 50
    # From the lower end of one interval to the upper of the other. The paper has 22 times, between its values. A
    # baseline that says nothing but 것이다., the end of many references, may get 4 BLEU for it.
    assert all(bleu["low"] >= 10 * scores[system, "translate_en_ko_en", "bleu"]["high"] for system in BASELINES)


def the_papers_mixture_collapses_under_the_korean_instruction(scores: Scores) -> None:
    english, korean = (scores["ours", f"translate_en_ko_{language}", "bleu"] for language in ("en", "ko"))
    assert korean["high"] < english["low"] and korean["value"] < 0.8 * english["value"]


def the_bilingual_mixture_heals_the_collapse(scores: Scores) -> None:
    assert all(value(scores, "bilingual", cell, "bleu") > 60 for cell in CELLS)
    for direction in ("en_ko", "ko_en"):
        cells = [value(scores, "bilingual", f"translate_{direction}_{language}", "bleu") for language in ("en", "ko")]
        assert min(cells) >= 0.95 * max(cells)


CLAIMS = (
    every_system_is_scored_on_every_task_with_250_items,
    the_base_knows_english_and_next_to_no_korean,
    the_papers_mixture_keeps_english,
    the_papers_mixture_gains_korean,
    the_papers_mixture_collapses_under_the_korean_instruction,
    the_bilingual_mixture_heals_the_collapse,
)
