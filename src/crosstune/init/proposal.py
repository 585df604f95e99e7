"""The recipe that is proposed, with a reason behind every choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.doctor.findings import Finding
from crosstune.doctor.subject import Subject
from crosstune.init.budget import minutes
from crosstune.init.corpus import Mixture, pieces_mixture
from crosstune.init.plan_hours import HoursPlan
from crosstune.init.sources import Sources
from crosstune.languages.registry import language_name
from crosstune.models.jinja_templates import QUESTION
from crosstune.prompts.templates import TEMPLATES, Template
from crosstune.recipe import Languages

# Full training at three sizes: recipes/smollm2_korean, between them, and the paper's LLaMA-2-7B.
_RATES = ((0.5e9, 5e-4), (3e9, 1e-4), (float("inf"), 2e-5))
_LORA_RATE = 2e-4
_LONGEST_ROW = 512


def longest_row(findings: Mapping[str, Finding]) -> int:
    """Return the tokens of the longest row: a limit of ours, or what the model reads."""
    return min(_LONGEST_ROW, int(findings["context"].values.get("max_position_embeddings") or _LONGEST_ROW))


def template_of(findings: Mapping[str, Finding]) -> Template:
    """Return what texts are asked in: the model's chat template, or one of ours where it has none."""
    found = findings.get("template")
    if found is None or "around" not in found.values:
        return TEMPLATES["alpaca"]
    asked = found.values["around"]
    return Template("chat", asked.replace(QUESTION, f"{QUESTION}\n{{input}}"), asked, "")


@dataclass(frozen=True)
class Found:
    """All that the recipe is made from.

    Attributes:
        findings: the doctor's, by name.
    """

    subject: Subject
    languages: Languages
    root: Path
    chosen: Sources
    mixture: Mixture
    plan: HoursPlan
    findings: Mapping[str, Finding]
    held_out: Sequence[str]


def propose(found: Found, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a recipe's content, and the reason of each choice by its dotted path."""
    reasons: dict[str, str] = {}
    target = language_name(found.languages.target, "en")
    content: dict[str, Any] = {
        "name": name,
        "description": f"{Path(found.subject.name).name} learns {target}, by crosstune init",
        "seed": 1,
        "data_root": str(found.root),
        "languages": found.languages.model_dump(),
        "data": _data(found, reasons),
        "tokenizer": _tokenizer(found, reasons),
        "systems": _systems(found, reasons),
        "train": _train(found, reasons),
        "evaluate": _evaluate(found, reasons),
    }
    license = found.findings.get("license")
    if license and license.setting:
        content["report"] = {"model_license": license.values["license"]}
        reasons["report.model_license"] = license.says
    return content, reasons


def _data(found: Found, reasons: dict[str, str]) -> dict[str, Any]:
    template, switch = found.findings.get("template"), found.findings.get("thinking")
    data: dict[str, Any] = {"prompt": template_of(found.findings).name}
    reasons["data.prompt"] = f"chat template: {template.says}" if template else "no chat template was found"
    if data["prompt"] == "chat" and switch and switch.setting:
        data["template_options"] = {"enable_thinking": False}
    data["quality"] = {"on_bad_row": "drop"}
    reasons["data.quality"] = "unreadable rows are dropped and listed in dropped.jsonl"
    data["sources"] = found.chosen.settings
    mixtures: dict[str, Any] = {"tuning": list(found.mixture.parts)}
    rows = f"about {found.plan.drawn.num_rows:,.0f} rows of {found.plan.drawn.tokens_per_row:.0f} tokens"
    reasons["data.mixtures.tuning"] = f"{found.mixture.why}; {rows}"
    if found.plan.pieces.extension:
        mixtures["pieces"] = pieces_mixture(found.chosen, found.languages)
        reasons["data.mixtures.pieces"] = "all text in the target language, for new pieces"
    used = {part["source"] for parts in mixtures.values() for part in parts}
    data["sources"] = {label: settings for label, settings in found.chosen.settings.items() if label in used}
    return {**data, "mixtures": mixtures}


def _given(found: Found) -> dict[str, Any]:
    return {"revision": found.subject.revision} if found.subject.revision else {}


def _tokenizer(found: Found, reasons: dict[str, str]) -> dict[str, Any]:
    base = {"kind": "given", "path": found.subject.name, **_given(found)}
    reasons["tokenizer.base"] = "the model's own"
    if not found.plan.pieces.extension:
        reasons["tokenizer"] = f"no new pieces: {found.plan.pieces.why}"
        return {"base": base}
    reasons["tokenizer.extension"] = found.plan.pieces.why
    return {"base": base, "extension": {"kind": "learned", "mixture": "pieces", **found.plan.pieces.extension}}


def _systems(found: Found, reasons: dict[str, str]) -> dict[str, Any]:
    method = found.plan.planned.cost.method
    length = found.plan.length
    is_full = method.phase["method"] == "full"
    rate = next(rate for most, rate in _RATES if found.subject.num_weights < most)
    phase: dict[str, Any] = {
        "mixture": "tuning",
        **method.phase_with(new_rows=found.plan.pieces.extension is not None),
        **length.setting,
        "global_batch_size": length.batch,
        "learning_rate": rate if is_full else max(_LORA_RATE, rate),
        "max_length_tokens": longest_row(found.findings),
        "on_too_long": "truncate",
    }
    reasons["systems.base"] = "gains and forgetting are measured against this system"
    reasons["systems.ours"] = (
        f"{method.name}: the first of full, LoRA and QLoRA that fits into {_memory(found)}. {length.why}"
    )
    tokenizer = "extended" if found.plan.pieces.extension else "base"
    return {
        "base": {"start": found.subject.name, "tokenizer": "base", **_given(found)},
        "ours": {"start": "base", "tokenizer": tokenizer, "phases": [phase]},
    }


def _memory(found: Found) -> str:
    needed, machine = found.plan.planned.cost.memory.total / 1e9, found.plan.planned.machine
    return f"{machine.gpu.memory_gb:.0f} GB of {machine.gpu.name}; it needs {needed:.1f} GB"


def _train(found: Found, reasons: dict[str, str]) -> dict[str, Any]:
    cost = found.plan.planned.cost
    settings = cost.settings.model_dump(mode="json", include=set(cost.method.machine) | {"micro_batch_tokens"})
    reasons["train"] = f"the settings behind the estimate for {cost.method.name}: {_memory(found)}"
    if found.plan.planned.is_processor and settings.get("precision") == "bf16":
        reasons["train.precision"] = (
            f"this processor trains the model {found.plan.budget.speed.gain:.1f} times as fast in bfloat16 as in "
            "float32. Weights, optimizer and scoring stay in float32. On one without AVX512-BF16 or AMX it would be "
            "slower"
        )
    return settings


def _evaluate(found: Found, reasons: dict[str, str]) -> dict[str, Any]:
    scored = found.plan.budget.scored
    reasons["evaluate.tasks"] = (
        f"benchmarks and held-out files of the folder; with max_items, scoring both systems takes about "
        f"{minutes(scored.seconds)}"
    )
    if left_out := found.plan.budget.left_out:
        reasons["evaluate.tasks"] += f". Left out: {left_out}"
    if found.held_out:
        told = "; ".join(found.held_out)
        reasons["evaluate.tasks"] += f". Held out here: {told}; training drops rows that contain them"
    tasks = {
        label: {**settings, **({"max_items": scored.max_items[label]} if label in scored.max_items else {})}
        for label, settings in found.chosen.tasks.items()
        if label not in scored.too_long
    }
    content: dict[str, Any] = {"reference_system": "base"}
    if (precision := found.plan.planned.scoring_precision) != "float32":
        machine = found.plan.planned.machine
        content["precision"] = precision
        reasons["evaluate.precision"] = (
            f"weights in float32 take {4 * found.subject.num_weights / 1e9:.0f} GB, too much for scoring on "
            f"{machine.gpu.name} with {machine.gpu.memory_gb:.0f} GB"
        )
    return {**content, "tasks": tasks}
