"""Names: tests use no private one, so that what is private may change, and each class has one of its own."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "crosstune"
# Of a configuration of transformers, and of a named tuple.
OF_LIBRARIES = {"_attn_implementation", "_fields"}


def is_private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


def private_names_of(source: Path) -> set[str]:
    """Return the private functions, classes, constants and attributes that a package makes."""
    found: set[str] = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return set(filter(is_private, found)) - OF_LIBRARIES


def private_names_in(test: str, of_source: set[str]) -> Iterator[tuple[int, str]]:
    """Yield line and name of what a test uses that is private to the source."""
    for node in ast.walk(ast.parse(test)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "crosstune":
            yield from ((node.lineno, one.name) for one in node.names if is_private(one.name))
        elif isinstance(node, ast.Attribute) and node.attr in of_source:
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "os")):
                yield node.lineno, node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("setattr", "delattr"):
            named = [one.value for one in node.args if isinstance(one, ast.Constant)]
            yield from ((node.lineno, name) for name in named if name in of_source)


@pytest.mark.slow
def test_no_test_uses_a_private_name_of_the_source() -> None:
    of_source = private_names_of(SOURCE)
    found = [
        f"{path.relative_to(TESTS)}:{line}: {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for line, name in private_names_in(path.read_text(encoding="utf-8"), of_source)
    ]
    assert found == []


@pytest.mark.slow
def test_who_looks_for_a_class_finds_one() -> None:
    texts = (path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    names = Counter(name for text in texts for name in re.findall(r"^class ([A-Z]\w*)", text, flags=re.MULTILINE))
    assert [name for name, number in names.items() if number > 1] == []
