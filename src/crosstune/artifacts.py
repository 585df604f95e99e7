"""The run folder: paths, atomic writes, and manifests that say from which inputs a result came."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune import __version__
from crosstune.errors import RunFolderError

MANIFEST = "manifest.json"
MODEL_CARD = "README.md"
RESAMPLES = "resamples.npz"
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "peft", "datasets", "lm_eval", "sacrebleu", "numpy")


@dataclass(frozen=True)
class RunFolder:
    """Where everything of a run lies."""

    root: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe, itself a valid recipe."""
        return self.root / "recipe.yaml"

    @property
    def world(self) -> Path:
        """The miniature world's files, in the real datasets' own formats."""
        return self.root / "world"

    def mixture(self, name: str) -> Path:
        """The folder of a mixture: examples.parquet, dropped.jsonl, manifest.json."""
        return self.root / "data" / "mixtures" / name

    def tokens(self, mixture: str, tokenizer: str) -> Path:
        """The folder of a mixture's tokens under a tokenizer: tokens.arrow, manifest.json (tokens by source)."""
        return self.mixture(mixture) / "tokens" / tokenizer

    def evaluation_set(self, name: str) -> Path:
        """The folder of an evaluation set: items.jsonl, dropped.jsonl, manifest.json."""
        return self.root / "data" / "evaluation" / name

    def tokenizer(self, which: str) -> Path:
        """The folder of the ``base`` or ``extended`` tokenizer."""
        return self.root / "tokenizer" / which

    def system(self, name: str) -> Path:
        """The folder of a system: stages/N/, system.json, evaluation/."""
        return self.root / "systems" / name

    def name_inside(self, path: str | Path) -> str:
        """Return how this run's files name a path: from its root, so that a folder that was moved stays whole."""
        within = Path(path).is_relative_to(self.root)
        return f"./{Path(path).relative_to(self.root)}" if within else str(path)

    def locate(self, name: str) -> str:
        """Return the path (or hub id) that ``name_inside`` gave this name."""
        return str(self.root / name) if name.startswith("./") else name

    @property
    def report(self) -> Path:
        """The folder of report.html, report.md, tables.csv, tables.tex and failures.csv."""
        return self.root / "report"


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, readable by people."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON that an earlier stage wrote.

    Raises:
        RunFolderError: when it is missing or broken.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing: run the earlier stages first (crosstune run RECIPE)") from None
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path} is not valid JSON ({error}): delete it and run its stage again") from None


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON object per line, atomically."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[Any]:
    """Read one JSON object per line."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def fingerprint(*parts: Any) -> str:
    """Return a hash of settings and inputs: equal parts, equal result. Anything JSON or pydantic can dump is a part."""

    def plain(value: Any) -> Any:
        return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)

    text = json.dumps([__version__, *parts], sort_keys=True, ensure_ascii=False, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_model_folder(folder: Path) -> str:
    """Return a hash of a model folder: small files by content, weights by name, size and time (they are gigabytes).

    The model card is left out: it is written again whenever the model is scored.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MODEL_CARD):
        status = path.stat()
        content = hash_file(path) if status.st_size < 32_000_000 else f"{status.st_size} {status.st_mtime_ns}"
        digest.update(f"{path.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()


def is_current(folder: Path, wanted: str) -> bool:
    """Return whether the folder is whole and was made from the wanted fingerprint."""
    manifest = folder / MANIFEST
    return manifest.is_file() and read_json(manifest)["fingerprint"] == wanted


def fingerprint_of(folder: Path) -> str:
    """Return the fingerprint of a finished folder, for the fingerprint of what is made from it.

    Raises:
        RunFolderError: when the folder is not there or not whole.
    """
    return str(read_json(folder / MANIFEST)["fingerprint"])


@contextmanager
def whole_folder(folder: Path, wanted: str, facts: dict[str, Any]) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``folder`` only when the body ends well.

    ``facts`` may be filled inside the body; it goes into the manifest beside the fingerprint and the versions.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    write_json(temporary / MANIFEST, {"fingerprint": wanted, **facts, "versions": versions()})
    if folder.exists():
        outdated = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(outdated, ignore_errors=True)
        folder.rename(outdated)
        temporary.rename(folder)
        shutil.rmtree(outdated)
    else:
        temporary.rename(folder)


def versions() -> dict[str, str]:
    """Return the versions of crosstune, Python and the libraries that decide numbers."""
    # Imported here: it takes a tenth of the time of --help.
    from importlib.metadata import PackageNotFoundError, version

    found = {"crosstune": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def commit() -> str:
    """Return the commit of the source tree that runs, with ``+`` when it has changes; empty outside a repository."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    if shutil.which("git") is None or not git("ls-files", "--error-unmatch", str(Path(__file__))):
        return ""
    return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", str(here)) else "")


def hardware() -> dict[str, Any]:
    """Return what the run ran on: processor, cores, memory in GB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": _processor(), "cores": cores, "memory_gb": round(memory, 1), "system": platform.platform()}


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
