"""Pairs of a chosen and a rejected answer: the failure rules reject, the reference or a better own answer is chosen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sacrebleu.metrics import CHRF

from crosstune.data.overlap import EvaluationTexts
from crosstune.data.rows import Drops
from crosstune.mine.answers import SystemAnswer
from crosstune.mine.questions import TrainingPrompt, without_overlap
from crosstune.prompts.controls import as_text
from crosstune.prompts.templates import Template
from crosstune.recipe import Mine
from crosstune.tasks.diagnostics import EXTRA, Expectation, failures

ChosenFrom = Literal["reference", "own"]


@dataclass(frozen=True)
class JudgedAnswer:
    """A question, what the system answered, without the template's frame, and what is wrong with it."""

    question: TrainingPrompt
    answer: SystemAnswer
    output: str
    failures: tuple[str, ...]


@dataclass(frozen=True)
class PreferencePair:
    """A rejected answer, with the failure that it counts for, and the one that is chosen in its place.

    Attributes:
        chosen: the completion that is learned, in the template's frame.
        rejected: the completion as the model wrote it.
    """

    judged: JudgedAnswer
    failure: str
    chosen: str
    rejected: str
    chosen_from: ChosenFrom

    def row(self, template: Template) -> dict[str, Any]:
        """Return it as people read it, with where it comes from."""
        example = self.judged.question.example
        return {
            "failure": self.failure,
            "failures": list(self.judged.failures),
            "prompt": example.prompt,
            "chosen": template.output(self.chosen),
            "rejected": self.judged.output,
            "chosen_from": self.chosen_from,
            "finished": self.judged.answer.finished,
            "language": example.language,
            "source": example.source,
            "origin": example.origin,
        }


def judge(question: TrainingPrompt, answer: SystemAnswer, template: Template) -> JudgedAnswer:
    """Apply the failure rules to an answer."""
    output = template.output(answer.text)
    return JudgedAnswer(question, answer, output, _failures(output, question.asked, answer.finished))


def _failures(output: str, asked: Expectation, finished: bool) -> tuple[str, ...]:
    found = failures(output, asked, finished)
    # Beyond translations this rule is for answers of a word or a line; instructions may be answered at any length.
    return found if asked.target_language else tuple(name for name in found if name != EXTRA)


def make_pairs(
    judged: Sequence[JudgedAnswer], settings: Mine, template: Template, known: EvaluationTexts, drops: Drops
) -> list[PreferencePair]:
    """Return a pair for each answer with one of the wanted failures; ``drops`` gets those that give none."""
    clean = _clean(judged, known, drops)
    better = _better_answers(clean) if settings.chosen == "own" else {}
    counts: Counter[str] = Counter()
    pairs = []
    for one in clean:
        wanted = [name for name in settings.failures if name in one.failures]
        if not wanted:
            continue
        pair = _pair(one, wanted[0], better.get(one.question.row), template)
        reason = _problem(pair) or (
            f"more than {settings.max_pairs_per_failure} with this failure"
            if counts[pair.failure] == settings.max_pairs_per_failure
            else ""
        )
        if reason:
            drops.add(reason, one.question.example.source, one.question.example.origin, pair.row(template))
        else:
            counts[pair.failure] += 1
            pairs.append(pair)
    return pairs


def _clean(judged: Sequence[JudgedAnswer], known: EvaluationTexts, drops: Drops) -> list[JudgedAnswer]:
    """Return the answers that say nothing of an evaluation set: neither a better nor a rejected one may."""
    questions, texts = [one.question for one in judged], [{"answer": one.output} for one in judged]
    kept = {question.number for question in without_overlap(questions, texts, known, drops)}
    return [one for one in judged if one.question.number in kept]


def _better_answers(judged: Sequence[JudgedAnswer]) -> Mapping[tuple[str, str, str], JudgedAnswer]:
    """Return of each row the unflagged answer that is nearest to the reference, whatever wording asked for it."""
    chrf, best = CHRF(), dict[tuple[str, str, str], tuple[float, JudgedAnswer]]()
    for one in judged:
        if not one.failures:
            score = chrf.sentence_score(one.output, [one.question.asked.reference]).score
            row = one.question.row
            if row not in best or score > best[row][0]:
                best[row] = score, one
    return {row: one for row, (_, one) in best.items()}


def _pair(one: JudgedAnswer, failure: str, better: JudgedAnswer | None, template: Template) -> PreferencePair:
    chosen = completion_of(better, template) if better else one.question.example.completion
    return PreferencePair(one, failure, chosen, completion_of(one, template), "own" if better else "reference")


def completion_of(one: JudgedAnswer, template: Template) -> str:
    """Return what a model wrote as training reads it: control tokens that it spelled out are text."""
    text = as_text(one.answer.text, template.controls)
    suffix = template.completion_suffix
    return text.removesuffix(suffix) + suffix if one.answer.finished else text


def _problem(pair: PreferencePair) -> str:
    """Return why a pair teaches nothing, or what it should not; nothing where it is good."""
    asked, output = pair.judged.question.asked, pair.judged.output
    # Judged as an answer of its own: the rules excuse what a reference has, too.
    if pair.chosen_from == "reference" and _failures(asked.reference, replace(asked, reference=""), finished=True):
        return "the reference is flagged, too"
    if pair.chosen == pair.rejected:
        return "the answer is the chosen one"
    if not pair.rejected and not pair.judged.answer.finished:
        return "nothing was written"
    if "\ufffd" in output:
        return "broken characters"
    return ""
