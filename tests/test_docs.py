"""Every command of README and docs is run, on the quick miniature in the place of the reader's own run and recipe."""

import csv
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

from crosstune.cli.app import app
from crosstune.recipe import yaml_file
from tests.command_line import crosstune
from tests.conftest import QUICK

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# End only when they are stopped: tests/serve/test_server.py and test_compare.py run them.
ENDLESS = ("serve", "compare")
# Need corpora, machines or hours that are not here: their recipes are checked as they stand, and test_end_to_end.py,
# study/, data/test_scale.py and tokenizer/ run the commands themselves on small ones.
ELSEWHERE = ("run miniature", "llama2_7b_korean", "real_small", "real_medium", "ablations", "slurm", "seeds=")


def commands() -> Iterator[tuple[str, str]]:
    """Yield page and command: lines that call crosstune in the pages' bash blocks, comments cut off."""
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                command = " ".join(line.partition(" #")[0].split())
                if re.match(r"(echo .* \| )?(\.venv/bin/)?crosstune ", command):
                    yield page.name, command


def runnable() -> list[tuple[str, str]]:
    """Return each command once, with the first page that has it."""
    found = {
        command.replace("RECIPE", "recipes/miniature.yaml").replace(" data_root=DIR", ""): page
        for page, command in reversed(list(commands()))
        if command.split()[1] not in ENDLESS and not any(name in command for name in ELSEWHERE)
    }
    return [(page, command) for command, page in found.items()]


def resolvable() -> list[tuple[str, str]]:
    """Return the commands that are not run here, but whose recipe or study can be checked where it lies."""
    found = dict.fromkeys(
        (page, command)
        for page, command in commands()
        if any(name in command for name in ELSEWHERE)
        and command.split()[1] in ("run", "study", "data", "tokenizer", "evaluate", "report")
    )
    return list(found)


def mentioned() -> list[tuple[str, str]]:
    """Return every call of crosstune with arguments: in bash blocks, by a launcher, and in the text."""
    found = dict.fromkeys(commands())
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for code in re.findall(r"`([^`]+)`", text):
            # "crosstune is faster by" is the name of a column.
            called = re.fullmatch(r"(?:.* -m )?(crosstune (?!is )[a-z]+ .+)", " ".join(code.split()))
            found |= {(page.name, called[1]): None} if called else {}
    return list(found)


@pytest.fixture(scope="session")
def workplace(quick_run: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `recipes/miniature.yaml` and `runs/miniature`, as the docs speak of them, only quick."""
    folder = tmp_path_factory.mktemp("workplace")
    shutil.copytree(quick_run[0], folder / "runs" / "miniature")
    recipe = crosstune("run", str(QUICK), "--quick", "--dry-run", "name=miniature")
    assert recipe.returncode == 0
    (folder / "recipes").mkdir()
    (folder / "recipes" / "miniature.yaml").write_text(recipe.stdout, encoding="utf-8")
    (folder / "runs" / "miniature" / "recipe.yaml").unlink()
    (folder / "FILE").write_text("The teacher likes the cake.\n", encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("quick_run")
@pytest.mark.parametrize(("page", "command"), runnable(), ids=lambda value: value)
def test_a_command_of_the_docs_runs(workplace: Path, page: str, command: str) -> None:
    question, _, command = command.rpartition("| ")
    arguments = shlex.split(command)[1:]
    shutil.rmtree(workplace / "OUT", ignore_errors=True)
    (workplace / "FILE.ko").unlink(missing_ok=True)
    said = question.removeprefix('echo "').rstrip().removesuffix('"')
    done = crosstune(*arguments, cwd=workplace, given=f"{said}\n" if said else "")
    assert done.returncode == 0, f"{page}: {command}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize(("page", "command"), resolvable(), ids=lambda value: value)
def test_a_command_for_other_machines_has_a_recipe_that_holds_together(page: str, command: str) -> None:
    done = crosstune(*shlex.split(command)[1:], "--dry-run", cwd=ROOT)
    assert done.returncode == 0, f"{page}: {command}\n{done.stderr[-2000:]}"


def test_every_command_has_the_arguments_and_options_that_it_is_shown_with() -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    assert len(mentioned()) > 50
    for page, command in mentioned():
        name, *arguments = shlex.split(command.rpartition("| ")[2])[1:]
        assert name in known, f"{page}: {command}"
        # Parses only: what it would do is not done.
        known[name].make_context(name, arguments)


def test_the_figures_of_the_results_are_those_of_the_files_that_they_show(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "docs" / "draw_results.py"), str(tmp_path)], check=True)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in (ROOT / "docs" / "results").iterdir()}
    assert drawn == {name: committed[name] for name in drawn}
    shown = "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("results.md", "real_model.md"))
    assert set(re.findall(r"\(results/(.*?)\)", shown)) == set(committed)


def test_the_scores_along_training_are_those_of_their_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    page = (ROOT / "docs" / "real_model.md").read_text(encoding="utf-8")
    table = import_module("scores_along_training").curves_table("bilingual")
    assert len(table) == 7 and "\n".join(table) in page


def test_the_docs_hold_commands_and_the_recipes_that_they_name_are_there() -> None:
    assert len(runnable()) > 15
    for page in PAGES:
        for name in re.findall(r"recipes/[\w/]+\.(?:yaml|sh)", page.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{page.name} names {name}"


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that a person wrapped: no tables, code or parts written by a script."""
    is_code = is_made = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```"):
            is_code = not is_code
        elif line.startswith("<!--"):
            is_made = not line.startswith("<!-- end of")
        elif page.name == "real_small.md" and line == "## Results":
            return  # the report of that run, as it was written
        elif not is_code and not is_made and not line.startswith("|"):
            yield number, line


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.ko.md"], ids=lambda page: page.name)
def test_a_line_of_prose_has_at_most_120_characters(page: Path) -> None:
    assert [number for number, line in prose(page) if len(line) > 120 and page.name != "log.md"] == []


def test_every_page_can_be_reached_from_the_first_one() -> None:
    first = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if page.name != "index.md" and page.name not in first] == []


def test_a_table_of_a_page_is_not_broken_by_an_empty_line() -> None:
    """A row after an empty line is no row of a table: every table begins with a head and a line of dashes."""
    broken = [
        f"{page.name}: {block[0]}"
        for page in PAGES
        for part in page.read_text(encoding="utf-8").split("\n\n")
        if (block := [line for line in part.splitlines() if line.startswith("|")])
        and not any(re.fullmatch(r"[|:\- ]+", line) for line in block[1:2])
    ]
    assert broken == []


def test_the_readmes_own_recipe_is_a_whole_one(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    (recipe,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
    loaded = yaml_file.load_recipe(tmp_path / "recipe.yaml")
    assert loaded.systems["ours"].new_rows.method == "aligned"


def rows_of(file: str) -> list[dict[str, str]]:
    with (ROOT / file).open(encoding="utf-8", newline="") as content:
        return list(csv.DictReader(content))


def test_what_is_said_of_the_collapse_is_what_the_tables_say() -> None:
    cells = ("translate_en_ko_en", "translate_en_ko_ko")
    three = {
        row["task"]: row["mean"]
        for row in rows_of("recipes/ablations/mixtures.csv")
        if (row["cell"], row["system"], row["metric"]) == ("paper", "ours", "bleu")
    }
    one = {
        row["task"]: row["value"]
        for row in rows_of("docs/miniature/tables.csv")
        if (row["system"], row["metric"]) == ("ours", "bleu")
    }
    said = [" → ".join(f"{float(values[cell]):.1f}" for cell in cells) for values in (one, three)]
    text = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    assert f"({said[0]} BLEU; over [three longer runs](#what-each-part-of-the-mixture-does) {said[1]})" in text


@pytest.mark.parametrize(
    "name", ["report", "second_world", "real_model", "chat", "chat_cure", "chat_vector", "paper_cure"]
)
def test_the_table_of_results_on_a_page_is_that_of_its_run(name: str) -> None:
    made = runpy.run_path(str(ROOT / "docs" / "update_results.py"))
    results = made["RESULTS"][name]
    for page, table in results.pages.items():
        lines = made["table_of"](
            ROOT / "docs" / results.tables, results.systems, table, made["KOREAN"] if page.endswith(".ko.md") else {}
        )
        assert "\n".join(lines) in (ROOT / page).read_text(encoding="utf-8")


# The best of a column is bold in reports.
INTERVAL = r"([+−]?\d+(?:\.\d+)?)(?:\*\*)?(?: BLEU)? \[([+−]?\d+(?:\.\d+)?), ([+−]?\d+(?:\.\d+)?)\]"


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/results.md", "docs/choosing.md", "recipes/ablations/README.md"])
def test_every_interval_of_the_studies_that_a_page_gives_stands_in_a_file_of_theirs(page: str) -> None:
    known = [
        tuple(float(row[column]) for column in columns)
        for file in sorted((ROOT / "recipes" / "ablations").glob("*.csv"))
        for row in rows_of(str(file.relative_to(ROOT)))
        for columns in (("difference", "low", "high"), ("to_base", "to_base_low", "to_base_high"))
        if all(row.get(column) for column in columns)
    ]
    # The cures' stand in their tables, the two worlds' and the chat model's in their reports.
    reports = sorted(
        path for name in ("cure", "miniature", "chat", "real_model") for path in (ROOT / "docs" / name).glob("*.md")
    )
    written = [path.read_text(encoding="utf-8") for path in reports]
    known += [
        tuple(float(row[column]) for column in ("value", "low", "high"))
        for file in sorted((ROOT / "docs" / "chat").glob("*.csv"))
        for row in rows_of(str(file.relative_to(ROOT)))
        if row["low"]
    ]
    for text in written:
        known += [
            tuple(float(number.replace("−", "-")) for number in numbers) for numbers in re.findall(INTERVAL, text)
        ]
    # A fall is given without its sign.
    known += [(-middle, -high, -low) for middle, low, high in known]
    found = re.findall(INTERVAL, (ROOT / page).read_text(encoding="utf-8"))
    assert found
    for numbers in found:
        places = [len(number.partition(".")[2]) for number in numbers]
        said = [float(number.replace("−", "-")) for number in numbers]
        near = (all(abs(a - b) <= 0.51 / 10**n for a, b, n in zip(said, row, places, strict=True)) for row in known)
        assert any(near), f"{page}: {numbers}"
