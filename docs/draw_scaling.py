"""Take the tables of docs/scaling.md from `crosstune plan`'s count and from the learning curves, and draw these.

python docs/draw_scaling.py [cards] [curves]
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "scaling.md"
CURVES = ROOT / "benchmarks" / "results" / "precision_curves.json"
# As many as the paper adds to LLaMA-2's vocabulary.
NEW_PIECES = 14_336
TOKENS = 100_000_000
MFU = 0.4
# Losses of single steps hide a curve behind the differences of their rows.
STEPS_PER_POINT = 50


def cards_table() -> str:
    """Return how each known model goes on a card of each size."""
    from crosstune.plan.known_models import config_of_model, ways_on_cards
    from crosstune.plan.machines import CARDS, GPUS, MODELS, Machine
    from crosstune.plan.print_plan import on_card

    machines = [Machine(GPUS[card], 1, MFU) for card in CARDS]
    heads = " | ".join(f"{machine.gpu.name}, {machine.gpu.memory_gb:g} GB" for machine in machines)
    lines = [f"| model | way of training | {heads} |", "|---|---|---|---|---|"]
    for name in MODELS:
        title, config = config_of_model(name, NEW_PIECES)
        for way in ways_on_cards(config, NEW_PIECES, TOKENS, machines):
            lines.append(f"| {title} | {way.name} | {' | '.join(map(on_card, way.cards))} |")
            title = ""
    return "\n".join(lines)


def curves_section() -> str:
    """Return the section of learning curves: where each ends, and how far it is from that in float32."""
    content = read_curves()
    hardware = content["hardware"]
    lines = [
        "## Learning curves",
        "",
        "```bash",
        "python benchmarks/precision_curves.py runs/miniature --json benchmarks/results/precision_curves.json",
        "python docs/draw_scaling.py curves",
        "```",
        "",
        f"This trains the miniature's English model on the paper's mixture for {content['steps']:,} steps of "
        f"{content['rows']} rows, with weights in",
        "several precisions. All runs have the same rows in the same order, except those with another seed: they show",
        "how far apart two runs are that differ in nothing else. The distance from float32 is the mean over stretches",
        f"of {STEPS_PER_POINT} steps. {hardware['processor']}, {hardware['cores']} AVX2 cores, one of them used; torch "
        f"{content['versions']['torch']}.",
        "",
        "| run | loss of the last 100 steps | distance from float32 | held out, bits per byte: English | Korean |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, curve in content["curves"].items():
        plain = content["curves"]["full, float32" if name.startswith("full") else "lora, base float32"]
        last = fmean(curve["losses"][-100:])
        distance = fmean(abs(mine - theirs) for mine, theirs in zip(points(curve), points(plain), strict=True))
        held_out = curve["held_out"][-1]
        lines.append(
            f"| {name} | {last:.4f} | {'' if curve is plain else f'{distance:.4f}'} | {held_out['en']:.4f} | "
            f"{held_out['ko']:.4f} |"
        )
    return "\n".join([*lines, "", "![Training loss of each run](precision_curves.svg)"])


def points(curve: dict[str, Any]) -> list[float]:
    """Return the mean losses of stretches of steps."""
    losses = curve["losses"]
    return [fmean(losses[first : first + STEPS_PER_POINT]) for first in range(0, len(losses), STEPS_PER_POINT)]


def draw_curves() -> str:
    """Draw all learning curves."""
    from crosstune.report.write.charts import Series, line_chart, standalone

    curves = read_curves()["curves"]
    drawn = [
        Series(name, [((place + 0.5) * STEPS_PER_POINT, loss) for place, loss in enumerate(points(curve))], number)
        for number, (name, curve) in enumerate(curves.items())
    ]
    labels = ("step", f"training loss, mean of {STEPS_PER_POINT} steps")
    return standalone(line_chart(drawn, (760, 420), labels), drawn)


def read_curves() -> dict[str, Any]:
    """Return what the benchmark wrote."""
    content: dict[str, Any] = json.loads(CURVES.read_text(encoding="utf-8"))
    return content


TABLES: dict[str, Callable[[], str]] = {"cards": cards_table, "curves": curves_section}


def main(names: list[str]) -> None:
    """Put the named parts into the page, all by default."""
    for name in names or list(TABLES):
        table = TABLES[name]()
        text = PAGE.read_text(encoding="utf-8")
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if len(re.findall(f"{begin}.*?{end}", text, flags=re.DOTALL)) != 1:
            sys.exit(f"{PAGE} needs one pair of the lines {begin} and {end}, between which the table is put")
        before, after = text.split(begin)[0], text.split(end)[1]
        PAGE.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")
        if name == "curves":
            (ROOT / "docs" / "precision_curves.svg").write_text(draw_curves(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
