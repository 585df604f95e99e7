"""`crosstune mine`: pairs of answers from what the systems of a run get wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from crosstune.cli.options import load
from crosstune.errors import BadInputError
from crosstune.runs import pipeline
from crosstune.runs.folder import RunFolder
from crosstune.runs.lock import only_process_in
from crosstune.terminal.output import note
from crosstune.terminal.stopping import kept_when_stopped


def mine(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="the folder of a run with trained systems: runs/miniature")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="settings of the section mine: 'mine.failures={system: ours, mixture: bilingual}'",
        ),
    ] = None,
) -> None:
    """Collect pairs of a better and a failed answer, from the answers of a system of RUN to training prompts.

    Writes RUN/data/mixtures/NAME/pairs.jsonl for each NAME of the recipe's section `mine`. Phases of `method:
    preference` learn from them. `crosstune run` collects what its phases need.
    """
    folder = RunFolder(run)
    if not folder.recipe.is_file():
        raise BadInputError(f"{run} is not a run folder: it has no recipe.yaml. Give the folder of a run")
    recipe = load(folder.recipe, overrides)
    if not recipe.mine:
        raise BadInputError(
            f"the recipe of {run} has no section `mine`: say whose failures to collect, on which training mixture: "
            f"crosstune mine {run} 'mine.failures={{system: {recipe.systems_in_order[-1]}, mixture: "
            f"{next(iter(recipe.data.mixtures), 'NAME')}}}'"
        )
    # Imported here: the command line answers --help without loading torch.
    from crosstune.mine.stage import mine as collect

    with kept_when_stopped(), only_process_in(folder.root, pipeline.OWN_FOLDER):
        for name in recipe.mine:
            collect(recipe, folder, name)
            note(f"pairs: {folder.mixture(name) / 'pairs.jsonl'}")


COMMANDS: dict[str, Callable[..., None]] = {"mine": mine}
