"""Locks between processes that do not know of one another."""

import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.errors import RunFolderError
from crosstune.runs.lock import only_process_in, only_writer_of
from tests.command_line import ENVIRONMENT

_HOLD = """
import sys, pathlib
from crosstune.runs.lock import only_writer_of
with only_writer_of(pathlib.Path(sys.argv[1]), "-"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_has_one_writer_at_a_time_and_no_lock_stays_behind(tmp_path: Path) -> None:
    file = tmp_path / "book.txt.ko"
    command = [sys.executable, "-c", _HOLD, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        with pytest.raises(RunFolderError, match="wait for it, or give another --output"):  # noqa: SIM117
            with only_writer_of(file, "give another --output"):
                pass
        other.communicate("")
    with only_writer_of(file, "-"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_s_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_process_in(tmp_path / "run", "-"):
        raise KeyError
    with only_process_in(tmp_path / "run", "-"):
        pass
