"""What was run: command, machine, systems, mixtures and fertility, from the run folder's manifests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.languages.registry import language_name
from crosstune.recipe import Recipe
from crosstune.report.tables.build import label_of
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.runs.provenance import public_command, public_path

_STAGES = ("data", "tokenizer", "train", "evaluate", "report")
# Options that `crosstune run` does not have.
_OF_ONE_STAGE = ("--audit", "--fail-on-forgetting")


@dataclass(frozen=True)
class MixturePartFacts:
    """What a mixture took from one source, and why the rest was dropped."""

    source: str
    rows_read: int | None
    examples: int | None
    dropped: dict[str, int]


@dataclass(frozen=True)
class MixtureFacts:
    """One mixture as the data stage made it."""

    name: str
    total: int
    parts: tuple[MixturePartFacts, ...]
    used_by: tuple[str, ...]


@dataclass(frozen=True)
class SystemFacts:
    """One system as the train stage made it.

    Attributes:
        reading: how its rows were read, by use, and how far from plain transformers that was measured to be.
    """

    label: str
    start: str
    tokenizer: str
    num_parameters: int | None
    phases: tuple[dict[str, Any], ...]
    reading: tuple[str, ...] = ()


@dataclass(frozen=True)
class FertilityFacts:
    """The length of one text under each tokenizer: tokens per word and bytes per token, by tokenizer."""

    text: str
    language: str
    words: int
    by_tokenizer: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Extension:
    """The extended vocabulary: its pieces, what was proved of it, and the parity of its parallel texts.

    Attributes:
        properties: name, how many cases were checked, how many failed.
        parity: by text, the target side's tokens per token of the source side, by tokenizer.
        languages: by text, the names of its target and its source language.
    """

    num_pieces: int
    num_new: int
    num_dummies: int
    properties: tuple[tuple[str, int, int], ...]
    parity: dict[str, dict[str, float]]
    languages: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class RunFacts:
    """Everything about a run that is not a result; the command names no folder of the machine that it ran on."""

    command: str
    commit: str
    hardware: str
    seconds: dict[str, float]
    finished: str
    versions: dict[str, str]
    systems: tuple[SystemFacts, ...]
    mixtures: tuple[MixtureFacts, ...]
    fertility: tuple[FertilityFacts, ...]
    extension: Extension | None

    @property
    def training_seconds(self) -> float:
        """Return the time that all systems' training steps took."""
        return sum(float(phase.get("seconds", 0)) for system in self.systems for phase in system.phases)

    @property
    def training_tokens(self) -> int:
        """Return the tokens that all systems were trained on."""
        return sum(int(phase.get("tokens", 0)) for system in self.systems for phase in system.phases)

    def command_of(self, stage: str) -> str:
        """Return the command that makes one stage again."""
        return self.command.replace("crosstune run", f"crosstune {stage}", 1)


def read_run_facts(recipe: Recipe, run: RunFolder) -> RunFacts:
    """Read what the stages wrote about themselves; what is not there yet stays empty."""
    facts = _json(run.root / "run.json")
    stages = facts.get("stages", {})
    return RunFacts(
        command=public_command(_run_command(facts.get("command") or f"crosstune run {run.recipe}")),
        commit=str(facts.get("commit") or ""),
        hardware=_hardware(facts.get("hardware") or {}),
        seconds={
            name: float(stages[name]["seconds"])
            for name in _STAGES
            if "seconds" in stages.get(name, {}) and name != "report"
        },
        finished=str(stages.get("evaluate", {}).get("finished", "")),
        versions=_versions(recipe, run),
        systems=tuple(_system(recipe, run, name) for name in recipe.systems),
        mixtures=tuple(_mixtures(recipe, run)),
        fertility=tuple(_fertility(run)),
        extension=_extension(run),
    )


def _run_command(command: str) -> str:
    """Return the command for the whole run: the last one noted may have been that of a single stage."""
    words = command.split(" ")
    # Before the name of a command stand options only; behind it, a folder may be called as a stage is.
    place = next((place for place, word in enumerate(words) if place and not word.startswith("-")), 0)
    if words[place] not in _STAGES:
        return command
    behind = [word for word in words[place + 1 :] if word not in _OF_ONE_STAGE]
    return " ".join([*words[:place], "run", *behind])


def _hardware(facts: dict[str, Any]) -> str:
    parts = [
        str(facts.get("processor", "")),
        f"{facts['cores']} core{'s' * (facts['cores'] != 1)}" if facts.get("cores") else "",
        f"{facts['memory_gb']:g} GB" if facts.get("memory_gb") else "",
        *(str(device) for device in facts.get("accelerators", ())),
    ]
    return ", ".join(part for part in parts if part)


def _versions(recipe: Recipe, run: RunFolder) -> dict[str, str]:
    for name in recipe.systems:
        found = _json(run.system(name) / "evaluation" / "manifest.json").get("versions")
        if found:
            return dict(found)
    return {}


def _system(recipe: Recipe, run: RunFolder, name: str) -> SystemFacts:
    settings, facts = recipe.systems[name], _json(run.system(name) / "system.json")
    evaluated = _json(run.system(name) / "evaluation" / "manifest.json")
    start = label_of(recipe, settings.start) if settings.start in recipe.systems else public_path(settings.start)
    if settings.start not in recipe.systems and facts.get("gguf"):
        start += f": {gguf_sentence(facts['gguf'])}"
    return SystemFacts(
        label=label_of(recipe, name),
        start="from scratch" if start == "scratch" else start,
        tokenizer=settings.tokenizer,
        num_parameters=facts.get("num_parameters"),
        phases=tuple(facts.get("phases", ())),
        reading=tuple(_reading([phase.get("reading") for phase in facts.get("phases", ())], evaluated)),
    )


def gguf_sentence(facts: Mapping[str, Any]) -> str:
    """Return what is to be known of weights out of a GGUF file: how exact they were, and what came along."""
    formats = ", ".join(f"{number} in {form}" for form, number in facts["formats"].items())
    about = ", ".join(filter(None, (facts.get("name"), facts.get("license"))))
    tokens = ", ".join(f"{role} {token}" for role, token in facts["special_tokens"].items())
    template = "with its chat template" if facts["chat_template"] else "without a chat template"
    return (
        f"dequantized from {facts['file']}{f' ({about})' if about else ''}, whose tensors are stored as {formats}; "
        f"{template}; special tokens: {tokens or 'none'}"
    )


def _reading(of_phases: Sequence[dict[str, Any] | None], evaluated: Mapping[str, Any]) -> Iterator[str]:
    """Yield how rows were read in each use, and what the model's test measured of it."""
    found = {proof["use"]: proof for proof in (*of_phases, *evaluated.get("reading", ())) if proof}
    for use, proof in found.items():
        # One by one is the reference itself: what was measured there is why nothing faster was taken.
        measured = proof["measured"][-1 if proof["way"] == proof["measured"][-1]["way"] else 0]
        nats = measured.get("nats")
        differs = f"{nats:.1g} nats" if nats is not None else measured.get("error", "not readable")
        verdict = "" if measured["way"] == proof["way"] else f"{measured['way']} would be "
        yield f"{use} {proof['way']} ({verdict}{differs} from plain transformers)"


def _mixtures(recipe: Recipe, run: RunFolder) -> list[MixtureFacts]:
    mixtures = []
    for name in recipe.data.mixtures:
        facts = _json(run.mixture(name) / "manifest.json")
        if facts:
            parts = tuple(_parts(facts))
            users = tuple(
                label_of(recipe, system)
                for system, settings in recipe.systems.items()
                if any(phase.mixture == name for phase in settings.phases)
            )
            total = facts.get("total", sum(part.examples or 0 for part in parts))
            mixtures.append(MixtureFacts(name, total, parts, users))
    return mixtures


def _parts(facts: dict[str, Any]) -> list[MixturePartFacts]:
    """Return what each part of a mixture took; the same source may be in several parts."""
    listed = facts.get("parts") or facts.get("sources") or []
    if isinstance(listed, dict):
        listed = [{"source": name, **part} for name, part in listed.items()]
    return [
        MixturePartFacts(part["source"], part.get("rows_read"), part.get("examples"), dict(part.get("dropped") or {}))
        for part in listed
    ]


def _fertility(run: RunFolder) -> list[FertilityFacts]:
    texts: dict[tuple[str, str], FertilityFacts] = {}
    for row in _json(run.root / "tokenizer" / "fertility.json").get("rows", []):
        key = (row["text"], row["language"])
        text = texts.setdefault(key, FertilityFacts(*key, int(row["words"]), {}))
        text.by_tokenizer[row["tokenizer"]] = (row["tokens_per_word"], row["bytes_per_token"])
    return list(texts.values())


def _extension(run: RunFolder) -> Extension | None:
    folder = run.tokenizer("extended")
    manifest, verification = _json(folder / "manifest.json"), _json(folder / "verification.json")
    if not manifest or not verification:
        return None
    parity: dict[str, dict[str, float]] = {}
    languages: dict[str, tuple[str, str]] = {}
    for row in _json(run.root / "tokenizer" / "fertility.json").get("parity", []):
        parity.setdefault(row["text"], {})[row["tokenizer"]] = row["parity"]
        target, source = (language_name(code, "en") for code in row["languages"].split(" / "))
        languages[row["text"]] = target, source
    properties = tuple((row["name"], row["checked"], row["failed"]) for row in verification["properties"])
    return Extension(manifest["size"], manifest["new"], manifest["dummies"], properties, parity, languages)


def _json(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}
