"""Ctrl-C in the first seconds of a command, which are imports."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# What libraries make of an interrupt in the midst of their import.
SLOW_TORCH = """
import sys, time
try:
    print("importing", flush=True)
    time.sleep(60)
except BaseException:
    raise ImportError("cannot load module more than once per process")
"""


@pytest.mark.slow
def test_ctrl_c_while_libraries_are_imported_ends_the_command_without_an_error(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(SLOW_TORCH, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "crosstune", "chat", "a_model"]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and what they start, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130 and "error" not in told
