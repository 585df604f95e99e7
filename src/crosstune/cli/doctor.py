"""The command that looks before anything is trained: at an installation, or at a model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from crosstune.cli.options import GpuName
from crosstune.errors import BadInputError
from crosstune.terminal.output import results, write_json


def doctor(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="a model folder, a GGUF file, or a hub id; without one, checks this machine"
        ),
    ] = "",
    target: Annotated[
        str,
        typer.Option(
            "--to", metavar="CODE", help="the language to extend to, any code of ISO 639 or BCP 47: ko, ckb, pt-BR"
        ),
    ] = "",
    source: Annotated[
        str, typer.Option("--from", metavar="CODE", help="the source language, which the model knows")
    ] = "en",
    gpu: Annotated[
        GpuName | None,
        typer.Option(
            "--gpu", help="plan for this GPU", show_default="the smallest with enough memory", case_sensitive=False
        ),
    ] = None,
    num_gpus: Annotated[int, typer.Option("--gpus", min=1, help="number of GPUs")] = 1,
    text: Annotated[
        list[Path] | None,
        typer.Option("--text", metavar="FILE", help="target-language text to try new pieces on; repeatable"),
    ] = None,
    source_text: Annotated[
        list[Path] | None,
        typer.Option("--source-text", metavar="FILE", help="source-language text, for languages that share letters"),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option("--sample", metavar="FILE", help="translations to use instead of the bundled sentences"),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="commit, branch or tag of a hub id; the commit is kept")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Check a model, a language and a GPU in a minute, before training; without MODEL, check this machine.

    Trains nothing. config.json and tokenizer.json are enough; if the weights are there, the tests run on them. Every
    line has a verdict (ok, attention, stop) and, if needed, a setting for the recipe.

    The exit status is 1 if any verdict is stop, and 2 if MODEL cannot be found.
    """
    # Imported here: the command line answers --help without loading torch.
    from crosstune.doctor.findings import print_findings, to_json, worst

    asked: dict[str, object] = {}
    if not model:
        given: dict[str, object] = {"--to": target, "--from": source != "en", "--gpu": gpu, "--gpus": num_gpus > 1}
        given |= {"--text": text, "--source-text": source_text, "--sample": sample, "--revision": revision}
        if idle := [option for option, value in given.items() if value]:
            raise BadInputError(f"{', '.join(idle)}: only with a model: crosstune doctor MODEL --to ko")
        from crosstune.doctor.environment import environment

        title, findings = "crosstune on this machine", environment()
    else:
        if not target:
            raise BadInputError("crosstune doctor MODEL needs a target language: --to ko")
        from crosstune.doctor.examine import examine
        from crosstune.doctor.pieces import Texts
        from crosstune.doctor.subject import find_subject
        from crosstune.languages.registry import language
        from crosstune.recipe import Languages

        languages = Languages(source=language(source).code, target=language(target).code)
        texts = Texts(sample, tuple(text or ()), tuple(source_text or ()))
        kind = gpu.value if gpu else ""
        title = f"{model}: {languages.source} -> {languages.target}"
        asked = {"model": model, **languages.model_dump(), "gpu": kind, "num_gpus": num_gpus}
        findings = examine(find_subject(model, revision), languages, texts, kind, num_gpus)
    if as_json:
        write_json(json.dumps(to_json(asked, findings), ensure_ascii=False, indent=2) + "\n")
    else:
        print_findings(title, findings, results)
    if worst(findings) == "stop":
        raise typer.Exit(1)


COMMANDS: dict[str, Callable[..., None]] = {"doctor": doctor}
