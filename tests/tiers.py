"""The tiers of the tests: what trains or starts a process is marked `whole`, and what is not marked does neither.

A test is marked by what it and its fixtures refer to, so that nobody has to think of it. What escapes that reading is
caught when the test runs: it fails, and says what it did.
"""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Generator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from tests import warm

# Whoever refers to one of these modules, or to a function of one, trains or starts processes.
_OF_WHOLE_TESTS = ("subprocess", "crosstune.train.stage", "crosstune.runs.workers", "tests.ranks", "tests.warm")
_TIERS = ("whole", "slow", "exhaustive")
# A library, or our own provenance, asks these for a fact or two in a few milliseconds.
_QUICK = {"git", "uname", "lscpu", "ldconfig", "file"}
# What the test at hand did that a fast one does not do.
_done: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that train or start processes, so that `make test-fast` can leave them out; begin with long ones."""
    for item in items:
        if isinstance(item, pytest.Function) and any(map(_is_of_whole_tests, _functions_of(item))):
            item.add_marker("whole")
    # Long ones first: begun last, one of them would leave the other test process idle.
    items.sort(key=lambda item: not any(item.get_closest_marker(mark) for mark in ("xdist_group", "slow", "whole")))


def _functions_of(item: pytest.Function) -> list[Any]:
    """Return the functions that make up a test: its own and those of its fixtures."""
    definitions = item._fixtureinfo.name2fixturedefs.values()
    return [item.function, *(definition.func for several in definitions for definition in several)]


def _is_of_whole_tests(thing: Any, seen: frozenset[str] = frozenset()) -> bool:
    """Return whether a module, or a function or what it refers to, trains or starts processes."""
    if isinstance(thing, ModuleType):
        return thing.__name__ in _OF_WHOLE_TESTS
    function = inspect.unwrap(thing)
    home = str(getattr(function, "__module__", ""))
    if home in _OF_WHOLE_TESTS:
        return True
    if not isinstance(function, FunctionType) or not home.startswith("tests.") or function.__name__ in seen:
        return False
    found = map(function.__globals__.get, _names_in(function.__code__))
    referred = (one for one in found if isinstance(one, ModuleType | FunctionType | type))
    return any(_is_of_whole_tests(one, seen | {function.__name__}) for one in referred)


def _names_in(code: CodeType) -> set[str]:
    """Return the names that some code refers to, with the functions inside it."""
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def _note_process(event: str, arguments: tuple[Any, ...]) -> None:
    """Note each start of a process; Python tells its audit hooks of all but those of multiprocessing."""
    if event == "subprocess.Popen" and os.path.basename(os.fsdecode(arguments[0])) not in _QUICK:
        _done.append(f"started {os.fsdecode(arguments[0])}")
    elif event in ("os.fork", "os.posix_spawn", "os.system"):
        _done.append(f"called {event}")


def _noting(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*arguments: Any, **settings: Any) -> Any:
        _done.append(what)
        return function(*arguments, **settings)

    return noting


def pytest_configure() -> None:
    """Listen to starts of processes from the first test on."""
    import multiprocessing.process

    sys.addaudithook(_note_process)
    for owner, name in ((multiprocessing.process.BaseProcess, "start"), (warm.Process, "__init__")):
        setattr(owner, name, _noting(getattr(owner, name), "started a process"))


def pytest_collection_finish() -> None:
    """Listen to training, too, where a test imports it."""
    if "crosstune.train.loop" in sys.modules:
        loop: Any = sys.modules["crosstune.train.loop"]
        loop.train_step = _noting(loop.train_step, "trained")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget what the tests before did."""
    _done.clear()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that belongs to another tier."""
    yield
    if _done and not any(item.get_closest_marker(tier) for tier in _TIERS):
        what = ", ".join(dict.fromkeys(_done))
        pytest.fail(f"a test of the fast tier, but it {what}: mark it `whole`", pytrace=False)
