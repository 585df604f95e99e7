"""COMET (Rei et al. 2020, https://aclanthology.org/2020.emnlp-main.213/) from a local checkpoint.

Run as a program of its own: its package, unbabel-comet 2.2, needs older versions of libraries that crosstune needs, so
that no one environment holds both.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crosstune.errors import BadInputError
from crosstune.runs.hashes import hash_file


@dataclass(frozen=True)
class Comet:
    """A checkpoint, and the command that scores with it.

    Raises:
        BadInputError: when one of them is not there; so before a system has written anything.
    """

    checkpoint: Path
    command: str

    def __post_init__(self) -> None:
        """Find both."""
        if not self.checkpoint.is_file() or self.checkpoint.suffix != ".ckpt":
            raise BadInputError(
                f"evaluate.comet_checkpoint: {self.checkpoint} is not a .ckpt file. Give that of a COMET model that "
                f"uses references, such as wmt22-comet-da/checkpoints/model.ckpt; nothing is downloaded for you"
            )
        if shutil.which(self.command) is None:
            raise BadInputError(
                f"evaluate.comet_command: COMET needs the command {self.command!r}, which was not found. Install it in "
                "its own environment (python -m venv comet && comet/bin/pip install unbabel-comet) and give "
                "comet/bin/comet-score, or remove evaluate.comet_checkpoint"
            )

    @property
    def fingerprint(self) -> str:
        """Return name, size and time of the checkpoint: hashing its gigabytes whenever scores are looked up is slow."""
        status = self.checkpoint.stat()
        return f"{self.checkpoint.name} {status.st_size} {status.st_mtime_ns}"

    @cached_property
    def signature(self) -> str:
        """Name the checkpoint by its content."""
        return f"comet:{self.checkpoint.name}|sha256:{hash_file(self.checkpoint)[:12]}|refs:first"

    def scores(self, sources: Sequence[str], outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        """Score each translation against one reference.

        Raises:
            BadInputError: when the command fails.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file, texts in (("source", sources), ("output", outputs), ("reference", references)):
                # One text per line.
                lines = [re.sub(r"[\r\n]+", " ", text) + "\n" for text in texts]
                (folder / file).write_text("".join(lines), encoding="utf-8")
            self._run(folder)
            (found,) = json.loads((folder / "scores.json").read_text(encoding="utf-8")).values()
        if len(found) != len(outputs):
            raise BadInputError(f"{self.command} scored {len(found)} of {len(outputs)} translations: try it by hand")
        return [float(row["COMET"]) for row in found]

    def _run(self, folder: Path) -> None:
        import torch

        command = [
            os.path.abspath(str(shutil.which(self.command))),
            *("--sources", "source", "--translations", "output", "--references", "reference"),
            *("--model", str(self.checkpoint.resolve()), "--gpus", "1" if torch.cuda.is_available() else "0"),
            *("--quiet", "--to_json", "scores.json"),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BadInputError(
                f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()[-500:] or 'no message'}"
            )
