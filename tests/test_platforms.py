"""What Windows and macOS lack is not asked for before it is needed."""

import subprocess
import sys

import pytest

from tests.command_line import ENVIRONMENT

# Neither module exists on Windows, nor do these functions of os.
_AS_ON_WINDOWS = """
import os, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("sysconf", "sched_getaffinity", "getuid", "fork"):
    if hasattr(os, name):
        delattr(os, name)
"""


@pytest.mark.parametrize(
    "code",
    [
        "import crosstune.cli.app as app; sys.argv = ['crosstune', '--help']; app.main()",
        "from crosstune.runs.provenance import hardware; assert hardware()['cores'] >= 1",
        "import crosstune.runs.lock, crosstune.runs.notes, crosstune.recipe, crosstune.study.settings",
    ],
)
def test_help_and_imports_do_without_what_windows_lacks(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _AS_ON_WINDOWS + code], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr
