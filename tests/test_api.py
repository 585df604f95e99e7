"""The functions of `import crosstune`: light to import, documented, and the commands' own code."""

import ast
import inspect
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import crosstune
from crosstune.errors import BadInputError
from crosstune.report.write.charts import Series, line_chart, standalone
from crosstune.runs.files import write_jsonl
from crosstune.runs.folder import RunFolder
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.folder import write_folder
from crosstune.tokenizer.learn_base import SPECIAL_PIECES, learn_base
from tests.command_line import ENVIRONMENT
from tests.conftest import QUICK
from tests.tokenizer.conftest import ENGLISH, KOREAN
from tests.warm import run as run_program

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "examples" / "quick_run.py"
# For calls that are refused before they look at it.
NO_RECIPE: Any = None
# What Jupyter does: run the cells one after another, and keep the value of the last line.
_AS_A_NOTEBOOK = """
import ast, sys
sys.argv = sys.argv[1:]
cells = ast.parse(open(sys.argv[0], encoding="utf-8").read())
last = ast.Expression(cells.body.pop().value)
names = {"__name__": "__main__"}
exec(compile(cells, sys.argv[0], "exec"), names)
print(eval(compile(last, sys.argv[0], "eval"), names)._repr_svg_())
"""


def test_importing_it_is_quick_quiet_and_loads_no_torch() -> None:
    names = ", ".join(crosstune.__all__)
    code = (
        f"import sys, time; started = time.process_time(); import crosstune; from crosstune import {names}; "
        "seconds = time.process_time() - started; "
        "print([one for one in ('torch', 'transformers', 'numpy', 'pydantic') if one in sys.modules], seconds < 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert (done.stdout, done.stderr) == ("[] True\n", "")


def test_every_function_is_typed_and_described_on_its_page() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in crosstune.__all__:
        one = getattr(crosstune, name)
        assert f"`{name}" in page, name
        assert inspect.getdoc(one), name
        if inspect.isfunction(one):
            parameters = inspect.signature(one).parameters.values()
            assert all(parameter.annotation is not inspect.Parameter.empty for parameter in parameters), name
            assert inspect.signature(one).return_annotation is not inspect.Signature.empty, name


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'trainn'; there are CrosstuneError, .*load_recipe"):
        _ = crosstune.trainn


@pytest.mark.slow
def test_overrides_are_values_of_python(tmp_path: Path) -> None:
    recipe = crosstune.load_recipe("miniature", {"seed": 7, "runs_root": tmp_path, "train.trackers": ["wandb"]})
    assert (recipe.seed, recipe.runs_root, recipe.train.trackers) == (7, tmp_path, ("wandb",))
    assert "miniature" in crosstune.list_recipes()
    with pytest.raises(crosstune.CrosstuneError, match="sed: unknown"):
        crosstune.load_recipe("miniature", {"sed": 7})


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder of a LLaMA-2-like tokenizer of 420 pieces."""
    roles = dict(zip(("unk_token", "bos_token", "eos_token"), SPECIAL_PIECES, strict=True))
    (tmp_path / "base").mkdir()
    write_folder(tmp_path / "base", learn_base(list(ENGLISH * 4), 420, "ko"), roles)
    return tmp_path / "base"


@pytest.mark.slow
def test_a_tokenizer_is_extended_by_texts_and_proved(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "extended"
    proof = crosstune.extend_tokenizer(
        base, out, KOREAN * 4, source_texts=ENGLISH, num_new_pieces=128, required_syllables="seen"
    )
    assert proof["holds"] and proof["size"]["size"] % 128 == 0
    before, after = (
        BpeTokenizer(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))) for folder in (base, out)
    )
    korean = before.encode_lines(KOREAN), after.encode_lines(KOREAN)
    assert sum(map(len, korean[1])) < sum(map(len, korean[0])) / 2
    assert before.encode_lines(ENGLISH) == after.encode_lines(ENGLISH)
    assert crosstune.verify(out, base)["holds"]
    with pytest.raises(crosstune.CrosstuneError, match="extended already exists and is not replaced"):
        crosstune.extend_tokenizer(base, out, KOREAN)


def test_a_language_that_shares_its_letters_needs_source_texts(base: Path, tmp_path: Path) -> None:
    german = ["Die Lehrerin gab dem Schüler gestern in der Bücherei ein rotes Buch."] * 4
    with pytest.raises(crosstune.CrosstuneError, match="no mixture holds 'en' text"):
        crosstune.extend_tokenizer(base, tmp_path / "german", german, target="de", num_new_pieces=128)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_pieces": 4}, "num_pieces: unknown setting"),
        ({"num_new_pieces": 0}, "num_new_pieces: Input should be greater"),
        ({"write_sentencepiece": True}, "write_sentencepiece: this needs a recipe"),
    ],
)
def test_wrong_settings_of_an_extension_are_named(
    base: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(crosstune.CrosstuneError, match=message):
        crosstune.extend_tokenizer(base, tmp_path / "out", KOREAN, **settings)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(crosstune.CrosstuneError, match=r"has no recipe\.yaml"):
        crosstune.read_report(tmp_path)


def test_a_gpu_that_is_not_known_is_named() -> None:
    with pytest.raises(crosstune.CrosstuneError, match="'h99' is not a known GPU; choose one of"):
        crosstune.plan_training(crosstune.load_recipe("miniature"), "h99")


@pytest.mark.xdist_group("quick_run")
def test_the_notebook_runs_and_ends_in_a_plot(quick_run: tuple[Path, str], tmp_path: Path) -> None:
    program = tmp_path / "notebook.py"
    program.write_text(_AS_A_NOTEBOOK, encoding="utf-8")
    # A kernel has options of its own on its command line.
    arguments = (str(NOTEBOOK), "-f", "kernel.json", str(QUICK))
    done = run_program(str(program), *arguments, cwd=quick_run[0].parent.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "ours" in done.stdout and done.stdout.rstrip().endswith("</svg>")
    assert (quick_run[0] / "loss.svg").read_text(encoding="utf-8") in done.stdout
    report = crosstune.read_report(RunFolder(quick_run[0]))
    rows = json.loads(json.dumps(report.scores))
    assert {"system", "task", "metric", "value", "low", "high", "n"} <= rows[0].keys()
    assert report.html.is_file() and report.markdown.startswith("#")


def test_a_plot_counts_steps_over_phases_though_not_each_has_a_row(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").touch()
    places = [(0, 10, 3.0), (0, 20, math.nan), (0, 30, 2.0), (1, 10, 1.0)]
    rows = [{"phase": phase, "step": step, "loss": loss} for phase, step, loss in places]
    write_jsonl(RunFolder(tmp_path).system("ours") / "metrics.jsonl", rows)
    series = [Series("ours", [(10.0, 3.0), (30.0, 2.0), (40.0, 1.0)], 0)]
    drawn = standalone(line_chart(series, (720, 360), ("step", "loss")), series)
    assert crosstune.plot_metrics(tmp_path, ["ours"]).svg == drawn
    with pytest.raises(BadInputError, match=r"ours: metrics\.jsonl has no number 'accuracy'; choose one of .*loss"):
        crosstune.plot_metrics(tmp_path, ["ours"], "accuracy")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: crosstune.translate("nowhere", "Good morning."), "lines"),
        (lambda: crosstune.extend_tokenizer("nowhere", "out", "안녕하세요"), "texts"),
        (lambda: crosstune.verify("nowhere", "base", "korean.txt"), "texts"),
        (lambda: crosstune.score("nowhere", tasks="instructions"), "tasks"),
        (lambda: crosstune.score("nowhere", language="ko"), "language"),
        (lambda: crosstune.run(NO_RECIPE, "data"), "stages"),
    ],
)
def test_one_text_where_several_belong_is_not_taken_letter_by_letter(call: Callable[[], Any], name: str) -> None:
    with pytest.raises(BadInputError, match=f"^{name}: .* is a single one. Several are expected: give a list"):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crosstune.plan_training(NO_RECIPE, "h100", mfu=40), "mfu=40: out of bounds. Allowed: 0.01 to 1"),
        (lambda: crosstune.plan_training(NO_RECIPE, "h100", 0), "num_gpus=0: out of bounds. Allowed: 1 or more"),
        (lambda: crosstune.score("model", limit=0), "limit=0: out of bounds"),
        (lambda: crosstune.translate("model", ["a"], max_new_tokens=0), "max_new_tokens=0: out of bounds"),
        (lambda: crosstune.sweep(NO_RECIPE, [1000, 0]), "sizes=0: out of bounds"),
    ],
)
def test_numbers_that_the_commands_refuse_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        call()


@pytest.mark.parametrize("stages", [["tain"], ["train", "data"], ["data", "data"]])
def test_stages_that_are_none_or_out_of_order_are_refused(stages: list[str]) -> None:
    with pytest.raises(BadInputError, match="give some of data, tokenizer, train, evaluate, report, in this order"):
        crosstune.run(NO_RECIPE, stages)


def test_the_notebook_is_made_of_cells() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert text.count("# %%") >= 8 and isinstance(ast.parse(text).body[-1], ast.Expr)
