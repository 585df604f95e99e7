"""A run folder as the other stages leave it, made up but true to format."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from crosstune.recipe import Recipe, yaml_file
from crosstune.runs.files import write_json, write_jsonl, write_text
from crosstune.runs.folder import RunFolder
from crosstune.terminal.output import console

# name: label, the paper's system, HellaSwag, COPA, NSMC, BLEU in the four cells of Table 4.
SYSTEMS: dict[str, tuple[str, str | None, float, float, float, tuple[float, float, float, float]]] = {
    "llama": ("LLaMA (base)", "llama2", 0.693, 0.937, 0.0, (0.1, 0.1, 0.1, 0.1)),
    "lora": ("LLaMA (Ko), LoRA", "lora", 0.708, 0.879, 0.529, (0.1, 0.1, 0.1, 0.3)),
    "continued": ("LLaMA (Ko), continued", "continued_pretraining", 0.689, 0.801, 0.004, (0.1, 0.3, 0.1, 0.2)),
    "ours": ("LLaMA (ours, the paper's)", "ours", 0.689, 0.901, 0.715, (0.1, 58.3, 0.1, 15.6)),
    "bilingual": ("LLaMA (bilingual)", None, 0.716, 0.916, 0.768, (90.9, 96.8, 91.2, 97.2)),
}
CELLS = ("ko_en_en", "en_ko_en", "ko_en_ko", "en_ko_ko")
NUM_ITEMS = 60
STAGE = {"method": "full", "num_epochs": 1, "global_batch_size": 8, "learning_rate": 6e-4}

HOSTILE = {
    0: "<script>document.title = 'broken'</script><img src=x onerror=\"document.title='broken'\">",
    1: "‮txet sdrawkcab‬ and نص من اليمين",
    2: "아주 긴 답 " * 1700,
    3: "</script><!-- <script>",
    4: "half a pair \ud83d, a null \x00, {{ braces }}",
    5: "",
}
FAILED = {5: ["empty"], 7: ["wrong language", "no stop"]}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "quiet", True)


def recipe_content() -> dict[str, Any]:
    systems: dict[str, Any] = {}
    for name, (label, paper_system, *_) in SYSTEMS.items():
        start: dict[str, Any] = {"start": "llama", "tokenizer": "extended"}
        if name == "llama":
            shape = {"hidden_size": 192, "num_layers": 4, "num_heads": 6, "intermediate_size": 512}
            start = {"start": "scratch", "tokenizer": "base", "architecture": shape}
        systems[name] = {"label": label, "phases": [{"mixture": "paper", **STAGE}], **start}
        if paper_system:
            systems[name]["paper_system"] = paper_system
    return {
        "name": "made_up",
        "description": "The paper's four systems and a bilingual one.",
        "seed": 3,
        "data_root": "data",
        "languages": {"source": "en", "target": "ko"},
        "data": {
            "sources": {
                "aihub": {"kind": "parallel", "paths": ["pairs.json"]},
                "alpaca": {"kind": "instructions", "language": "en", "paths": ["alpaca.json"]},
                "koalpaca": {"kind": "instructions", "language": "ko", "paths": ["koalpaca.json"]},
            },
            "mixtures": {
                "paper": [
                    {"source": "aihub", "directions": ["en-ko"], "instruction_languages": ["en"]},
                    {"source": "alpaca"},
                    {"source": "koalpaca"},
                ]
            },
        },
        "tokenizer": {
            "base": {"kind": "learned", "mixture": "paper", "num_pieces": 1400},
            "extension": {"kind": "learned", "mixture": "paper", "num_new_pieces": 900},
        },
        "systems": systems,
        "evaluate": {
            "reference_system": "llama",
            "tasks": {
                "hella": {"task": "hellaswag", "paths": ["h.jsonl"]},
                "choice": {"task": "copa_2011_test", "paths": ["c.xml"]},
                "movies": {"task": "nsmc_generate", "paths": ["n.txt"]},
                "senti": {"task": "kobest_sentineg", "paths": ["s.tsv"]},
                "pairs": {
                    "task": "translation",
                    "paths": ["t.json"],
                    "directions": ["en-ko", "ko-en"],
                    "instruction_languages": ["ko", "en"],
                },
            },
        },
        "report": {"title": "The paper in miniature"},
    }


def make_recipe(folder: Path, **changes: Any) -> Recipe:
    return yaml_file.validate({**recipe_content(), "runs_root": str(folder), **changes}, "recipe")


def write_run(recipe: Recipe, systems: tuple[str, ...] = tuple(SYSTEMS)) -> RunFolder:
    run = RunFolder(recipe.runs_root / recipe.name)
    write_text(run.recipe, yaml_file.dump(recipe))
    stages = {
        name: {"seconds": 61.0, "finished": "2025-01-02T03:04:05+00:00"} for name in ("data", "train", "evaluate")
    }
    hardware = {"processor": "AMD EPYC", "cores": 2, "memory_gb": 7.7, "system": "Linux"}
    command = "crosstune evaluate recipes/made_up.yaml"
    write_json(run.root / "run.json", {"command": command, "commit": "0123abc", "hardware": hardware, "stages": stages})
    for name in stages:
        write_text(run.root / ".stages" / f"{name}.yaml", yaml_file.dump(recipe))
    write_mixture(run)
    write_fertility(run)
    for index, name in enumerate(systems):
        write_system(run, name, index)
    return run


def write_mixture(run: RunFolder) -> None:
    parts = [
        {
            "source": "aihub",
            "rows_read": 12000,
            "examples": 11950,
            "dropped": {"duplicate": 38, "evaluation_overlap": 12},
        },
        {"source": "alpaca", "rows_read": 11000, "examples": 11000, "dropped": {}},
        {"source": "koalpaca", "rows_read": 8000, "examples": 7999, "dropped": {"empty completion": 1}},
    ]
    write_json(run.mixture("paper") / "manifest.json", {"fingerprint": "x", "parts": parts, "total": 30949})


def write_fertility(run: RunFolder) -> None:
    rows = [
        {
            "text": f"{which} text",
            "language": which,
            "tokenizer": tokenizer,
            "lines": 100,
            "words": 1200,
            "bytes": 9000,
            "tokens": 4000,
            "tokens_per_word": value,
            "bytes_per_token": 9 / value,
        }
        for which, figures in (("ko", (6.41, 1.93)), ("en", (1.31, 1.31)))
        for tokenizer, value in zip(("base", "extended"), figures, strict=True)
    ]
    parity = [
        {"text": "news", "tokenizer": tokenizer, "languages": "ko / en", "parity": value}
        for tokenizer, value in (("base", 3.199), ("extended", 1.027))
    ]
    facts = {"fingerprint": "x", "word_splitter": "whitespace", "rows": rows, "parity": parity}
    write_json(run.root / "tokenizer" / "fertility.json", facts)
    properties = [{"name": "old pieces keep their ids", "checked": 1400, "failed": 0}]
    write_json(run.tokenizer("extended") / "verification.json", {"holds": True, "properties": properties})
    write_json(run.tokenizer("extended") / "manifest.json", {"size": 2304, "new": 904, "dummies": 4})


def write_system(run: RunFolder, name: str, index: int) -> None:
    generator = random.Random(index)
    folder = run.system(name)
    num_steps = 400 + 150 * index
    rows = [metrics_row(step, num_steps, generator) for step in range(1, num_steps + 1)]
    write_jsonl(folder / "metrics.jsonl", rows)
    phase = {"mixture": "paper", "method": "full", "steps": num_steps, "tokens": 912_345, "supervised_tokens": 400_000}
    write_json(
        folder / "system.json",
        {"model": "model", "num_parameters": 2_300_000, "phases": [{**phase, "seconds": 82.4}]},
    )
    write_evaluation(folder / "evaluation", name, generator)


def metrics_row(step: int, num_steps: int, generator: random.Random) -> dict[str, Any]:
    loss = 1.2 + 5 * math.exp(-6 * step / num_steps) + generator.gauss(0, 0.15)
    sources = {
        source: {"loss": loss * factor + generator.gauss(0, 0.1), "supervised_tokens": 300}
        for source, factor in (("aihub", 0.8), ("alpaca", 1.05), ("koalpaca", 1.2))
    }
    return {
        "phase": 0,
        "step": step,
        "loss": loss,
        "loss_bits_per_byte": loss / 2.3,
        "learning_rate": 1e-3,
        "grad_norm": 1.0,
        "tokens": 2000 * step,
        "supervised_tokens": 900 * step,
        "seconds": 0.1,
        "sources": sources,
    }


def score_row(task: str, metric: str, value: float, top: float = 1.0) -> dict[str, Any]:
    half = 1.96 * math.sqrt(max(value / top * (1 - value / top), 0.0) / NUM_ITEMS) * top
    low, high = max(0.0, value - half), min(top, value + half)
    facts = {"n": NUM_ITEMS, "signature": "v1", "interval": "bootstrap", "items": f"the items of {task}"}
    return {"task": task, "metric": metric, "value": value, "low": low, "high": high, **facts}


def write_evaluation(folder: Path, name: str, generator: random.Random) -> None:
    _, _, hellaswag, copa, nsmc, bleu = SYSTEMS[name]
    outputs: list[dict[str, Any]] = []
    scores = []
    for task, accuracy in (("hella", hellaswag), ("choice", copa), ("movies", nsmc), ("senti", 0.5 + nsmc / 3)):
        right = [item < round(accuracy * NUM_ITEMS) for item in range(NUM_ITEMS)]
        outputs.extend(output_row(task, item, right[item], generator) for item in range(NUM_ITEMS))
        scores.append(score_row(task, "acc", sum(right) / NUM_ITEMS))
    scores.append(score_row("hella", "acc_norm", hellaswag + 0.02))
    scores.extend(score_row("movies", metric, 0.9 * nsmc) for metric in ("answered", "both_keywords", "acc_answered"))
    scores.append(score_row("senti", "f1", 0.4 + nsmc / 3))
    for cell, value in zip(CELLS, bleu, strict=True):
        scores.extend(score_row(f"pairs_{cell}", metric, value, 100) for metric in ("bleu", "chrf++"))
        outputs.extend(output_row(f"pairs_{cell}", item, None, generator) for item in range(NUM_ITEMS))
    write_json(folder / "scores.json", {"scores": scores})
    # As JSON writes it: half a surrogate pair is "\ud83d" in the file.
    write_text(folder / "outputs.jsonl", "".join(json.dumps(row) + "\n" for row in outputs))
    versions = {"crosstune": "0.1.0", "python": "3.11", "torch": "2.13.0"}
    write_json(folder / "manifest.json", {"fingerprint": "x", "versions": versions})


def output_row(task: str, item: int, correct: bool | None, generator: random.Random) -> dict[str, Any]:
    output = generator.choice(["선생님께서 아이에게 책을 주셨다.", "The teacher gave the child a book.", "긍정"])
    instruction = "Translate the following sentences from English to Korean"
    prompt = f"### Instruction:\n{instruction}\nThe teacher gave a book.\n### Response:"
    reference = ("부정", "긍정")[item % 2] if task == "movies" else "선생님께서 책을 주셨다."
    return {
        "task": task,
        "id": f"{task}-{item}",
        "prompt": prompt,
        "output": HOSTILE.get(item, output) if correct is None else output,
        "reference": reference,
        "correct": correct,
        "finished": item != 7,
        **({"failures": FAILED.get(item, [])} if correct is None or task == "movies" else {}),
    }


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return make_recipe(tmp_path)


@pytest.fixture
def run(recipe: Recipe) -> RunFolder:
    return write_run(recipe)
