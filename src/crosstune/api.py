"""What the commands do, as functions: `import crosstune` in a notebook or script.

Each does what its command does, by the same code. Nothing heavy is imported before a function needs it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crosstune.runs import pipeline
from crosstune.runs.folder import RunFolder
from crosstune.terminal import console, results
from crosstune.terminal import quiet as silent

if TYPE_CHECKING:
    from crosstune.recipe import Recipe
    from crosstune.serve.assistant import Assistant
    from crosstune.tokenizer.sweep import Point

Row = dict[str, Any]


def load_recipe(recipe: str | Path, overrides: Mapping[str, Any] | None = None, *, quick: bool = False) -> "Recipe":
    """Read a recipe file, or a recipe that comes with crosstune by its name, as ``miniature``.

    Args:
        recipe: a YAML file, or a name of `list_recipes`.
        overrides: settings that replace the recipe's, by their dotted names: ``{"seed": 2, "data_root": "data"}``.
        quick: the smaller run that the recipe's ``quick`` section describes.

    Raises:
        RecipeError: with every mistake and its place.
    """
    import json

    from crosstune.recipe import yaml_file

    texts = [f"{name}={_as_text(value, json.dumps)}" for name, value in (overrides or {}).items()]
    return yaml_file.load_recipe(Path(recipe), texts, quick=quick)


def _as_text(value: Any, dump: Any) -> str:
    return str(value) if isinstance(value, Path) else str(dump(value, ensure_ascii=False))


def list_recipes() -> dict[str, str]:
    """Return the recipes that come with crosstune, with a description of each."""
    from crosstune.recipe import shipped, yaml_file

    return {name: yaml_file.description_of(path) for name, path in shipped.recipes().items()}


def run(
    recipe: "Recipe",
    stages: Sequence[str] = pipeline.STAGE_NAMES,
    *,
    update: bool = False,
    quiet: bool = False,
    command: str = "crosstune.run(recipe)",
) -> RunFolder:
    """Run a recipe's stages, all of them by default; what is there for the same inputs and settings is skipped.

    Args:
        recipe: as `load_recipe` returns it.
        stages: some of ``data``, ``tokenizer``, ``train``, ``evaluate``, ``report``, in this order.
        update: continue in a run folder whose recipe was different.
        quiet: print nothing.
        command: what the report says the run was started with.

    Returns:
        The run's folder, as for `read_report`.

    Raises:
        CrosstuneError: with what is wrong, and what to do.
    """
    with silent(console, quiet), silent(results, quiet):
        return pipeline.run_stages(recipe, stages, command, update)


def check(recipe: "Recipe", stages: Sequence[str] = pipeline.STAGE_NAMES) -> None:
    """Check what a recipe starts from, and that this machine has what it asks for, before anything is made.

    Raises:
        CrosstuneError: with what is wrong.
    """
    pipeline.check_inputs(recipe, stages)


def train_systems(recipe: "Recipe", *, update: bool = False, quiet: bool = False) -> RunFolder:
    """Make a recipe's data and tokenizers and train its systems; evaluate and report nothing."""
    return run(recipe, ("data", "tokenizer", "train"), update=update, quiet=quiet)


def plan_training(recipe: "Recipe", gpu: str = "h100", num_gpus: int = 8, *, mfu: float = 0.4) -> Row:
    """Estimate the operations, hours and memory of each phase, before anything is trained.

    Makes the mixtures and tokenizers if they are not there.

    Args:
        recipe: as `load_recipe` returns it.
        gpu: by its data sheet, a name of ``crosstune plan --help``.
        num_gpus: how many, over all nodes.
        mfu: the share of the peak rate that training reaches.

    Returns:
        What ``crosstune plan --json`` prints.
    """
    from crosstune.errors import BadInputError
    from crosstune.plan.machines import GPUS, Machine
    from crosstune.plan.plan import make_plan
    from crosstune.plan.print_plan import to_json

    if gpu not in GPUS:
        raise BadInputError(f"{gpu!r} was asked as a GPU, but known are {', '.join(GPUS)}: name one of them")
    machine = Machine(GPUS[gpu], num_gpus, mfu)
    with pipeline.stages_run(recipe, ("data", "tokenizer"), "crosstune.plan_training(recipe)", False) as folder:
        return to_json(make_plan(recipe, folder, machine), machine)


def sweep(recipe: "Recipe", sizes: Sequence[int] = ()) -> list["Point"]:
    """Measure the length of target-language text with several numbers of new pieces.

    Makes the mixtures and tokenizers if they are not there. Without ``sizes``, 0.5 to 2 times the recipe's number.
    """
    from crosstune.tokenizer.sweep import sweep as measure

    with pipeline.stages_run(recipe, ("data", "tokenizer"), "crosstune.sweep(recipe)", False) as folder:
        return measure(recipe, folder, list(sizes))


def extend_tokenizer(
    base: str | Path,
    out: str | Path,
    texts: Iterable[str],
    *,
    target: str = "ko",
    source: str = "en",
    source_texts: Iterable[str] = (),
    **settings: Any,
) -> Row:
    """Extend a tokenizer to a language by texts, prove the extension, and write it as a folder.

    Args:
        base: a tokenizer or model folder, or a SentencePiece .model file.
        out: the new folder; AutoTokenizer loads it.
        texts: target-language texts to learn pieces from.
        target: the language that is learned.
        source: the language whose text must be cut as before.
        source_texts: source-language texts; needed where both languages share their letters.
        settings: of ``tokenizer.extension`` in a recipe, as ``num_new_pieces=4000``.

    Returns:
        The proof, property by property, as ``verification.json`` holds it, and how many pieces there are.

    Raises:
        CrosstuneError: when the tokenizer cannot be extended so, or a property does not hold.
    """
    from crosstune.tokenizer.from_texts import extend

    return extend(Path(base), Path(out), (target, source), (list(texts), list(source_texts)), settings)


def verify(
    tokenizer: str | Path,
    base: str | Path,
    texts: Sequence[str | Path] = (),
    *,
    parallel: tuple[str | Path, str | Path] | None = None,
    source: str = "en",
    target: str = "ko",
) -> Row:
    """Check that an extended tokenizer keeps what its base does, and measure how much shorter text becomes.

    Args:
        tokenizer: the extended one: a folder or .model file.
        base: what it was made from.
        texts: files of UTF-8 text, one line each; every file is a domain of its own.
        parallel: two files whose n-th lines are translations, the source language first.
        source: the source language.
        target: the target language.

    Returns:
        What ``crosstune verify --json`` prints; ``["holds"]`` says whether all properties hold.
    """
    from crosstune.recipe import Languages
    from crosstune.tokenizer.verify_command import Texts, compare

    pair = (Path(parallel[0]), Path(parallel[1])) if parallel else None
    return compare(
        Path(tokenizer), Path(base), Texts(list(map(Path, texts)), pair, Languages(source=source, target=target))
    )


def score(
    model: str | Path,
    data_root: str | Path,
    suite: Literal["paper", "korean", "multilingual", "all"] = "paper",
    *,
    source: str = "en",
    target: str = "ko",
    split: Literal["test", "dev"] = "test",
    limit: int | None = None,
    skip_missing: bool = False,
    prompt: Literal["paper-v1", "alpaca", "kullm", "chat"] = "paper-v1",
    max_new_tokens: int = 256,
    tokenizer: str | Path = "",
    out: str | Path | None = None,
    quiet: bool = False,
) -> list[Row]:
    """Score a model on published benchmarks whose files lie under a folder, as ``crosstune score``.

    Args:
        model: a model folder, or a hub id.
        data_root: where the benchmarks' files lie.
        suite: which benchmarks, of those that exist in the two languages.
        source: the language that the model knew.
        target: the language that it was extended to.
        split: ``dev`` takes development files, of benchmarks that have them.
        limit: draw at most so many items of each benchmark.
        skip_missing: continue without files that are not there.
        prompt: the template around instructions; ``chat`` is the tokenizer's own.
        max_new_tokens: where an answer is cut.
        tokenizer: a folder or hub id; the model's own if empty.
        out: where the scores go; below ``runs`` if absent.
        quiet: print nothing.

    Returns:
        A row for each score: system, task, metric, value, interval, number of items.
    """
    from crosstune.evaluate.find_benchmarks import Choice
    from crosstune.evaluate.score import Asked
    from crosstune.evaluate.score import score as score_model
    from crosstune.report.scores import to_rows

    asked = Asked(str(model), str(tokenizer or model), None, prompt, max_new_tokens, "float32")
    choice = Choice(suite, Path(data_root), split, limit, skip_missing, source, target)
    with silent(console, quiet), silent(results, quiet):
        return to_rows(*score_model(asked, choice, Path(out) if out else None))


def load_assistant(model: str | Path, prompt: str | None = None) -> "Assistant":
    """Load a model to ask it questions; ``prompt`` names a template for a model without a chat template."""
    from crosstune.serve.assistant import Assistant

    return Assistant(str(model), prompt)


def translate(
    model: "str | Path | Assistant",
    lines: Sequence[str],
    to: str = "ko",
    *,
    source: str = "en",
    instruction_language: str = "en",
    max_new_tokens: int = 256,
) -> list[str]:
    """Translate lines, each by itself.

    Args:
        model: a model folder, a hub id, or what `load_assistant` returned.
        lines: one text each; blank ones stay blank.
        to: the language of the translations.
        source: the language of the lines.
        instruction_language: of the instruction that asks for the translation.
        max_new_tokens: where a translation is cut.
    """
    from crosstune.serve.stream import Decoding
    from crosstune.serve.translate import Request, translate_lines

    assistant = load_assistant(model) if isinstance(model, str | Path) else model
    request = Request(f"{source}-{to}", instruction_language, Decoding(max_new_tokens))
    return [text for text, _ in translate_lines(assistant, request, lines)]


@dataclass(frozen=True)
class Report:
    """What a run found.

    Attributes:
        scores: a row for each score: system, task, metric, value, low, high, n, seed.
        forgetting: a row for each system and source-language task, where the recipe sets ``max_forgetting``.
        markdown: the report as text.
        html: the page, one file.
    """

    scores: list[Row]
    forgetting: list[Row]
    markdown: str
    html: Path


def read_report(run: RunFolder | str | Path) -> Report:
    """Read the report of a finished run.

    Raises:
        CrosstuneError: when the folder holds none.
    """
    from crosstune.recipe import yaml_file
    from crosstune.report.scores import to_rows
    from crosstune.runs.files import read_json

    folder = _folder(run)
    rows = to_rows(yaml_file.load_recipe(folder.recipe), folder)
    page, markdown = folder.report / "report.html", folder.report / "report.md"
    return Report(rows, read_json(folder.report / "forgetting.json"), markdown.read_text(encoding="utf-8"), page)


def read_metrics(run: RunFolder | str | Path, system: str) -> list[Row]:
    """Return what ``metrics.jsonl`` says of a system's training: a row for each logged step, with its loss."""
    from crosstune.runs.files import read_jsonl

    return read_jsonl(_folder(run).system(system) / "metrics.jsonl")


def _folder(run: RunFolder | str | Path) -> RunFolder:
    from crosstune.errors import RunFolderError

    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    if not (folder.report / "forgetting.json").is_file() and not folder.recipe.is_file():
        raise RunFolderError(f"{folder.root} was asked as a run, but holds no recipe.yaml: name a run's folder")
    return folder


@dataclass(frozen=True)
class Picture:
    """A drawing; a notebook shows it where it is a cell's value.

    Attributes:
        svg: the drawing as SVG, with its styles.
    """

    svg: str

    def save(self, path: str | Path) -> None:
        """Write it as an .svg file."""
        Path(path).write_text(self.svg, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg


def plot_metrics(run: RunFolder | str | Path, systems: Sequence[str], metric: str = "loss") -> Picture:
    """Draw a number of ``metrics.jsonl`` by training step, a line for each system; phases follow one another."""
    from crosstune.report.write.charts import Series, line_chart, standalone

    series = []
    for style, system in enumerate(systems):
        rows = read_metrics(run, system)
        series.append(Series(system, [(float(at), float(row[metric])) for at, row in enumerate(rows, start=1)], style))
    return Picture(standalone(line_chart(series, (720, 360), ("step", metric.replace("_", " "))), series))
