"""A card for each model of a run: what it is, how to ask it, what it can do, what it forgot, where it came from.

The metadata follow the hub's form (https://huggingface.co/docs/hub/model-cards), results as its ``model-index``.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ruamel.yaml import YAML

from crosstune.models.chat_template import template_of
from crosstune.models.licences import on_a_card
from crosstune.recipe import Recipe
from crosstune.report.outputs import bos_of
from crosstune.report.run_facts import RunFacts, gguf_sentence
from crosstune.report.scores import Scores
from crosstune.report.tables.build import label_of, names_of
from crosstune.report.tables.cells import Table, TableRow
from crosstune.report.tables.columns import METRIC_TITLES, task_title
from crosstune.report.write.markdown import escape, table_to_markdown
from crosstune.runs.files import read_json, write_text
from crosstune.runs.folder import RunFolder
from crosstune.runs.hashes import MODEL_CARD
from crosstune.runs.provenance import public_path

# Where the better answers of mined pairs come from.
_CHOSEN = {"reference": "the mixture", "own": "its own answers"}


def write_model_cards(recipe: Recipe, run: RunFolder, tables: Sequence[Table], facts: RunFacts, scores: Scores) -> None:
    """Write README.md into the model folder of every system that the run trained."""
    for system in recipe.systems:
        folder = run.system(system) / "model"
        if (folder / "config.json").exists():
            write_text(folder / MODEL_CARD, model_card(recipe, run, system, tables, facts, scores))


def model_card(
    recipe: Recipe, run: RunFolder, system: str, tables: Sequence[Table], facts: RunFacts, scores: Scores
) -> str:
    """Return the card of one system: metadata, then Markdown."""
    parts = [
        f"---\n{_yaml(_metadata(recipe, system, scores))}---",
        f"# {escape(label_of(recipe, system))}",
        _summary(recipe, system),
        _how_to_ask(recipe, bos_of(run), _learnt_prompts(recipe, system)),
        *_results(recipe, system, tables),
        *_provenance(recipe, run, system, facts),
        _limits(recipe),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _metadata(recipe: Recipe, system: str, scores: Scores) -> dict[str, Any]:
    origin = _origin(recipe, system)
    results = [
        {
            "task": {"type": "translation" if score.metric in ("bleu", "chrf++") else "text-generation"},
            "dataset": {"name": task_title(recipe, score.task), "type": score.task},
            "metrics": [
                {"type": score.metric, "name": METRIC_TITLES.get(score.metric, score.metric), "value": score.value}
            ],
        }
        for (of_system, *_), score in scores.items()
        if of_system == system
    ]
    return {
        **(on_a_card(recipe.report.model_license) if recipe.report.model_license else {}),
        "language": [*recipe.languages.codes],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        **({"base_model": origin} if _is_on_the_hub(recipe, system) else {}),
        "tags": ["crosstune", "cross-lingual transfer", "vocabulary extension"],
        "model-index": [{"name": label_of(recipe, system), "results": results}] if results else [],
    }


def _origin(recipe: Recipe, system: str) -> str:
    """Return the model that a system goes back to through the systems that it starts from."""
    start = recipe.systems[system].start
    return _origin(recipe, start) if start in recipe.systems else start


def _is_on_the_hub(recipe: Recipe, system: str) -> bool:
    """Return whether the model that a system goes back to has a name that others can look up: an id with its commit."""
    settings = recipe.systems[system]
    if settings.start in recipe.systems:
        return _is_on_the_hub(recipe, settings.start)
    # A folder may stand beside a revision: its path is told to nobody.
    is_id = public_path(settings.start) == settings.start
    return settings.start != "scratch" and settings.revision is not None and is_id


def _named(origin: str, on_hub: bool) -> str:
    """Return how the card calls a model: a folder by its last names, for its path says something of the machine."""
    return origin if on_hub else public_path(origin)


def _summary(recipe: Recipe, system: str) -> str:
    origin = _origin(recipe, system)
    came = (
        "was trained from scratch"
        if origin == "scratch"
        else f"comes from `{_named(origin, _is_on_the_hub(recipe, system))}`"
    )
    if recipe.systems[system].tokenizer == "extended":
        came += f" and has an extended vocabulary for {names_of(recipe.languages.targets)}"
    about = f" {recipe.description}" if recipe.description else ""
    languages = names_of(recipe.languages.codes)
    return escape(f"A causal language model for {languages} that {came}.{about}").replace("\\`", "`")


def _learnt_prompts(recipe: Recipe, system: str) -> bool:
    """Return whether a system, or one that it starts from, was trained on anything but plain text."""
    settings, sources = recipe.systems[system], recipe.data.sources
    for phase in settings.phases:
        parts = recipe.data.mixtures.get(phase.mixture, ())
        # Pairs of answers, which are mined, have prompts.
        if phase.replay or not parts or any(sources[part.source].kind != "text" for part in parts):
            return True
    return any(_learnt_prompts(recipe, other) for other in recipe.needed_by(system))


def _how_to_ask(recipe: Recipe, bos: str, is_learnt: bool) -> str:
    template = template_of(recipe)
    direction = recipe.languages.directions[0]
    try:
        instruction = template.translation_instructions(direction, recipe.languages.source, "paper")[0]
    except ValueError:
        instruction = "Your instruction"
    prompt = template.prompt(instruction, "Your text")
    start = f". The first token, `{bos}`, is the BOS; leave it out where your tokenizer adds it" if bos else ""
    about = (
        "It was trained on prompts of this form, which"
        if is_learnt
        else "It was trained on plain text alone, and learnt no form of question here. It was scored with prompts that"
    )
    return (
        f"# How to ask it\n\n{about} its chat template writes "
        f"(`tokenizer.apply_chat_template`, or any engine's chat endpoint); the answer follows{start}:"
        f"\n\n```\n{bos}{prompt}\n```"
    )


def _results(recipe: Recipe, system: str, tables: Sequence[Table]) -> Iterator[str]:
    """Yield this model's rows of the report's tables, beside those of the system that it is measured against."""
    wanted = (recipe.evaluate.reference_system, system)
    shown = [
        replace(
            table,
            rows=tuple(_plain(row) for row in table.rows if row.system in wanted),
            sentence="",
            notes=(),
        )
        for table in tables
    ]
    if any(table.rows for table in shown):
        yield (
            "# Results\n\nRanges are 95 % intervals over the items; ▲ marks a significant change for the better, "
            "▼ one for the worse."
        )
    yield from (table_to_markdown(table) for table in shown if table.rows)


def _plain(row: TableRow) -> TableRow:
    """Return a row without the paper's figures, and without marks that compare it with rows that are not shown."""
    return replace(row, paper=(), cells=tuple(replace(cell, is_best=False, marks="") for cell in row.cells))


def _provenance(recipe: Recipe, run: RunFolder, system: str, facts: RunFacts) -> Iterator[str]:
    yield "# Where it came from"
    lines = [*_gguf_lines(run, system), *_training_lines(recipe, system), *_data_lines(recipe, run, system)]
    yield "\n".join(lines)
    made = f"Made by `{facts.command}`" + (f" at commit `{facts.commit}`" if facts.commit else "")
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    yield f"{made}, on {facts.hardware or 'unknown hardware'}. {versions}".strip()
    fingerprint = _fingerprint(run, system)
    if fingerprint:
        yield f"Fingerprint of everything that decided these weights: `{fingerprint}`."


def _gguf_lines(run: RunFolder, system: str) -> Iterator[str]:
    path = run.system(system) / "system.json"
    facts = read_json(path).get("gguf") if path.exists() else None
    if facts:
        yield f"- the weights that all began with were {escape(gguf_sentence(facts))}"


def _training_lines(recipe: Recipe, system: str) -> Iterator[str]:
    start = recipe.systems[system].start
    if start in recipe.systems:
        yield f"- starts from the run's system {escape(label_of(recipe, start))}"
    for number, phase in enumerate(recipe.systems[system].phases, start=1):
        length = f"epochs: {phase.num_epochs:g}" if phase.num_epochs else f"steps: {phase.num_steps}"
        yield (
            f"- phase {number}: {phase.title} on the mixture `{phase.mixture}`, {length}, {phase.global_batch_size} "
            f"rows per step, learning rate {phase.learning_rate:g} ({phase.schedule}), at most "
            f"{phase.max_length_tokens} tokens a row"
        )
    yield from _merge_lines(recipe, system)


def _merge_lines(recipe: Recipe, system: str) -> Iterator[str]:
    merge, start = recipe.systems[system].merge, recipe.systems[system].start
    if merge is None:
        return

    def named(other: str) -> str:
        return escape(label_of(recipe, other) if other in recipe.systems else public_path(other))

    if merge.weight is not None:
        yield f"- then interpolated with {named(merge.system or start)}, whose share is {merge.weight:g}"
    if merge.add:
        difference = f"{named(merge.add.system)} - {named(merge.add.minus)}"
        yield f"- then {merge.add.weight:g} x ({difference}) was added to its weights (chat vector)"


def _data_lines(recipe: Recipe, run: RunFolder, system: str) -> Iterator[str]:
    settings = recipe.systems[system]
    for name in dict.fromkeys(one for phase in settings.phases for one in phase.mixtures(settings.start)):
        manifest = run.mixture(name) / "manifest.json"
        if not manifest.exists():
            continue
        content = read_json(manifest)
        if name in recipe.mine:
            yield from _pairs_lines(recipe, name, content)
            continue
        if "replay_of" in content:
            yield (
                f"- replay (fingerprint `{content['fingerprint']}`): {content['total']:,} answers, "
                f"{content['tokens']:,} tokens, that {escape(label_of(recipe, content['replay_of']))} wrote itself to "
                f"prompts of the mixture `{content['mixture']}`; dropped: {sum(content['dropped'].values()):,}"
            )
            continue
        yield f"- mixture `{name}` (fingerprint `{content['fingerprint']}`):"
        for part in content.get("parts", ()):
            dropped = sum(part["dropped"].values())
            paths = ", ".join(f"`{public_path(path)}`" for path in recipe.data.sources[part["source"]].paths)
            yield (
                f"    - {part['source']}: {part['examples']:,} examples of {part['rows_read']:,} rows of {paths}; "
                f"dropped: {dropped:,}"
            )


def _pairs_lines(recipe: Recipe, name: str, content: dict[str, Any]) -> Iterator[str]:
    mined = recipe.mine[name]
    failures = ", ".join(f"{failure} {count:,}" for failure, count in sorted(content["pairs"].items()))
    chosen = ", ".join(f"{count:,} from {_CHOSEN[origin]}" for origin, count in sorted(content["chosen_from"].items()))
    yield (
        f"- pairs `{name}` (fingerprint `{content['fingerprint']}`): {content['total']:,} failed answers of "
        f"{escape(label_of(recipe, mined.system))} to prompts of the mixture `{mined.mixture}` ({failures}), each with "
        f"a better answer ({chosen})"
    )


def _fingerprint(run: RunFolder, system: str) -> str:
    path = run.system(system) / "system.json"
    return str(read_json(path).get("fingerprint", "")) if path.exists() else ""


def _limits(recipe: Recipe) -> str:
    languages, targets = recipe.languages.codes, recipe.languages.targets
    others = "the other language" if len(targets) == 1 else "another of its languages"
    return (
        f"# Intended use and limits\n\nFor research on extending language models to {names_of(targets)}. The results "
        "above are all that was measured: what they do not name is untested. It was not aligned for safety and was not "
        f"checked for bias; it may write false or harmful text in {names_of(languages)}, copy what it should "
        f"translate, or answer in {others}. The licenses of the base model and of the data above still apply."
    )


def _yaml(content: dict[str, Any]) -> str:
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 120
    yaml.dump({key: value for key, value in content.items() if value != []}, stream)
    return stream.getvalue()
