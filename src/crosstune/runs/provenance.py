"""What a result was made with: versions, commit, hardware."""

import os
import platform
import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from crosstune import __version__

# Not the rest of a path from here on, nor of an address (https://...).
_PATH_INSIDE = re.compile(r"(?<![\w./:\\~*-])(?:[A-Za-z]:[\\/]|~?[/\\]|~\w+/|(?:\./)?\.\./)[^\s,\[\]{}'\"]+")
_FILE_ADDRESS = re.compile("file:/+", re.IGNORECASE)
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "peft", "datasets", "lm_eval", "sacrebleu", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of crosstune, Python and the libraries that decide numbers."""
    found = {"crosstune": __version__, "python": platform.python_version()}
    return found | {library: _version(library) for library in _LIBRARIES}


@cache
def _version(library: str) -> str:
    """Return a library's version, which every folder that is written tells: found once, in 3 ms each."""
    # Imported here: it takes a tenth of the time of --help.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def public_command(command: str) -> str:
    """Return a command as others may read it: without the folders of the machine that it ran on."""

    def public(word: str) -> str:
        key, equals, value = word.partition("=")
        return f"{key}={_public_value(value)}" if equals else _public_value(word)

    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return shlex.join(map(public, words))


def _public_value(text: str) -> str:
    """Return a value with the paths in it as others may read them: it may be a list or an object, as YAML has them."""
    text = _FILE_ADDRESS.sub("/", text)
    whole = public_path(text)
    # A path may have spaces, and is then the whole value.
    return whole if whole != text else _PATH_INSIDE.sub(lambda found: public_path(found[0]), text)


def public(facts: Any) -> Any:
    """Return what ``run.json`` says as others may read it: the commands in it by ``public_command``."""
    if isinstance(facts, list):
        return [public(fact) for fact in facts]
    if not isinstance(facts, dict):
        return facts
    return {key: public_command(fact) if key == "command" else public(fact) for key, fact in facts.items()}


def public_path(path: str) -> str:
    """Return a path as others may read it: of one that leads out of the folder where it was typed, its last name."""
    parts = PurePath(path).parts
    # Also Windows' paths, wherever they are read.
    is_local = path.startswith(("/", "~", "\\")) or ".." in parts or PureWindowsPath(path).drive != ""
    if not is_local:
        return path
    name = PureWindowsPath(path).name
    # Half of the models of the world are called so.
    return f"{PureWindowsPath(path).parent.name}/{name}" if name == "model" else name or "."


def commit() -> str:
    """Return the commit of the source tree that runs, with ``+`` when it has changes; empty outside a repository."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    if shutil.which("git") is None or not git("ls-files", "--error-unmatch", str(Path(__file__))):
        return ""
    return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", str(here)) else "")


def hardware() -> dict[str, Any]:
    """Return what the run ran on: processor, cores, memory in GB."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = {"memory_gb": round(found / 2**30, 1)} if (found := _memory()) else {}
    return {"processor": _processor(), "cores": cores, **memory, "system": platform.platform()}


def free_memory() -> int:
    """Return the bytes of memory that a program can still get here, within the limit of its container."""
    information = Path("/proc/meminfo")
    lines = information.read_text().splitlines() if information.exists() else []
    available = next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), _memory())
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.exists() and used.exists() and (most := limit.read_text().strip()).isdecimal():
        return min(available, int(most) - int(used.read_text()))
    return available


def _memory() -> int:
    """Return the machine's memory in bytes; 0 where it does not say, as on Windows."""
    if not hasattr(os, "sysconf"):
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
