"""All benchmarks, by the names that recipes call them: those of every module of this package that has ``TASKS``."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from crosstune import tasks
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
