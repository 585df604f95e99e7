"""Replay that a model writes itself: its own answers to prompts of a mixture, learnt beside what is new.

What a chat model does is not in the data that it is extended with. Its own answers are (SSR, Huang et al. 2024,
https://arxiv.org/abs/2403.01244): a phase that learns them, too, keeps what it did before.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import Drops
from crosstune.errors import BadInputError, RunFolderError
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.systems import find_system, load_system
from crosstune.mine.answers import answers_to
from crosstune.mine.pairs import JudgedAnswer, completion_of, judge
from crosstune.mine.questions import TrainingPrompt, asked_of, numbers_of_prompts, without_overlap
from crosstune.models.chat_template import template_of
from crosstune.prompts.examples import SCHEMA, Example, write_examples
from crosstune.prompts.templates import Template
from crosstune.recipe import Recipe, Replay
from crosstune.runs import ranks
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import MINED, RunFolder, fingerprint_of, is_current, whole_folder
from crosstune.terminal.output import note
from crosstune.tokens.encode import encode_examples
from crosstune.tokens.store import rendered_with_controls

# Prompts that are answered before the tokens of their answers are counted.
_AT_A_TIME = 256


@dataclass(frozen=True)
class ReplaySource:
    """What replay is made from: the model that answers, how it is asked, and what no row may say."""

    recipe: Recipe
    settings: Replay
    loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase]
    template: Template
    known: EvaluationTexts


def write_replay(recipe: Recipe, run: RunFolder, name: str, index: int) -> None:
    """Write the replay of a system's phase, if it is not there for the same start, prompts and settings.

    Raises:
        RunFolderError: when the start is not trained yet, or several processes were launched.
        BadInputError: when no answer is one that could be learnt.
    """
    system = recipe.systems[name]
    settings = system.phases[index].replay
    assert settings is not None
    start, template = find_system(run, system.start), template_of(recipe)
    folder = run.mixture(settings.folder_of(system.start))
    evaluation = [run.evaluation_set(label) for label in recipe.evaluate.tasks_with_files]
    wanted = fingerprint(
        "replay",
        settings,
        fingerprint_of(run.mixture(settings.prompts)),
        start.fingerprint,
        [fingerprint_of(one) for one in evaluation],
        template.with_first_wordings(),
        [recipe.evaluate.precision, recipe.data.quality.overlap_ngram, recipe.languages, recipe.seed],
    )
    if is_current(folder, wanted):
        note(f"replay of {system.start} on {settings.prompts}: already there")
        return
    if ranks.num_ranks() > 1:
        raise RunFolderError(
            f"{ranks.num_ranks()} processes were launched, but the replay of systems.{name}.phases.{index} is written "
            "by one, and is not there yet: run `crosstune train RECIPE` in one process until it is, then launch again"
        )
    facts: dict[str, Any] = {**MINED, "replay_of": system.start, "mixture": settings.prompts}
    log = OutputLog(folder.with_name(f".{folder.name}.partial.jsonl"), wanted)
    with log, whole_folder(folder, wanted, facts) as temporary:
        drops = Drops(temporary / "dropped.jsonl")
        known = EvaluationTexts.read(evaluation, recipe.data.quality.overlap_ngram)
        source = ReplaySource(recipe, settings, load_system(start, recipe.evaluate.precision), template, known)
        examples, counted = _written(source, _prompts(source, run, drops), log, drops)
        drops.close()
        facts |= {**counted, "total": len(examples), "dropped": drops.counts()}
        facts["with_controls"] = rendered_with_controls(run, settings.prompts)
        if not examples:
            raise BadInputError(
                f"systems.{name}.phases.{index}.replay: none of {counted['answers']:,} answers of {system.start} to "
                f"prompts of {settings.prompts!r} can be learnt (dropped: {drops.counts()}). Raise max_new_tokens if "
                "most did not end, or name other prompts"
            )
        write_examples(temporary / "examples.parquet", examples)
    log.remove()
    _tell(system.start, settings, facts)


def _tell(start: str, settings: Replay, facts: dict[str, Any]) -> None:
    reached = facts["tokens"] >= settings.tokens
    rest = "" if reached else f": of {settings.tokens:,} that were asked for, since the mixture has no more prompts"
    dropped = ", ".join(f"{reason}: {count:,}" for reason, count in facts["dropped"].items())
    note(
        f"replay of {start} on {settings.prompts}: {facts['total']:,} of {facts['answers']:,} answers, "
        f"{facts['tokens']:,} tokens{rest}{f'; dropped: {dropped}' if dropped else ''}"
    )


def _prompts(source: ReplaySource, run: RunFolder, drops: Drops) -> list[TrainingPrompt]:
    """Return the mixture's prompts in a drawn order, each text once, without those of an evaluation set."""
    table = pq.read_table(run.mixture(source.settings.prompts) / "examples.parquet", schema=SCHEMA)
    numbers = numbers_of_prompts(table)
    random.Random(f"{source.recipe.seed} replay {source.settings.prompts}").shuffle(numbers)
    found, seen = [], set[str]()
    for number in numbers:
        example = Example(*(table[column][number].as_py() for column in SCHEMA.names))
        if example.prompt in seen:
            continue
        seen.add(example.prompt)
        asked = asked_of(source.recipe, example, source.template)
        if asked is None:
            drops.add("prompt of several turns", example.source, example.origin, {"prompt": example.prompt})
        else:
            found.append(TrainingPrompt(number, example, asked))
    texts = [{"instruction": one.asked.instruction, "input": one.asked.source} for one in found]
    return without_overlap(found, texts, source.known, drops)


def _written(
    source: ReplaySource, prompts: Sequence[TrainingPrompt], log: OutputLog, drops: Drops
) -> tuple[list[Example], dict[str, int]]:
    """Let the model answer prompts until its answers have as many tokens as are wanted."""
    examples: list[Example] = []
    num_tokens = num_answers = 0
    for judged in _answers(source, prompts, log):
        num_answers += len(judged)
        for example, tokens in _rows(source, judged, drops):
            if num_tokens >= source.settings.tokens:
                break
            examples.append(example)
            num_tokens += tokens
        if num_tokens >= source.settings.tokens:
            break
    return examples, {"answers": num_answers, "tokens": num_tokens}


def _answers(source: ReplaySource, prompts: Sequence[TrainingPrompt], log: OutputLog) -> Iterator[list[JudgedAnswer]]:
    for first in range(0, len(prompts), _AT_A_TIME):
        some = prompts[first : first + _AT_A_TIME]
        limit, evaluate = source.settings.max_new_tokens, source.recipe.evaluate
        answers = answers_to(some, source.loaded, source.template, evaluate, limit, log)
        yield [judge(prompt, answer, source.template) for prompt, answer in zip(some, answers, strict=True)]


def _rows(source: ReplaySource, judged: Sequence[JudgedAnswer], drops: Drops) -> Iterator[tuple[Example, int]]:
    """Yield what can be learnt, with the number of its answer's tokens; each drop has its reason."""
    prompts, texts = [one.question for one in judged], [{"answer": one.output} for one in judged]
    clean = {prompt.number for prompt in without_overlap(prompts, texts, source.known, drops)}
    for one in judged:
        if one.question.number not in clean:
            continue
        asked = one.question.example
        example = Example(
            asked.prompt, completion_of(one, source.template), asked.language, f"{asked.source} (replay)", asked.origin
        )
        tokens = _num_tokens(example, source)
        reason = _problem(one) or ("" if tokens else "changes at the border of the prompt")
        if reason:
            drops.add(reason, asked.source, asked.origin, {"prompt": asked.prompt, "answer": one.output})
        else:
            yield example, tokens


def _problem(one: JudgedAnswer) -> str:
    if not one.answer.finished:
        return "did not end"
    if not one.output.strip():
        return "nothing was written"
    return "broken characters" if "\ufffd" in one.output else ""


def _num_tokens(example: Example, source: ReplaySource) -> int:
    """Return the tokens that are learnt of an example; 0 where prompt and answer change each other."""
    prompt, completion = pa.array([example.prompt]), pa.array([example.completion])
    try:
        row = encode_examples(source.loaded[1], prompt, completion, bool(source.template.controls))
    except BadInputError:
        return 0
    return len(row["tokens"][0].as_py()) - int(row["num_prompt"][0].as_py())
