"""`crosstune mine`: a system answers training prompts, and its failures become pairs that a phase learns from.

The pairs lie beside the mixtures, in the same form: two examples that follow one another, the chosen one first.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table
from transformers import PreTrainedTokenizerBase

from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import Drops
from crosstune.errors import BadInputError, RunFolderError
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.systems import TrainedSystem, find_system, load_system
from crosstune.languages.identify import has_shared_script
from crosstune.languages.writing_systems import script_share
from crosstune.mine.answers import answers_to
from crosstune.mine.pairs import JudgedAnswer, PreferencePair, judge, make_pairs
from crosstune.mine.questions import questions_of
from crosstune.models.chat_template import template_of
from crosstune.prompts.examples import IS_OPEN, SCHEMA
from crosstune.prompts.templates import Template
from crosstune.recipe import Recipe
from crosstune.runs import ranks
from crosstune.runs.files import write_jsonl
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import MINED, RunFolder, fingerprint_of, is_current, whole_folder
from crosstune.terminal.output import console, new_table, note
from crosstune.tokens.encode import encode_examples
from crosstune.tokens.store import rendered_with_controls

_PAIRS = pa.schema([*SCHEMA, (IS_OPEN, pa.bool_())])


def mine(recipe: Recipe, run: RunFolder, name: str) -> None:
    """Write the pairs of a name of the section ``mine``, if they are not there for the same system and settings.

    Raises:
        RunFolderError: when the system is not trained yet, or several processes were launched.
        BadInputError: when no answer failed.
    """
    settings = recipe.mine[name]
    system, template = find_system(run, settings.system), template_of(recipe)
    folder, wanted = run.mixture(name), _fingerprint(recipe, run, name, system, template)
    if is_current(folder, wanted):
        note(f"pairs {name}: already there")
        return
    if ranks.num_ranks() > 1:
        raise RunFolderError(
            f"{ranks.num_ranks()} processes were launched, but the pairs {name!r} are collected by one, and are not "
            f"there yet: run `crosstune mine {run.root}` first, then launch training again"
        )
    facts: dict[str, Any] = {**MINED, "system": settings.system, "mixture": settings.mixture}
    log = OutputLog(folder.with_name(f".{name}.partial.jsonl"), wanted)
    # The manifest is written when the body ends: it fills in what it counted.
    with log, whole_folder(folder, wanted, facts) as temporary:
        drops = Drops(temporary / "dropped.jsonl")
        judged, pairs = _collect(recipe, run, name, (system, template, log), drops)
        drops.close()
        facts |= _counts(judged, pairs, drops)
        facts["with_controls"] = rendered_with_controls(run, settings.mixture)
        if not pairs:
            raise BadInputError(
                f"mine.{name}: none of {len(judged):,} answers of {settings.system} gave a pair (failures: "
                f"{facts['failures'] or 'none'}; dropped: {facts['dropped'] or 'none'}). There is nothing to learn "
                "from: mine another mixture or system, or leave the phase out"
            )
        _write(pairs, template, temporary)
    log.remove()
    console.print(_table(name, facts))


def _fingerprint(recipe: Recipe, run: RunFolder, name: str, system: TrainedSystem, template: Template) -> str:
    settings = recipe.mine[name]
    evaluation = [fingerprint_of(folder) for folder in _evaluation_folders(recipe, run)]
    # Before, own answers were chosen that hold an evaluation item; pairs with references are as they were.
    changed = ["own answers without evaluation items"] if settings.chosen == "own" else []
    # Before, no answer in another language of such a script was found to be in the wrong one.
    if any(has_shared_script(code) and script_share("a", code) < 1 for code in recipe.languages.codes):
        changed.append("languages told apart in all scripts")
    return fingerprint(
        "pairs",
        settings,
        fingerprint_of(run.mixture(settings.mixture)),
        system.fingerprint,
        evaluation,
        template.with_first_wordings(),
        [recipe.evaluate.precision, recipe.data.quality.overlap_ngram, recipe.languages, recipe.seed],
        *changed,
    )


def _evaluation_folders(recipe: Recipe, run: RunFolder) -> list[Path]:
    """Return all evaluation sets, whether or not the recipe drops training rows that overlap with them."""
    return [run.evaluation_set(label) for label in recipe.evaluate.tasks_with_files]


def _collect(
    recipe: Recipe, run: RunFolder, name: str, asked: tuple[TrainedSystem, Template, OutputLog], drops: Drops
) -> tuple[list[JudgedAnswer], list[PreferencePair]]:
    (system, template, log), settings = asked, recipe.mine[name]
    known = EvaluationTexts.read(_evaluation_folders(recipe, run), recipe.data.quality.overlap_ngram)
    questions = questions_of(recipe, run, name, template, known, drops)
    loaded = load_system(system, recipe.evaluate.precision)
    answers = answers_to(questions, loaded, template, recipe.evaluate, settings.max_new_tokens, log)
    judged = [judge(question, answer, template) for question, answer in zip(questions, answers, strict=True)]
    pairs = make_pairs(judged, settings, template, known, drops)
    return judged, _that_can_be_tokenized(pairs, loaded[1], template, drops)


def _that_can_be_tokenized(
    pairs: Sequence[PreferencePair], tokenizer: PreTrainedTokenizerBase, template: Template, drops: Drops
) -> list[PreferencePair]:
    """Return the pairs whose answers say the same tokenized apart from the prompt: a model may write anything."""

    def can(members: Sequence[PreferencePair]) -> bool:
        prompts = [pair.judged.question.example.prompt for pair in members for _ in range(2)]
        completions = [text for pair in members for text in (pair.chosen, pair.rejected)]
        try:
            encode_examples(tokenizer, pa.array(prompts), pa.array(completions), bool(template.controls))
        except BadInputError:
            return False
        return True

    if not pairs or can(pairs):
        return list(pairs)
    kept = []
    for pair in pairs:
        if can([pair]):
            kept.append(pair)
        else:
            example = pair.judged.question.example
            drops.add("changes at the border of the prompt", example.source, example.origin, pair.row(template))
    return kept


def _counts(judged: Sequence[JudgedAnswer], pairs: Sequence[PreferencePair], drops: Drops) -> dict[str, Any]:
    return {
        "answers": len(judged),
        "unflagged": sum(not one.failures for one in judged),
        "failures": dict(Counter(name for one in judged for name in one.failures)),
        "total": len(pairs),
        "pairs": dict(Counter(pair.failure for pair in pairs)),
        "chosen_from": dict(Counter(pair.chosen_from for pair in pairs)),
        "dropped": drops.counts(),
    }


def _write(pairs: Sequence[PreferencePair], template: Template, folder: Path) -> None:
    """Write the pairs as people read them, and as training does."""
    write_jsonl(folder / "pairs.jsonl", (pair.row(template) for pair in pairs))
    rows = [
        (example.prompt, text, example.language, f"{example.source} ({side})", example.origin, is_open)
        for pair in pairs
        for example in [pair.judged.question.example]
        for side, text, is_open in (
            ("chosen", pair.chosen, False),
            ("rejected", pair.rejected, not pair.judged.answer.finished),
        )
    ]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, schema=_PAIRS), folder / "examples.parquet")


def _table(name: str, facts: dict[str, Any]) -> Table:
    table = new_table(f"pairs {name}: {facts['answers']:,} answers, {facts['unflagged']:,} without a failure")
    for column in ("failure", "answers", "pairs"):
        table.add_column(column, justify="left" if column == "failure" else "right")
    for failure, count in sorted(facts["failures"].items(), key=lambda entry: -entry[1]):
        table.add_row(failure, f"{count:,}", f"{facts['pairs'].get(failure, 0):,}")
    table.add_row("total", "", f"{facts['total']:,}")
    return table
