"""The command line as a user runs it, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import crosstune as package

# For a child process that runs the source tree under test.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent)}


def crosstune(*arguments: str, cwd: Path | None = None, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run `crosstune` with some arguments and standard input; return what it said and how it ended."""
    command = [sys.executable, "-m", "crosstune", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False, cwd=cwd, input=given)
