"""`crosstune instruct`: instructions in the target language, translated and checked."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from crosstune.cli.options import PrecisionOption
from crosstune.errors import BadInputError
from crosstune.languages.registry import canonical
from crosstune.terminal.stopping import kept_when_stopped


def instruct(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="an instruction set, in any supported format"),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="a new folder: instructions.jsonl, dropped.jsonl, a card")],
    to: Annotated[str, typer.Option("--to", metavar="CODE", help="the language to translate into")] = "ko",
    source: Annotated[str, typer.Option("--from", metavar="CODE", help="the language of FILE")] = "en",
    model: Annotated[
        str, typer.Option("--model", help="a model folder that translates; with --url, its name at the endpoint")
    ] = "",
    url: Annotated[str, typer.Option("--url", help="an OpenAI-compatible endpoint, up to and with /v1")] = "",
    min_chrf: Annotated[
        float,
        typer.Option("--min-chrf", min=0, max=100, help="drop rows whose back-translation has a lower chrF"),
    ] = 40.0,
    max_rows: Annotated[int | None, typer.Option("--max-rows", min=1, help="only the first rows of FILE")] = None,
    prompt: Annotated[
        Literal["paper-v1", "alpaca", "kullm"] | None,
        typer.Option(
            "--prompt", help="prompt template that the model was trained with", show_default="its chat template"
        ),
    ] = None,
    instruction_language: Annotated[
        str | None,
        typer.Option(
            "--instruction-language",
            metavar="CODE",
            help="language of the instruction to translate",
            show_default="en",
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-new-tokens",
            min=1,
            help="length limit of a line; with --url of a text, reasoning included",
            show_default="256; with --url 1024",
        ),
    ] = None,
    precision: PrecisionOption = None,
    parallel: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="with --url: number of requests at a time", show_default="4"),
    ] = None,
) -> None:
    """Translate an instruction set, and keep the rows whose translation passes the checks.

    A row passes if no rule finds a failure, and if each text translated back resembles the original (chrF). Dropped
    rows are kept with their reason. An interrupted call resumes. With --url, the texts are sent to the endpoint; its
    key is read from OPENAI_API_KEY.
    """
    languages = canonical(source), canonical(to)
    if languages[0] == languages[1]:
        raise BadInputError(f"--from and --to are both {languages[0]}: there is nothing to translate")
    if not model:
        raise BadInputError(
            "--model says who translates: a model folder, as runs/miniature/systems/ours/model, or, with --url, a "
            "model's name at the endpoint"
        )
    of_folder = {"--prompt": prompt, "--instruction-language": instruction_language, "--precision": precision}
    idle = of_folder if url else {"--parallel": parallel}
    if given := [option for option, value in idle.items() if value is not None]:
        raise BadInputError(
            f"{', '.join(given)}: not with --url, where the endpoint decides. Leave one or the other out"
            if url
            else "--parallel: only with --url; a model folder translates in batches. Leave it out"
        )
    from crosstune.instruct.command import ROWS, InstructionSet, make, rows_of
    from crosstune.instruct.translators import EndpointTranslator, ModelTranslator, Translator
    from crosstune.judge.endpoint import Endpoint

    wanted = InstructionSet(file, languages, max_rows, min_chrf)
    rows_of(wanted, out)  # or says what is wrong, before a model is loaded
    translator: Translator
    if url:
        translator = EndpointTranslator(Endpoint(url, model, max_new_tokens or 1024), parallel or 4)
    else:
        asked_in = canonical(instruction_language or "en")
        translator = ModelTranslator(model, prompt, asked_in, max_new_tokens or 256, languages, precision)
    with kept_when_stopped():
        make(wanted, translator, out)
    sys.stdout.write(f"{out / ROWS}\n")


COMMANDS: dict[str, Callable[..., None]] = {"instruct": instruct}
