"""The command that writes a recipe for a model and a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from crosstune import api
from crosstune.cli.options import GpuName
from crosstune.errors import BadInputError


def init(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a model folder, a GGUF file, or a hub id")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="the folder with your files, including subfolders")
    ] = None,
    *,
    target: Annotated[
        str,
        typer.Option(
            "--to", metavar="CODE", help="the language to extend to, any code of ISO 639 or BCP 47: ko, ckb, pt-BR"
        ),
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="CODE", help="the source language, which the model knows")
    ] = "en",
    hours: Annotated[float, typer.Option("--hours", min=0.05, help="time limit of the run, in hours")] = 3.0,
    gpu: Annotated[
        GpuName | None,
        typer.Option("--gpu", help="plan for this GPU", show_default="measure this machine", case_sensitive=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="file to write the recipe to")] = Path(
        "recipe.yaml"
    ),
    from_hub: Annotated[
        list[str] | None,
        typer.Option(
            "--from-hub",
            metavar="NAME[:CONFIG]",
            help="a data set of the hub, instead of DIR or with it; repeatable",
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="commit, branch or tag of a hub id; the commit is kept")] = None,
) -> None:
    """Write a recipe for a model and a folder of files: sources, mixture, new pieces, training, evaluation.

    Prints what each file is, and why some are not used. Keeps benchmarks for evaluation, and holds out test rows
    if there is no test set. Every choice in the recipe has a comment with its reason. The recipe has passed the
    same checks as `crosstune run --dry-run`.
    """
    # Imported here: the command line answers --help without loading torch.
    from crosstune.doctor.subject import find_subject
    from crosstune.init.command import init as write_recipe
    from crosstune.init.request import InitRequest
    from crosstune.languages.registry import language
    from crosstune.recipe import Languages

    languages = Languages(source=language(source).code, target=language(target).code)
    subject = find_subject(model, revision)
    root, names = folder or Path(), tuple(from_hub or ())
    if folder is None and not names:
        raise BadInputError("crosstune init needs the folder of your files (DIR), or data sets: --from-hub NAME")
    asked = InitRequest(subject, root, languages, hours, gpu.value if gpu else "", out, names, folder is not None)
    write_recipe(asked, api.check)


COMMANDS: dict[str, Callable[..., None]] = {"init": init}
