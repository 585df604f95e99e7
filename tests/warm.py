"""Programs in forks of a process that has loaded the libraries: ten seconds of processor time less for each.

A fork has all of a process: its own arguments, environment, folder, files, signals and exit status. The process that
forks has loaded the code under test and has run none of it.
"""

import atexit
import functools
import gc
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

_LOADED = (
    *(f"crosstune.{stage}.stage" for stage in ("data", "tokenizer", "train", "evaluate", "report")),
    "crosstune.plan.plan",
    "transformers.models.llama.modeling_llama",
)
# Commands that load no torch: the process that forks does not, either, before it is asked for another.
_LIGHT = ("--help", "--version", "recipes", "data", "filter", "report")
_SECONDS_BETWEEN_LOOKS = 0.01


@functools.cache
def _server() -> subprocess.Popen[str]:
    """Start the process that forks; it ends with this one, which closes its input."""
    from tests.command_line import ENVIRONMENT

    places = {"PYTHONPATH": os.pathsep.join((ENVIRONMENT["PYTHONPATH"], str(Path(__file__).parent.parent)))}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.warm"],
        env={**ENVIRONMENT, **places},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(request: dict[str, Any]) -> Any:
    if _server().poll() is not None:
        _server.cache_clear()
    server = _server()
    assert server.stdin and server.stdout
    print(json.dumps(request), file=server.stdin, flush=True)
    return json.loads(server.stdout.readline())


class Process:
    """A program that runs in a fork: what the tests use of `subprocess.Popen`, and of its text."""

    def __init__(self, program: str, *arguments: str, **settings: Any) -> None:
        self._folder = Path(tempfile.mkdtemp())
        (self._folder / "given").write_text(settings.get("given", ""), encoding="utf-8")
        request = {
            "program": program,
            "arguments": arguments,
            "folder": str(self._folder),
            "cwd": str(settings.get("cwd") or Path.cwd()),
            "environment": dict(settings.get("environment", {})),
        }
        self.pid: int = _ask(request)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status of a program that has ended."""
        if self.returncode is None:
            self.returncode = _ask({"status_of": self.pid})
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        """Wait until the program has ended; return its exit status."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, 9)
                raise TimeoutError(f"the program ran longer than {timeout} seconds: {self.said()[1][-2000:]}")
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to a program that has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def said(self) -> tuple[str, str]:
        """Return what the program wrote to standard output and to standard error."""
        return tuple((self._folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))  # type: ignore[return-value]

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        """Wait until the program has ended; return what it said, once."""
        self.wait(timeout)
        said = self.said()
        shutil.rmtree(self._folder)
        return said


def run(
    program: str,
    *arguments: str,
    cwd: Path | None = None,
    given: str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a module or a file with arguments; return what it said and how it ended."""
    process = Process(program, *arguments, cwd=cwd, given=given, environment=environment or {})
    said, told = process.communicate()
    assert process.returncode is not None
    return subprocess.CompletedProcess([program, *arguments], process.returncode, said, told)


def _serve() -> None:
    """Answer requests for a program with the number of the fork that runs it, and others with its exit status."""
    import_module("crosstune.cli.app")
    for line in sys.stdin:
        asked = json.loads(line)
        if "status_of" in asked:
            ended, status = os.waitpid(asked["status_of"], os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if ended else None), flush=True)
            continue
        if not set(asked["arguments"][:1]) & set(_LIGHT) and "--dry-run" not in asked["arguments"]:
            for module in _LOADED:
                import_module(module)
        gc.freeze()  # or every fork would copy what it looks at
        for name in ("stdout", "stderr"):
            Path(asked["folder"], name).touch()
        child = os.fork()
        if child == 0:
            _end(_status_of(asked))
        print(child, flush=True)


def _status_of(request: dict[str, Any]) -> int:
    """Run what is asked for; return the status that Python ends with."""
    try:
        _become(request)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException as error:
        traceback.print_exc()
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _become(request: dict[str, Any]) -> None:
    """Take on the arguments, environment, folder and files of a request, and run its program."""
    os.environ |= request["environment"]
    os.chdir(request["cwd"])
    folder = Path(request["folder"])
    for number, name, mode in ((0, "given", os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        os.dup2(os.open(folder / name, mode), number)
    # What was read ahead of standard input is of other requests.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = [request["program"], *request["arguments"]]
    if request["program"].endswith(".py"):
        sys.path[0] = str(Path(request["program"]).parent)
        runpy.run_path(request["program"], run_name="__main__")
    else:
        sys.path[0] = request["cwd"]
        runpy.run_module(request["program"], run_name="__main__", alter_sys=True)


def _end(status: int) -> NoReturn:
    """End as Python does, but leave the memory to the system: to free each object takes three seconds."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve()
