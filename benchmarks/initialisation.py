"""How new rows should start: bits per byte on held-out Korean before and while a base learns it, by method and seed.

    python benchmarks/initialisation.py --run runs/miniature --json benchmarks/results/initialisation_miniature.json

Takes the base, the extended tokenizer, the Korean text and the settings of training from a finished run, holds every
20th document of the text out, and trains one model for each method and seed through the train stage, all else equal.
Prints a Markdown table; interrupted, it goes on where it was.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from crosstune.prompts.examples import read_examples, write_examples
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs.files import read_json, write_json
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.runs.provenance import hardware
from crosstune.train import stage as train_stage

HELD_OUT_EVERY = 20


def methods(mixture: str) -> dict[str, dict[str, Any]]:
    """Return the settings of `new_rows` under the names of the table."""
    return {
        "random": {"method": "random"},
        "mean_of_subwords": {"method": "mean_of_subwords"},
        "mean_of_subwords + noise": {"method": "mean_of_subwords", "noise": 1.0},
        "weighted": {"method": "weighted"},
        "focus": {"method": "focus", "mixture": mixture},
        "aligned": {"method": "aligned", "mixture": mixture},
    }


def make_run(finished: RunFolder, folder: Path, text: str, mixture: str) -> RunFolder:
    """Return a run folder with the finished run's tokenizers and mixture, and its text parted in two."""
    run = RunFolder(folder)
    for path in ("tokenizer", f"data/mixtures/{mixture}"):
        link = folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((finished.root / path).resolve())
    examples = read_examples(finished.mixture(text) / "examples.parquet")
    held_out = [example for index, example in enumerate(examples) if index % HELD_OUT_EVERY == 0]
    known = {example.completion for example in held_out}
    parts = {"learnt": [example for example in examples if example.completion not in known], "held_out": held_out}
    for name, part in parts.items():
        if not run.mixture(name).exists():
            with whole_folder(run.mixture(name), f"{text} {name}", {}) as temporary:
                write_examples(temporary / "examples.parquet", part)
    return run


def make_recipe(finished: Recipe, run: RunFolder, base: Path, arguments: argparse.Namespace) -> Recipe:
    """Return a recipe with a system for each method and seed, trained as the finished run's system was."""
    content = finished.model_dump(mode="json")
    model = content["systems"][arguments.system]
    settings = {"mixture": "learnt", "num_epochs": None, "num_steps": arguments.num_steps}
    systems = {
        f"m{index}_{seed}": {
            "start": str(base.resolve()),
            "tokenizer": "extended",
            "label": name,
            "new_rows": new_rows,
            "seed": seed,
            "phases": [{**model["phases"][0], **settings}],
        }
        for seed in range(1, arguments.num_seeds + 1)
        for index, (name, new_rows) in enumerate(methods(arguments.mixture).items())
    }
    text = content["data"]["mixtures"][arguments.text]
    content |= {"name": run.root.name, "runs_root": str(run.root.parent), "systems": systems}
    content["data"]["mixtures"] |= {"learnt": text, "held_out": text}
    content["train"] |= {"validation": "held_out", "validate_every_steps": arguments.validate_every_steps}
    content["evaluate"] = {"reference_system": next(iter(systems)), "tasks": {}}
    return yaml_file.validate(content, "the benchmark")


def result_of(recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    """Return by method: bits per byte of each seed by step, and how many rows started in which way."""
    found: dict[str, Any] = {}
    for name, system in recipe.systems.items():
        lines = (run.system(name) / "validation.jsonl").read_text(encoding="utf-8").splitlines()
        config = read_json(run.system(name) / "model" / "config.json")
        method = found.setdefault(
            system.label, {"num_rows": config["crosstune_new_rows"]["num_rows"], "bits_per_byte": {}}
        )
        for row in map(json.loads, lines):
            scores = method["bits_per_byte"].setdefault(str(row["step"]), [])
            scores.append(round(row["bits_per_byte"][recipe.languages.targets[0]], 4))
    return found


def as_table(found: dict[str, Any]) -> str:
    """Return a Markdown table: mean and standard deviation over the seeds, methods by rows and steps by columns."""
    steps = list(next(iter(found.values()))["bits_per_byte"])
    lines = [f"| method | {' | '.join(f'step {step}' for step in steps)} |", "|---|" + "---|" * len(steps)]
    for name, method in found.items():
        cells = [
            f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f}"
            for scores in method["bits_per_byte"].values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Train, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a finished run folder")
    parser.add_argument("--base", default="llama", help="the system of that run that is the base")
    parser.add_argument("--system", default="continued", help="the system of that run whose training is repeated")
    parser.add_argument("--text", default="korean_text", help="the mixture of plain text that is learnt and held out")
    parser.add_argument("--mixture", default="paper", help="the mixture that focus and aligned learn from")
    parser.add_argument("--num-seeds", type=int, default=3, help="2 or more")
    parser.add_argument("--num-steps", type=int, default=200)
    parser.add_argument("--validate-every-steps", type=int, default=50)
    parser.add_argument("--folder", type=Path, default=Path("runs/initialisation"), help="where the models go")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    finished = RunFolder(arguments.run)
    run = make_run(finished, arguments.folder, arguments.text, arguments.mixture)
    base = finished.system(arguments.base) / "model"
    recipe = make_recipe(yaml_file.load_recipe(finished.recipe), run, base, arguments)
    train_stage.run(recipe, run)
    found = result_of(recipe, run)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.json, {"hardware": hardware(), "methods": found})
    print(as_table(found))


if __name__ == "__main__":
    main()
