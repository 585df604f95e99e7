"""All benchmarks, by the names that recipes call them: those of every module of this package that has ``TASKS``."""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from crosstune import tasks
from crosstune.tasks.in_harness import ONLY_IN_HARNESS, InHarness
from crosstune.tasks.task import Task


@cache
def all_tasks() -> dict[str, Task]:
    """Return the benchmarks, sorted by module: a new one is a new file."""
    found: dict[str, Task] = {}
    for module in iter_modules(tasks.__path__, f"{tasks.__name__}."):
        for task in getattr(import_module(module.name), "TASKS", ()) if not module.ispkg else ():
            assert task.name not in found, f"two benchmarks are called {task.name}"
            found[task.name] = task
    return found


@dataclass(frozen=True)
class HarnessBenchmark:
    """A benchmark that lm-evaluation-harness has.

    Attributes:
        title: what tables call it.
        chance: how often guessing is right, where that is known.
    """

    title: str
    in_harness: InHarness
    chance: float | None = None


@cache
def benchmarks_in_harness() -> dict[str, HarnessBenchmark]:
    """Return all benchmarks that lm-evaluation-harness has in some language, by name."""
    read_here = {
        task.name: HarnessBenchmark(task.title, task.in_harness, task.chance)
        for task in all_tasks().values()
        if task.in_harness
    }
    return read_here | {one.name: HarnessBenchmark(one.title, one.in_harness) for one in ONLY_IN_HARNESS}


def suite_of(language: str) -> dict[str, str]:
    """Return what lm-evaluation-harness calls each benchmark that it has in a language, by the benchmark's name."""
    return {
        name: one.in_harness.name_in(language)
        for name, one in sorted(benchmarks_in_harness().items())
        if language in one.in_harness.languages
    }


def known_in_harness(name: str, language: str | None) -> HarnessBenchmark | None:
    """Return the benchmark that lm-evaluation-harness calls so in a language, if we know it."""
    called = {} if language is None else {called: one for one, called in suite_of(language).items()}
    return benchmarks_in_harness()[called[name]] if name in called else None
