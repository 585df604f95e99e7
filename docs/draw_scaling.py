"""Take the tables of docs/scaling.md from `crosstune plan`'s count and from the learning curves, and draw these.

python docs/draw_scaling.py [cards] [curves] [real_curves] [long_curves]
"""

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean
from textwrap import wrap
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "scaling.md"
# As many as the paper adds to LLaMA-2's vocabulary.
NEW_PIECES = 14_336
TOKENS = 100_000_000
MFU = 0.4


class Curves(NamedTuple):
    """Learning curves of one model.

    Attributes:
        name: of the files: the benchmark's JSON and the picture.
        command: what trains them.
        model: what is trained, on which mixture, in words.
        core: what one was used.
        steps_per_point: losses of single steps hide a curve behind the differences of their rows.
        last_steps: the end of a curve, whose mean loss stands in the table.
    """

    name: str
    title: str
    command: str
    model: str
    core: str
    steps_per_point: int
    last_steps: int

    def content(self) -> dict[str, Any]:
        """Return what the benchmark wrote."""
        found: dict[str, Any] = json.loads(
            (ROOT / "benchmarks" / "results" / f"{self.name}.json").read_text(encoding="utf-8")
        )
        return found

    def points(self, curve: dict[str, Any]) -> list[float]:
        """Return the mean losses of stretches of steps."""
        losses, size = curve["losses"], self.steps_per_point
        return [fmean(losses[first : first + size]) for first in range(0, len(losses), size)]


MINIATURE = Curves(
    "precision_curves",
    "Learning curves",
    "python benchmarks/precision_curves.py runs/miniature_long",
    "the miniature's English model on the paper's mixture",
    "with AVX2",
    50,
    100,
)
REAL = Curves(
    "precision_curves_smollm2",
    "Learning curves of a real model",
    "python benchmarks/precision_curves.py runs/smollm2_korean_budget --start smollm2 --steps 60",
    "SmolLM2-135M-Instruct, with 8,192 new pieces, on the paper's mixture",
    "with AVX2",
    10,
    20,
)
LONG = Curves(
    "precision_curves_smollm2_long",
    "The real model over 1,000 steps",
    "python benchmarks/precision_curves.py runs/smollm2_korean_chat --start chat --mixture korean --rows 2 "
    '--learning-rate 5e-5 --curves "full, float32" "full, weights bf16"',
    "SmolLM2-135M-Instruct, with 8,192 new pieces, on Korean texts and instructions",
    "a Zen 4 core that computed in bfloat16",
    50,
    100,
)


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


def curves_section(drawn: Curves) -> str:
    """Return the section of learning curves: where each ends, and how far it is from that in float32."""
    content = drawn.content()
    hardware, curves = content["hardware"], content["curves"]
    is_scored = all(curve["held_out"] for curve in curves.values())
    heads = ["run", f"loss of the last {drawn.last_steps} steps", "distance from float32"]
    heads += ["held out, bits per byte: English", "Korean"] if is_scored else []
    others = "those with another seed: they show how far apart two runs are that differ in nothing else"
    but = f", except {others}" if any("another seed" in name for name in curves) else ""
    text = (
        f"This trains {drawn.model}, for {content['steps']:,} steps of {content['rows']} rows, with weights in several "
        f"precisions. All runs have the same rows in the same order{but}. The distance from float32 is the mean over "
        f"stretches of {drawn.steps_per_point} steps. {hardware['processor']}, {hardware['cores']} cores, one of them "
        f"used, {drawn.core}; torch {content['versions']['torch']}."
    )
    lines = [
        f"## {drawn.title}",
        "",
        "```bash",
        f"{drawn.command} --json benchmarks/results/{drawn.name}.json",
        "python docs/draw_scaling.py",
        "```",
        "",
        *wrap(text, 116),
        "",
        f"| {' | '.join(heads)} |",
        f"|---{'|---:' * (len(heads) - 1)}|",
    ]
    for name, curve in curves.items():
        plain = curves["full, float32" if name.startswith("full") else "lora, base float32"]
        pairs = zip(drawn.points(curve), drawn.points(plain), strict=True)
        distance = fmean(abs(mine - theirs) for mine, theirs in pairs)
        cells = [
            name,
            f"{fmean(curve['losses'][-drawn.last_steps :]):.4f}",
            "" if curve is plain else f"{distance:.4f}",
        ]
        cells += [f"{curve['held_out'][-1][language]:.4f}" for language in ("en", "ko")] if is_scored else []
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"![Training loss of each run]({drawn.name}.svg)"])


def draw_curves(drawn: Curves) -> str:
    """Draw all learning curves."""
    from crosstune.report.write.charts import Series, line_chart, standalone

    size = drawn.steps_per_point
    lines = [
        Series(name, [((place + 0.5) * size, loss) for place, loss in enumerate(drawn.points(curve))], number)
        for number, (name, curve) in enumerate(drawn.content()["curves"].items())
    ]
    return standalone(line_chart(lines, (760, 420), ("step", f"training loss, mean of {size} steps")), lines)


CURVES = {"curves": MINIATURE, "real_curves": REAL, "long_curves": LONG}
TABLES: dict[str, Callable[[], str]] = {
    "cards": cards_table,
    **{name: partial(curves_section, drawn) for name, drawn in CURVES.items()},
}


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
        if drawn := CURVES.get(name):
            (ROOT / "docs" / f"{drawn.name}.svg").write_text(draw_curves(drawn), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
