"""`crosstune doctor` without a model: what a bug report needs to say of the machine and the installation."""

import shutil
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from packaging.requirements import Requirement
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from crosstune.doctor.findings import Finding, Verdict
from crosstune.models.paths import Path as Way
from crosstune.models.paths import path_of, read_rows
from crosstune.models.process import prepare_libraries
from crosstune.models.references import Use
from crosstune.plan.here import this_device
from crosstune.plan.machines import Gpu
from crosstune.runs.provenance import commit, hardware, versions

_USES: tuple[Use, ...] = ("training", "scoring", "generation")
_FREE_GB = 20.0
_SHAPE: dict[str, Any] = {
    **{"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128},
}
_NUM_STEPS = 20
# What an extra is for, by its name as packages write it: those first that most people want, developers' last.
BRINGS = {
    "web": "crosstune compare",
    "serve": "crosstune serve",
    "eight-bit": "8-bit moments and fp8",
    "quantized": "LoRA on 4- and 8-bit weights",
    "judge": "crosstune judge, crosstune instruct --url",
    "scale": "crosstune filter",
    "track": "TensorBoard and W&B",
    "vllm": "faster generation on GPUs",
    "benchmark": "the training benchmarks",
    "docs": "building the docs",
    "dev": "the tests",
}


def environment() -> list[Finding]:
    """Look at the installation and the machine, and try both for a few seconds."""
    prepare_libraries()
    return [*_versions(), *extras(), *_machine(), *disk(Path()), *self_test()]


def _versions() -> Iterator[Finding]:
    found = versions()
    built = f", commit {known}" if (known := commit()) else ""
    missing = [library for library, number in found.items() if number == "not installed"]
    says = f"{found['crosstune']}{built}, Python {found['python']}"
    yield Finding("installation", "crosstune", "ok", says, values={"commit": known, **found})
    others = ", ".join(f"{name} {number}" for name, number in found.items() if name not in ("crosstune", "python"))
    yield Finding("installation", "libraries", "stop" if missing else "ok", others, values=found)
    yield from _outside_bounds()


def _outside_bounds() -> Iterator[Finding]:
    wrong = []
    for requirement in _requirements(""):
        try:
            number = version(requirement.name)
        except PackageNotFoundError:
            number = ""
        if not number or not requirement.specifier.contains(number, prereleases=True):
            wrong.append(f"{requirement.name} {number or 'is missing'} (needed: {requirement.specifier or 'any'})")
    if wrong:
        says = f"untested versions: {', '.join(wrong)}. Install crosstune again"
        yield Finding("installation", "requirements", "attention", says, values={"wrong": wrong})


def extras() -> Iterator[Finding]:
    """Yield which extras are installed, and what the others would bring."""
    try:
        names = distribution("crosstune").metadata.get_all("Provides-Extra") or []
    except PackageNotFoundError:
        yield Finding("installation", "extras", "attention", "crosstune runs from its source tree, not installed")
        return
    lacks = {
        name: [requirement.name for requirement in _requirements(name) if not is_installed(requirement.name)]
        for name in sorted(names, key=lambda name: [*BRINGS, _as_written(name)].index(_as_written(name)))
    }
    have = [name for name, missing in lacks.items() if not missing]
    lack = {name: missing for name, missing in lacks.items() if missing}
    others = ", ".join(f"{name} ({BRINGS.get(_as_written(name), '')})" for name in lack)
    add = f"; not installed: {others}. To add one: pip install 'crosstune[{next(iter(lack))}]'" if lack else ""
    says = f"installed: {', '.join(have) or 'none'}{add}"
    yield Finding("installation", "extras", "ok", says, values={"there": have, "not_there": lack})


def _as_written(name: str) -> str:
    """Return the name of an extra as `BRINGS` has it: metadata have it with _ or with -."""
    return name.replace("_", "-")


def _requirements(extra: str) -> list[Requirement]:
    try:
        written = distribution("crosstune").requires or []
    except PackageNotFoundError:
        return []
    found = map(Requirement, written)
    if not extra:
        return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [
        one
        for one in found
        if one.marker is not None and one.marker.evaluate({"extra": extra}) and not one.marker.evaluate({"extra": ""})
    ]


def is_installed(name: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _machine() -> Iterator[Finding]:
    found = hardware()
    memory = f", {found['memory_gb']} GB" if "memory_gb" in found else ""
    says = f"{found['processor']}, {found['cores']} cores{memory}; {found['system']}; torch uses "
    threads = torch.get_num_threads()
    says += f"{threads} thread{'' if threads == 1 else 's'}"
    yield Finding("machine", "processor", "ok", says, values=found)
    if not torch.cuda.is_available():
        yield bfloat16(this_device())
        yield Finding("machine", "GPU", "ok", "none that torch can use", values={"gpus": []})
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        says = (
            f"{facts.name}, {total / 1e9:.0f} GB ({free / 1e9:.0f} free), compute capability {facts.major}."
            f"{facts.minor}, CUDA {torch.version.cuda}"
        )
        is_full = free < 0.8 * total
        verdict: Verdict = "attention" if is_full else "ok"
        says += "; another program uses part of its memory" if is_full else ""
        values = {"name": facts.name, "free_bytes": free, "total_bytes": total, "cuda": torch.version.cuda}
        yield Finding("machine", f"GPU {index}", verdict, says, values=values)


def bfloat16(processor: Gpu) -> Finding:
    """Say whether training gains by bfloat16 on a processor."""
    gain = processor.gain_of_bf16
    says = f"matrix products are {gain:.1f} times as fast as in float32"
    says += ": `train.precision: bf16` trains faster here" if processor.is_faster_in_bf16 else ": train in float32"
    return Finding("machine", "bfloat16", "ok", says, values={"gain": gain})


def disk(folder: Path) -> Iterator[Finding]:
    """Yield how much room a folder has, and whether it may be written to."""
    free = shutil.disk_usage(folder).free / 1e9
    try:
        with TemporaryDirectory(dir=folder):
            is_writable = True
    except OSError:
        is_writable = False
    says = f"{free:.0f} GB free in this folder"
    if not is_writable:
        says += ", but it is read-only: set runs_root, or use another folder"
    elif free < _FREE_GB:
        says += f"; a run keeps checkpoints of each system: less than {_FREE_GB:.0f} GB is little for large models"
    verdict: Verdict = "stop" if not is_writable else "attention" if free < _FREE_GB else "ok"
    yield Finding("machine", "disk", verdict, says, values={"free_gb": free, "writable": is_writable})


def self_test() -> Iterator[Finding]:
    """Let a tiny model read rows in each way, learn a row by heart, and be saved and read again."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        started = time.perf_counter()
        try:
            says, is_good, values = _try(torch.device(device))
        # Whatever goes wrong here is what the bug report is about.
        except Exception as error:
            says, is_good, values = f"{type(error).__name__}: {error}", False, {"error": str(error)}
        seconds = time.perf_counter() - started
        says = f"{says}; {seconds:.1f} s"
        values = {**values, "seconds": seconds}
        yield Finding("self-test", device, "ok" if is_good else "stop", says, values=values)


def _try(device: torch.device) -> tuple[str, bool, dict[str, object]]:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**_SHAPE))
    model.to(device)  # type: ignore[arg-type]
    ways = [path_of(model, use) for use in _USES]
    first, last = _learn(model)
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        again = load_file(Path(folder) / "model.safetensors")
    saved = all(torch.equal(weight.cpu(), again[name]) for name, weight in model.state_dict().items() if name in again)
    furthest = max(found.nats for way in ways for _, found in way.tried)
    is_packed = all(way.way == "packed" for way in ways)
    says = (
        f"packed rows {'equal' if is_packed else 'differ from'} plain transformers (largest difference {furthest:.1g} "
        f"nats); loss of a row {first:.2f} -> {last:.2f} in {_NUM_STEPS} steps; weights saved and read "
        f"{'alike' if saved else 'DIFFERENTLY'}"
    )
    values: dict[str, object] = {"ways": [_facts(way) for way in ways], "losses": [first, last], "saved": saved}
    return says, is_packed and saved and last < first / 2, values


def _facts(way: Way) -> dict[str, object]:
    return way.facts()


def _learn(model: LlamaForCausalLM) -> tuple[float, float]:
    """Return the loss of a row before and after some steps on it, read as training reads rows."""
    row = np.random.default_rng(0).integers(1, _SHAPE["vocab_size"], 32).tolist()
    targets = torch.tensor(row[1:], device=model.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(_NUM_STEPS):
        logits = read_rows(model, [row], [np.arange(len(row) - 1)], {"multiple_of": 16})
        loss = torch.nn.functional.cross_entropy(logits.float(), targets)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return losses[0], losses[-1]
