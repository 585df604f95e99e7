"""Checkpoints that a killed run can trust: written aside and renamed, hashed, the newest whole one is found again."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from crosstune.artifacts import hash_file, read_json, write_json
from crosstune.errors import RunFolderError
from crosstune.terminal import note

_FACTS = "checkpoint.json"


@dataclass(frozen=True)
class Position:
    """How far a system's training has come: steps that are done in a stage (0: the stage begins)."""

    stage: int
    step: int

    @property
    def name(self) -> str:
        """Return the checkpoint folder's name; names sort in the order of training."""
        return f"stage-{self.stage}-step-{self.step:08d}"


class Checkpoints:
    """The checkpoints of one system.

    Attributes:
        folder: where they lie.
        identity: what they belong to: the system's fingerprint and the number of ranks.
        keep: how many are kept.
    """

    def __init__(self, folder: Path, fingerprint: str, num_ranks: int, keep: int) -> None:
        self.folder = folder
        self.identity = {"fingerprint": fingerprint, "num_ranks": num_ranks}
        self.keep = keep

    def temporary(self, position: Position) -> Path:
        """Return the folder to write a checkpoint's state into, before ``finish``."""
        return self.folder / f".{position.name}.tmp"

    def finish(self, position: Position) -> None:
        """Hash what was written, give it its name, and remove the oldest."""
        temporary = self.temporary(position)
        files = {str(path.relative_to(temporary)): hash_file(path) for path in _files(temporary)}
        write_json(temporary / _FACTS, {**self.identity, **asdict(position), "files": files})
        final = self.folder / position.name
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        for outdated in self._all()[: -self.keep]:
            shutil.rmtree(outdated)

    def newest(self) -> tuple[Position, Path] | None:
        """Return the newest whole checkpoint; damaged ones are named and passed over.

        Raises:
            RunFolderError: when the checkpoints belong to other data, settings, or another number of processes.
        """
        for folder in reversed(self._all()):
            facts = read_json(folder / _FACTS)
            self._refuse_others(folder, facts)
            damaged = [name for name, digest in facts["files"].items() if not _is(folder / name, digest)]
            if not damaged:
                return Position(facts["stage"], facts["step"]), folder
            note(f"checkpoint {folder.name} is damaged ({', '.join(damaged)}): going back to the one before")
        return None

    def clear(self) -> None:
        """Remove all checkpoints: the system is finished, or starts anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self) -> list[Path]:
        return sorted(path.parent for path in self.folder.glob(f"stage-*/{_FACTS}"))

    def _refuse_others(self, folder: Path, facts: dict[str, object]) -> None:
        different = [key for key, value in self.identity.items() if facts[key] != value]
        if different:
            what = "its data, tokenizer, start or settings" if "fingerprint" in different else "the number of processes"
            raise RunFolderError(
                f"{folder} cannot be resumed: {what} changed since (checkpoint: {[facts[key] for key in different]}, "
                f"now: {[self.identity[key] for key in different]}). Put the setting back, or delete {folder.parent} "
                "to train this system anew."
            )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and hash_file(path) == digest
