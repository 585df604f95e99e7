"""The command that scores any model on published benchmarks; it loads what it needs when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from crosstune.cli.options import MaxNewTokens, TemplateOptions, template_options
from crosstune.precision import Precision
from crosstune.terminal.output import quiet, results, write_json
from crosstune.terminal.stopping import kept_when_stopped


def score(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a model folder, a GGUF file, or a hub id")],
    data_root: Annotated[
        Path | None,
        typer.Option("--data-root", metavar="DIR", help="folder with the benchmark files; the suite chat needs none"),
    ] = None,
    suite: Annotated[
        Literal["paper", "korean", "multilingual", "chat", "all"],
        typer.Option(help="benchmarks to score, as far as they exist in the two languages"),
    ] = "paper",
    tasks: Annotated[
        str,
        typer.Option("--tasks", metavar="A,B", help="score only these benchmarks, of any suite: instructions,ntrex"),
    ] = "",
    language: Annotated[
        str,
        typer.Option(
            "--language",
            metavar="A,B",
            help="score instead all benchmarks that lm-evaluation-harness has in these languages; --tasks chooses some",
        ),
    ] = "",
    num_fewshot: Annotated[
        int | None,
        typer.Option(
            "--num-fewshot",
            min=0,
            help="with --language: solved examples before a question",
            show_default="each its own",
        ),
    ] = None,
    chat_template: Annotated[
        bool, typer.Option("--chat-template", help="with --language: ask in the model's chat template")
    ] = False,
    copies: Annotated[
        Path | None,
        typer.Option("--copies", metavar="DIR", help="with --language: copies of the hub's data sets, OWNER/NAME each"),
    ] = None,
    tokenizer: Annotated[str, typer.Option("--tokenizer", help="a folder or hub id", show_default="MODEL's own")] = "",
    prompt: Annotated[
        Literal["paper-v1", "alpaca", "kullm", "chat"],
        typer.Option("--prompt", help="prompt template; chat: the tokenizer's own"),
    ] = "paper-v1",
    template_option: TemplateOptions = None,
    source: Annotated[
        str, typer.Option("--from", metavar="CODE", help="the source language, which the model knew")
    ] = "en",
    target: Annotated[str, typer.Option("--to", metavar="CODE", help="the target language")] = "ko",
    split: Annotated[
        Literal["test", "dev"], typer.Option(help="dev: development files, for benchmarks that have them")
    ] = "test",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="sample this many items of each benchmark")
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="skip benchmarks whose files are missing")
    ] = False,
    max_new_tokens: MaxNewTokens = 256,
    precision: Annotated[Precision, typer.Option(help="precision of the weights")] = "float32",
    revision: Annotated[str | None, typer.Option(help="commit of a hub id")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="folder for scores", show_default="a folder in runs/")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print every score as JSON instead of tables")] = False,
) -> None:
    """Score any model on published benchmarks, without a recipe; with the paper's suite, print its Tables 3 and 4.

    Finds files anywhere under DIR by the names that their authors or the hub gave them, and lists missing ones.

    The same command keeps finished scores and resumes interrupted ones.
    """
    from crosstune.evaluate.find_benchmarks import Choice
    from crosstune.evaluate.score import Asked, language_suite
    from crosstune.evaluate.score import score as run
    from crosstune.report.scores import read_scores, to_json

    options = template_options(template_option)
    asked = Asked(model, tokenizer or model, revision, prompt, max_new_tokens, precision, options)
    with quiet(results, as_json), kept_when_stopped():
        chosen = tuple(filter(None, map(str.strip, tasks.split(","))))
        choice = Choice(suite, data_root, split, limit, skip_missing, source, target, chosen)
        in_languages = language_suite(choice, language, num_fewshot, chat_template, copies)
        recipe, folder = run(asked, choice, out, in_languages)
    if as_json:
        write_json(to_json(recipe, read_scores(recipe, folder)))
