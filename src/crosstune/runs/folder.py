"""The folder of a run: its paths, and folders in it that are whole or not there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.errors import RunFolderError
from crosstune.runs.files import put_in_place, read_json, write_json
from crosstune.runs.hashes import damage_to, describe_files
from crosstune.runs.provenance import versions
from crosstune.terminal.output import note

MANIFEST = "manifest.json"
# In a model folder: how it was trained to be asked for translations.
TRANSLATION_INSTRUCTIONS = "translation_instructions.json"
RESAMPLES = "resamples.npz"
# In the manifest of pairs, which lie beside the mixtures, but come from a trained system: no output of the data stage.
MINED = {"made_by": "mine"}
# In a run folder: scores of what needs no model, only the training rows.
BASELINES = "baselines.json"


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
        """The folder of a mixture: examples.parquet, dropped.jsonl, manifest.json; of mined pairs also pairs.jsonl."""
        return self.root / "data" / "mixtures" / name

    def tokens(self, mixture: str, tokenizer: str) -> Path:
        """The folder of a mixture's tokens under a tokenizer: tokens-*.arrow, manifest.json (tokens by source)."""
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


def is_current(folder: Path, wanted: str) -> bool:
    """Return whether the folder was made from the wanted fingerprint and still holds what was written.

    One that was damaged since is named.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return False
    manifest = read_json(path)
    if manifest["fingerprint"] != wanted:
        return False
    damage = _damage(folder, manifest)
    if damage:
        note(f"{folder} is damaged and will be rebuilt: {'; '.join(damage)}")
    return not damage


def fingerprint_of(folder: Path) -> str:
    """Return the fingerprint of a finished folder, for the fingerprint of what is made from it.

    Raises:
        RunFolderError: when the folder is not there, not whole, or no longer holds what was written.
    """
    manifest = read_json(folder / MANIFEST)
    damage = _damage(folder, manifest)
    if damage:
        raise RunFolderError(
            f"{folder} is damaged: {'; '.join(damage)}. `crosstune run RECIPE` rebuilds it and everything that "
            f"depends on it"
        )
    return str(manifest["fingerprint"])


def _damage(folder: Path, manifest: dict[str, Any]) -> list[str]:
    if "files" not in manifest:
        return ["its manifest lists no files, so that they cannot be checked"]
    return damage_to(folder, manifest["files"])


@contextmanager
def whole_folder(folder: Path, wanted: str, facts: dict[str, Any]) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``folder`` only when the body ends well.

    ``facts`` may be filled inside the body; it goes into the manifest beside the fingerprint, the versions, and sizes
    and hashes of the files.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        files = describe_files(temporary)
        write_json(temporary / MANIFEST, {"fingerprint": wanted, **facts, "versions": versions(), "files": files})
        put_in_place(temporary, folder)
    except BaseException:
        # What is half made serves nobody, and would keep a full disk full.
        shutil.rmtree(temporary, ignore_errors=True)
        raise
