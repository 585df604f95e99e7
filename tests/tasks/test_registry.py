"""Facts about a benchmark stand in its own file, and nowhere else."""

import re
import tokenize
from pathlib import Path

import pytest

import crosstune
from crosstune.tasks.registry import all_tasks

SOURCE = Path(crosstune.__file__).parent
# The miniature writes files in the form of three benchmarks.
ALLOWED = ("tasks", "miniature")
# They begin with a word of everyday code.
PLAIN = {"click", "include", "global_mmlu"}
# Asked by our own loop alone: the harness has no second turn behind a model's own answer, and writes no translations.
OURS = ("translation", "harness", "rules", "language")


def words(path: Path) -> set[str]:
    """Return the names and texts of a file's code, without comments and docstrings."""
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type != tokenize.COMMENT]
    wanted = (tokenize.NAME, tokenize.STRING)
    return {
        token.string
        for token in tokens
        if token.type in wanted and not token.string.startswith(('"""', 'r"""')) and token.string != "__name__"
    }


@pytest.mark.slow
def test_no_benchmark_is_named_outside_its_file() -> None:
    # AI-Hub is a format of corpora, too, and FLORES-200 one of sacreBLEU's tokenizers.
    asked = {name for name, task in all_tasks().items() if task.judge in ("choice", "keywords")} - PLAIN
    names = {name.partition("_")[0] for name in asked}
    pattern = re.compile("|".join(sorted(names)), re.IGNORECASE)
    found = {
        f"{path.relative_to(SOURCE)}: {word}"
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] not in ALLOWED
        for word in words(path)
        if pattern.search(word)
    }
    assert names >= {"hellaswag", "copa", "nsmc", "kobest"}
    # The harness's YAML of PAWS-X and of CLIcK call functions of ours.
    assert {one for one in found if "harness/tasks.py" not in one} == set()


def test_each_benchmark_has_one_harness_file() -> None:
    files = {path.stem for path in (SOURCE / "tasks" / "harness").glob("*.yaml")}
    asked = {name for name, task in all_tasks().items() if task.judge not in OURS}
    assert asked == {name for name in files if not name.startswith("translate")} - {"crosstune"}
