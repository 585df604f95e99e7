"""Faults of the disk and of permissions end in what to do, in every command."""

import errno
import os

import pytest

from crosstune.cli import app
from crosstune.errors import advice_on


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/runs/x/examples.parquet"),
            "/runs/x/examples.parquet: the disk is",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/runs/x/.lock"), "you have no permission"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/mnt/runs"), "can only be read"),
    ],
)
def test_a_fault_of_the_disk_says_what_to_do(error: Exception, advice: str) -> None:
    assert advice in str(advice_on(error))


def test_other_errors_have_no_advice_of_the_disk() -> None:
    assert advice_on(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    assert advice_on(ValueError("28")) is None


def test_a_command_that_meets_a_full_disk_ends_in_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/mini/data")

    monkeypatch.setattr(app, "app", full)
    monkeypatch.setattr("sys.argv", ["crosstune", "data", "r.yaml"])
    with pytest.raises(SystemExit) as ended:
        app.main()
    message = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2 and "unexpected" not in message
    assert "error: runs/mini/data: the disk is full" in message
