"""`crosstune score`: benchmarks on any model folder, as a run without training whose recipe is made from the files."""

import re
import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from crosstune.errors import BadInputError, RunFolderError
from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from crosstune.models.gguf import model as gguf_model
from crosstune.models.gguf.header import is_gguf
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs import pipeline
from crosstune.runs.files import read_json, write_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder
from crosstune.runs.hashes import hash_model
from crosstune.runs.provenance import public_path
from crosstune.terminal import note

# What the scored model is called in its run.
SYSTEM = "model"


@dataclass(frozen=True)
class Asked:
    """The model and how it is asked: folders or hub ids, the template's name, the limit of an answer."""

    model: str
    tokenizer: str
    revision: str | None
    prompt: str
    max_new_tokens: int
    precision: Literal["float32", "bf16"]

    @property
    def label(self) -> str:
        """What tables call the model: the last parts of its path, as far as they tell models apart."""
        parts = [part for part in Path(self.model).parts if part not in ("/", ".", "..")]
        return "/".join(parts[-2:] if parts[-1:] == ["model"] else parts[-1:]) or self.model


def score(asked: Asked, choice: Choice, out: Path | None) -> tuple[Recipe, RunFolder]:
    """Score a model on the suite's files, and print the tables; an interrupted scoring goes on.

    Raises:
        BadInputError: when files are missing, are there more than once, or the model's folder is not there.
        RunFolderError: when ``out`` holds the scores of another model, or another process works in it.
    """
    tasks = find_tasks(choice, asked.max_new_tokens)
    say_if_trained_otherwise(asked)
    recipe = _recipe(asked, choice, tasks, out)
    command = shlex.join(["crosstune", *sys.argv[1:]])
    prepare = partial(_write_system, asked)
    run = pipeline.run_stages(recipe, ("data", "evaluate", "report"), command, update=True, prepare=prepare)
    return recipe, run


def say_if_trained_otherwise(asked: Asked) -> None:
    """Tell where a folder's own chat template is one of ours, and another is asked for: its answers will be worse."""
    file = Path(asked.tokenizer) / "chat_template.jinja"
    written = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    trained = next((name for name, template in TEMPLATES.items() if template.chat_template() == written), None)
    if trained is not None and asked.prompt not in (trained, "chat"):
        note(
            f"{asked.label} was trained with the prompt {trained}, as its chat template says, and is asked with "
            f"{asked.prompt}: --prompt {trained} asks it as it was trained"
        )


def _write_system(asked: Asked, run: RunFolder) -> None:
    """Say in the run's folder which model it scores."""
    path = run.system(SYSTEM) / "system.json"
    facts = {"model": _place(asked.model), "revision": asked.revision, "tokenizer": _place(asked.tokenizer)}
    if path.is_file() and (before := read_json(path)["model"]) != facts["model"]:
        raise RunFolderError(
            f"{run.root} holds the scores of {before}, and {facts['model']} is to be scored now: give another folder "
            f"with --out, or delete this one"
        )
    gguf = {"gguf": gguf_model.facts_of(asked.model)} if is_gguf(asked.model) else {}
    made_from = fingerprint("scored model", facts, _content(asked.model), _content(asked.tokenizer))
    write_json(path, {**facts, **gguf, "fingerprint": made_from, "phases": [], "files": {}})


def _place(model: str) -> str:
    """Return the whole path of a folder or file, and a hub id as it is."""
    return str(Path(model).resolve()) if Path(model).exists() else model


def _content(model: str) -> str:
    return hash_model(Path(model)) if Path(model).exists() else ""


def _recipe(asked: Asked, choice: Choice, tasks: dict[str, Any], out: Path | None) -> Recipe:
    chosen = _slug("_".join(choice.tasks) or choice.suite)
    made_from = fingerprint("scored model", asked.model, asked.tokenizer)
    name = out.name if out else f"{_slug(asked.label)}_{chosen}_{made_from[:6]}"
    if _slug(name) != name:
        raise BadInputError(
            f"--out {out}: the folder's name may contain lower-case letters, digits and _, such as "
            f"{_slug(name) or 'scores'}: "
            "give another"
        )
    start = _place(asked.model)
    if start in (SYSTEM, "scratch"):
        raise BadInputError(
            f"{asked.model!r} is neither a folder here nor the id of a model on the hub: give the model's folder"
        )
    root = choice.data_root or Path()
    files = f" on files of {public_path(str(root))}" if choice.data_root else ""
    return yaml_file.validate(
        {
            "name": name,
            "description": f"{public_path(asked.model)}, {choice.what}{files}.",
            "seed": 1,
            "runs_root": str(out.parent if out else Path("runs")),
            "data_root": str(root),
            "languages": {"source": choice.source, "target": choice.target},
            "data": {"prompt": asked.prompt, "sources": {}, "mixtures": {}},
            "tokenizer": {"base": {"kind": "given", "path": _place(asked.tokenizer), "revision": asked.revision}},
            "systems": {
                SYSTEM: {"start": start, "tokenizer": "base", "label": asked.label, "revision": asked.revision}
            },
            "evaluate": {"reference_system": SYSTEM, "tasks": tasks, "precision": asked.precision},
            "report": {"title": f"Scores of {asked.label}"},
        },
        "crosstune score",
    )


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
