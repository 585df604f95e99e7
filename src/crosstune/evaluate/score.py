"""`crosstune score`: benchmarks on any model folder, as a run without training whose recipe is made from the files."""

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError, RunFolderError
from crosstune.evaluate.find_benchmarks import Choice, find_tasks
from crosstune.languages.registry import canonical
from crosstune.models.gguf import model as gguf_model
from crosstune.models.gguf.header import is_gguf
from crosstune.precision import Precision
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import Data, EvaluationTask, Recipe, yaml_file
from crosstune.runs import pipeline
from crosstune.runs.files import read_json, write_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder
from crosstune.runs.hashes import hash_model
from crosstune.runs.provenance import public_path
from crosstune.terminal.output import note

# What the scored model is called in its run.
SYSTEM = "model"
# How `crosstune score` asks where nothing else is said: as a recipe does.
_PROMPT = Data.model_fields["prompt"].default
_MAX_NEW_TOKENS = EvaluationTask.model_fields["max_new_tokens"].default


@dataclass(frozen=True)
class Asked:
    """The model and how it is asked: folders or hub ids, the template's name and options, the limit of an answer."""

    model: str
    tokenizer: str
    revision: str | None
    prompt: str
    max_new_tokens: int
    precision: Precision
    template_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tables call the model: the last parts of its path, as far as they tell models apart."""
        parts = [part for part in Path(self.model).parts if part not in ("/", ".", "..")]
        return "/".join(parts[-2:] if parts[-1:] == ["model"] else parts[-1:]) or self.model


def score(
    asked: Asked, choice: Choice, out: Path | None, suite: Mapping[str, Any] | None = None
) -> tuple[Recipe, RunFolder]:
    """Score a model on the suite's files, and print the tables; an interrupted scoring goes on.

    With ``suite``, a recipe's section of that name, the benchmarks of its languages in lm-evaluation-harness are scored
    instead.

    Raises:
        BadInputError: when files are missing, are there more than once, or the model's folder is not there; for
            settings that the suite's benchmarks do not take.
        RunFolderError: when ``out`` holds the scores of another model, or another process works in it.
    """
    tasks = {} if suite else find_tasks(choice, asked.max_new_tokens)
    if suite:
        refuse_of_our_own(asked, bool(suite["chat_template"]))
    else:
        say_if_trained_otherwise(asked)
    recipe = _recipe(asked, choice, {"tasks": tasks, **({"suite": suite} if suite else {})}, out)
    command = shlex.join(["crosstune", *sys.argv[1:]])
    prepare = partial(_write_system, asked)
    run = pipeline.run_stages(recipe, ("data", "evaluate", "report"), command, update=True, prepare=prepare)
    return recipe, run


def language_suite(
    choice: Choice,
    languages: str,
    num_fewshot: int | None,
    chat_template: bool,
    copies: Path | None,
) -> dict[str, Any] | None:
    """Return the section ``suite`` of a recipe for languages with commas between them; None without any.

    Raises:
        BadInputError: for settings of a suite without languages, those of files with some, or a folder that is none.
    """
    codes = [canonical(code) for code in filter(None, map(str.strip, languages.split(",")))]
    given = {
        "num_fewshot": num_fewshot is not None,
        "chat_template": chat_template,
        "copies": copies is not None,
    }
    if not codes:
        if alone := [option for option, is_given in given.items() if is_given]:
            raise BadInputError(
                f"{', '.join(alone)}: only with --language, for benchmarks that lm-evaluation-harness has in a language"
            )
        return None
    of_files = {
        "data_root": choice.data_root is not None,
        "suite": choice.suite != "paper",
        "split": choice.split != "test",
        "skip_missing": choice.skip_missing,
    }
    if idle := [option for option, is_given in of_files.items() if is_given]:
        raise BadInputError(
            f"{', '.join(idle)}: not with --language, which takes its benchmarks from the hub or from --copies. Leave "
            "one or the other out"
        )
    if copies is not None and not copies.is_dir():
        raise BadInputError(
            f"--copies {copies} is not a folder: give the folder that holds OWNER/NAME of each data set"
        )
    return {
        "language": codes,
        "only": list(choice.tasks),
        "num_fewshot": num_fewshot,
        "chat_template": chat_template,
        "copies": str(copies.resolve()) if copies else None,
        "max_items": choice.limit,
    }


def refuse_of_our_own(asked: Asked, in_chat: bool) -> None:
    """Refuse settings of our own questions with benchmarks that bring theirs: they would change nothing.

    Asked in the chat template, these are asked with the options that the prompt ``chat`` is given.

    Raises:
        BadInputError: which names those settings.
    """
    idle = {
        "prompt": asked.prompt not in (_PROMPT, *(["chat"] if in_chat else [])),
        "max_new_tokens": asked.max_new_tokens != _MAX_NEW_TOKENS,
    }
    if given := [option for option, is_given in idle.items() if is_given]:
        raise BadInputError(
            f"{', '.join(given)}: not with --language, whose benchmarks bring their own questions and limits. "
            "Leave it out; --chat-template asks them in the model's own chat template"
        )


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


def _recipe(asked: Asked, choice: Choice, evaluate: dict[str, Any], out: Path | None) -> Recipe:
    in_suite = evaluate.get("suite", {}).get("language", ())
    chosen = _slug("_".join([*choice.tasks, *in_suite]) or choice.suite)
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
    what = f"benchmarks in {', '.join(in_suite)}" if in_suite else choice.what
    # The tables have a column group for the source language and one for the target language.
    target = next((code for code in in_suite if code != choice.source), choice.target)
    of_model = None if is_gguf(start) else asked.revision  # Beside a .gguf file it is the tokenizer's.
    files = f" on files of {public_path(str(root))}" if choice.data_root else ""
    return yaml_file.validate(
        {
            "name": name,
            "description": f"{public_path(asked.model)}, {what}{files}.",
            "seed": 1,
            "runs_root": str(out.parent if out else Path("runs")),
            "data_root": str(root),
            "languages": {"source": choice.source, "target": target},
            "data": {
                "prompt": asked.prompt,
                "template_options": dict(asked.template_options),
                "sources": {},
                "mixtures": {},
            },
            "tokenizer": {"base": {"kind": "given", "path": _place(asked.tokenizer), "revision": asked.revision}},
            "systems": {SYSTEM: {"start": start, "tokenizer": "base", "label": asked.label, "revision": of_model}},
            "evaluate": {"reference_system": SYSTEM, **evaluate, "precision": asked.precision},
            "report": {"title": f"Scores of {asked.label}"},
        },
        "crosstune score",
    )


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
