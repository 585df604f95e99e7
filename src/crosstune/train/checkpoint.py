"""Checkpoints that a killed run can trust: written aside and renamed, hashed, the newest whole one is found again."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DistributedType, broadcast_object_list
from torch.distributed import ProcessGroup, barrier, new_group

from crosstune.errors import CrosstuneError, RunFolderError
from crosstune.runs.files import put_in_place, read_json, write_json
from crosstune.runs.hashes import damage_to, describe_files
from crosstune.terminal.output import note
from crosstune.train.error_messages import disk_advice
from crosstune.train.position import Position, Totals

_FACTS = "checkpoint.json"
_LONGEST_WRITE = timedelta(hours=6)


@dataclass(frozen=True)
class Checkpoint:
    """Where training goes on.

    Attributes:
        folder: of the saved state: the plain model where a phase begins (step 0), otherwise model and optimizer. None
            when the system's training begins.
        totals: what the phase has seen.
        done: what ``system.json`` will say of the phases before.
        num_rows: of the phase's data, whose order the step is a place in; 0 where a phase begins.
    """

    position: Position
    folder: Path | None = None
    totals: Totals = field(default_factory=Totals)
    done: tuple[dict[str, Any], ...] = ()
    num_rows: int = 0


class Checkpoints:
    """The checkpoints of one system, written and found by all ranks together.

    Attributes:
        folder: where they lie.
        identity: what they belong to: the system's fingerprint, and what its weights are split over where these parts
            fit no other number of processes. All others go on on any number, with the rows that come next.
        keep: how many are kept.
        keeps_starts: whether what a phase begins with is kept as long as the phase: its own checkpoints lack the
            weights that do not move.
        has_blocks: whether moments are in one byte each.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        keep: int,
        accelerator: Accelerator,
        keeps_starts: bool = False,
        has_blocks: bool = False,
    ) -> None:
        self.folder = folder
        self.identity = {"fingerprint": fingerprint, "split": _split(accelerator, has_blocks)}
        self.keep, self.keeps_starts = keep, keeps_starts
        self.accelerator = accelerator
        # One at a time, in a thread that this process waits for when it ends.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._written: Future[None] | None = None

    def write(self, checkpoint: Checkpoint, write_state: Callable[[Path], None]) -> None:
        """Write a checkpoint, whose state ``write_state`` puts into a folder, and remove the oldest.

        Raises:
            CrosstuneError: when it cannot be written; the ones before are kept.
        """
        self.wait()
        temporary = self._begin(checkpoint)
        self.accelerator.wait_for_everyone()
        with disk_advice(f"checkpoint {checkpoint.position.name} into {self.folder}", temporary):
            write_state(temporary)
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                self._finish(checkpoint, temporary)
        self.accelerator.wait_for_everyone()

    def write_behind(self, checkpoint: Checkpoint, write_state: Callable[[Path], None]) -> None:
        """Write a checkpoint in a thread, by the main process or with split weights by all, while training goes on.

        ``write_state`` works on copies that nobody changes. What goes wrong is raised by the next `look`, or `wait`.
        """
        self.wait()
        if self.writers is not None or self.accelerator.is_main_process:
            self._written = self._writer.submit(self._write_behind, checkpoint, write_state)

    @cached_property
    def writers(self) -> ProcessGroup | None:
        """Return what the threads of all ranks speak to each other in: apart from the training, and on CPUs."""
        # They wait for the slowest disk.
        return new_group(backend="gloo", timeout=_LONGEST_WRITE) if self.accelerator.is_fsdp2 else None

    def look(self) -> None:
        """Raise what went wrong in a thread that has ended.

        Raises:
            CrosstuneError: when a checkpoint could not be written; the ones before are kept.
        """
        if self._written is not None and self._written.done():
            self.wait()

    def wait(self) -> None:
        """Wait until the last checkpoint is written; raise as `look` does."""
        written, self._written = self._written, None
        if written is not None:
            written.result()

    @contextmanager
    def all_written(self) -> Iterator[None]:
        """End with the last checkpoint written, however the context ends."""
        try:
            yield
        except BaseException:
            # The first error is raised, and the other one said.
            try:
                self.wait()
            except CrosstuneError as error:
                note(str(error))
            raise
        self.wait()

    def newest(self) -> Checkpoint:
        """Return the newest whole checkpoint, or the beginning; damaged ones are named and passed over.

        Raises:
            RunFolderError: when the checkpoints belong to other data, settings, or its weights are split over others.
        """
        # Hashing gigabytes is done once, and every rank goes on from the same one.
        found = [self._newest() if self.accelerator.is_main_process else None]
        checkpoint = broadcast_object_list(found)[0]
        assert isinstance(checkpoint, Checkpoint)
        return checkpoint

    def start_of(self, phase: int) -> Path | None:
        """Return the checkpoint that a phase begins with, where it is there; none of the first one."""
        folder = self.folder / Position(phase, 0).name
        return folder if folder.is_dir() else None

    def clear(self) -> None:
        """Remove all checkpoints: the system is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, checkpoint: Checkpoint) -> Path:
        """Return the folder that a checkpoint is written into; the main process makes it anew."""
        temporary = self.folder / f".{checkpoint.position.name}.tmp"
        if self.accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        return temporary

    def _write_behind(self, checkpoint: Checkpoint, write_state: Callable[[Path], None]) -> None:
        temporary = self._begin(checkpoint)
        with disk_advice(f"checkpoint {checkpoint.position.name} into {self.folder}", temporary):
            self._wait_for_writers()
            write_state(temporary)
            self._wait_for_writers()
            if self.accelerator.is_main_process:
                self._finish(checkpoint, temporary)
            # No rank ends before the checkpoint is in its place: its launcher would end the others.
            self._wait_for_writers()

    def _wait_for_writers(self) -> None:
        if self.writers is not None:
            barrier(self.writers)

    def _finish(self, checkpoint: Checkpoint, temporary: Path) -> None:
        files = describe_files(temporary)
        facts = {"totals": asdict(checkpoint.totals), "done": checkpoint.done, "num_rows": checkpoint.num_rows}
        write_json(temporary / _FACTS, {**self.identity, **asdict(checkpoint.position), **facts, "files": files})
        final = self.folder / checkpoint.position.name
        put_in_place(temporary, final)
        # What lies behind this position was passed over as damaged.
        behind = [folder for folder in self._folders() if folder.name > final.name]
        older = [folder for folder in self._folders() if folder.name <= final.name]
        needed = self.start_of(checkpoint.position.phase) if self.keeps_starts else None
        for outdated in behind + older[: -self.keep]:
            if outdated != needed:
                shutil.rmtree(outdated)

    def _newest(self) -> Checkpoint:
        for folder in reversed(self._folders()):
            facts = _facts(folder)
            if facts is None:
                note(f"checkpoint {folder.name} is damaged ({_FACTS}): using the previous one")
                continue
            self._refuse_others(folder, facts)
            position = Position(facts["phase"], facts["step"])
            damage = damage_to(folder, facts["files"]) or self._damage_to_start(position)
            if not damage:
                return Checkpoint(position, folder, Totals(**facts["totals"]), tuple(facts["done"]), facts["num_rows"])
            note(f"checkpoint {folder.name} is damaged ({'; '.join(damage)}): using the previous one")
        return Checkpoint(Position(0, 0))

    def _damage_to_start(self, position: Position) -> list[str]:
        """Return what is wrong with what the phase of a position begins with, where its checkpoints need that."""
        if not self.keeps_starts or not position.phase or not position.step:
            return []
        begin = Position(position.phase, 0).name
        facts = _facts(self.folder / begin)
        if facts is None:
            return [f"{begin}, which it needs, is missing or damaged"]
        return [f"of {begin}, which it needs: {fault}" for fault in damage_to(self.folder / begin, facts["files"])]

    def _folders(self) -> list[Path]:
        return sorted(self.folder.glob("phase-*-step-*"))

    def _refuse_others(self, folder: Path, facts: dict[str, Any]) -> None:
        different = [key for key, value in self.identity.items() if facts[key] != value]
        if different:
            what = (
                "its data, tokenizer, start or settings"
                if "fingerprint" in different
                else "how its weights are split over processes"
            )
            raise RunFolderError(
                f"{folder} cannot be resumed: {what} changed (checkpoint: {[facts[key] for key in different]}, "
                f"now: {[self.identity[key] for key in different]}). Restore it, or delete {self.folder} to retrain "
                f"this system"
            )


def _split(accelerator: Accelerator, has_blocks: bool) -> str | None:
    """Return what a checkpoint's files are parts of that go on on so many processes only; None where any number does.

    ``has_blocks``: whether moments lie in blocks of bytes, which cannot be split at another place.
    """
    kind = accelerator.distributed_type
    if kind == DistributedType.DEEPSPEED or (kind == DistributedType.FSDP and has_blocks):
        return f"{kind.value} over {accelerator.num_processes} processes"
    return None


def _facts(folder: Path) -> dict[str, Any] | None:
    try:
        facts = read_json(folder / _FACTS)
    except (RunFolderError, UnicodeDecodeError):
        return None
    wanted = {"fingerprint", "split", "num_rows", "phase", "step", "totals", "done", "files"}
    return facts if isinstance(facts, dict) and wanted <= facts.keys() else None
