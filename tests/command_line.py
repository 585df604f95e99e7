"""The command line as a user runs it, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import crosstune as package
from tests import warm

# For a child process that runs the source tree under test.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent)}


def crosstune(*arguments: str, cwd: Path | None = None, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run `crosstune` with some arguments and standard input; return what it said and how it ended.

    In a fork of a process that has loaded the libraries: most commands take longer to load them than to do their work.
    """
    return warm.run("crosstune", *arguments, cwd=cwd, given=given)


def crosstune_from_cold(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `crosstune` as `crosstune()` does, with nothing loaded: what it loads, and when, counts too."""
    command = [sys.executable, "-m", "crosstune", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
