"""Tasks of which many answers are right: instructions that rules check, in one turn or two, and open questions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crosstune.evaluate.cells import Cell
from crosstune.evaluate.scores import Scored, keyword_label, mean_score, share_of_parts_score
from crosstune.prompts.conversation import Turn
from crosstune.prompts.templates import Template
from crosstune.recipe import EvaluationTask
from crosstune.runs.records import FIRST_TURN, OutputRow, Score
from crosstune.tasks.answers.fidelity import fidelity
from crosstune.tasks.answers.rules import Answer, Rule
from crosstune.tasks.task import Item


@dataclass(frozen=True)
class AskedInstructions:
    """Instructions as they were asked: those of one turn, those whose second turn counts, and the rows of both."""

    cells: tuple[Cell, ...]
    rows: tuple[Sequence[OutputRow], ...]


def instruction_cell(label: str, task: EvaluationTask, items: Sequence[Item], template: Template) -> Cell:
    """Return what asks for a first answer; items with a second request are judged by the answer to that alone."""
    requests = [item["request"] for item in items]
    cell = _cell(label, task, items, requests, [template.prompt(request) for request in requests])
    rules = [() if item["follow_up"] else tuple(map(Rule.of, item["rules"])) for item in items]
    return _with_rules(cell, rules, task)


def follow_up_cell(cell: Cell, rows: Sequence[OutputRow], items: Sequence[Item], template: Template) -> Cell:
    """Return what asks the second requests behind a system's own first answers, by the code that a chat is asked by."""
    prompts = []
    for item, row in zip(items, rows, strict=True):
        earlier = [Turn("user", item["request"]), Turn("assistant", row.output).cleaned()]
        prompts.append(template.prompt(item["follow_up"], earlier=earlier))
    name = cell.name.removesuffix(FIRST_TURN)
    asked = replace(cell, name=name, prompts=prompts, earlier=tuple(row.output for row in rows))
    return replace(asked, rules=tuple(tuple(map(Rule.of, item["rules"])) for item in items))


def question_cell(label: str, task: EvaluationTask, items: Sequence[Item], template: Template) -> Cell:
    """Return what asks open questions."""
    questions = [item["question"] for item in items]
    cell = _cell(label, task, items, questions, [template.prompt(question) for question in questions])
    return replace(cell, answer_languages=(task.language or "",) * len(items))


def _cell(
    label: str, task: EvaluationTask, items: Sequence[Item], asked: Sequence[str], prompts: Sequence[str]
) -> Cell:
    return Cell(
        name=label,
        wordings_of="",
        ids=[item["id"] for item in items],
        prompts=list(prompts),
        sources=list(asked),
        references=[("",) for _ in items],
        source_language="",
        target_language="",
        instruction="",
        max_new_tokens=task.max_new_tokens,
        task=task.spec,
    )


def _with_rules(cell: Cell, rules: Sequence[tuple[Rule, ...]], task: EvaluationTask) -> Cell:
    asked_in = task.language or ""
    languages = (next((rule.argument for rule in one if rule.kind == "language"), asked_in) for one in rules)
    return replace(cell, rules=tuple(rules), language=asked_in, answer_languages=tuple(languages))


def is_right(cell: Cell, index: int, output: str) -> bool | None:
    """Return whether an answer is right; None where it is not simply right or wrong, as a translation."""
    if cell.task.judge == "keywords":
        answer = keyword_label(output, cell.task.keywords)
        return answer is not None and cell.task.keywords[answer] == cell.references[index][0]
    if cell.task.judge == "rules":
        # An answer in another language is of no use to who asked, though a single syllable has no comma.
        kept = kept_rules(cell, index, output)
        return all(kept) and is_in_language_asked(cell, index, output) if kept else None
    if cell.task.judge == "language":
        return is_in_language_asked(cell, index, output)
    return None


def is_in_language_asked(cell: Cell, index: int, output: str) -> bool:
    """Return whether an answer is in the language of its request, or in the one that the request names."""
    return fidelity(output, cell.answer_languages[index]).in_language


def shown_reference(cell: Cell, index: int) -> str:
    """Return what readers of the outputs see beside an answer: what is right, or the rules that it is checked for."""
    rules = cell.rules[index] if cell.rules else ()
    return cell.references[index][0] or "; ".join(map(str, rules))


def kept_rules(cell: Cell, index: int, output: str) -> list[bool]:
    """Return for each rule of an item whether an answer keeps it."""
    answer = Answer(output, cell.language, cell.earlier[index] if cell.earlier else "")
    return [rule.holds(answer) for rule in cell.rules[index]]


def instruction_scores(scored: Scored, asked: AskedInstructions) -> list[Score]:
    """Score instructions: the share that is answered in the language with all rules kept, by turns, and each by itself.

    ``scored`` has no items yet: they are all of those that were asked.
    """
    items: list[str] = []
    passes: list[float] = []
    in_language: list[float] = []
    turns: list[int] = []
    kept: list[tuple[str, str, float]] = []
    for cell, rows in zip(asked.cells, asked.rows, strict=True):
        for index, row in enumerate(rows):
            rules = cell.rules[index]
            item = repr((row.id, cell.sources[index], list(map(str, rules))))
            found = kept_rules(cell, index, row.output)
            items.append(item)
            passes.append(float(bool(row.correct)))
            in_language.append(float(is_in_language_asked(cell, index, row.output)))
            turns.append(2 if cell.earlier else 1)
            kept += [(item, rule.kind, float(one)) for rule, one in zip(rules, found, strict=True)]
    scored = replace(scored, items=tuple(items))
    scores = [mean_score(scored, "pass_rate", passes)]
    for number, name in ((1, "pass_rate_one_turn"), (2, "pass_rate_two_turns")):
        places = [place for place, turn in enumerate(turns) if turn == number]
        scores += [mean_score(scored.of_items(places), name, [passes[place] for place in places])] if places else []
    scores.append(mean_score(scored, "answered_in_language", in_language))
    by_item: dict[str, list[float]] = {}
    for item, _, value in kept:
        by_item.setdefault(item, []).append(value)
    scores.append(share_of_parts_score(scored, "kept", [(sum(found), len(found)) for found in by_item.values()]))
    for kind in dict.fromkeys(sorted(kind for _, kind, _ in kept)):
        chosen = [(item, value) for item, of_kind, value in kept if kind == of_kind]
        of_rule = replace(scored, items=tuple(f"{item} {kind}" for item, _ in chosen))
        scores.append(mean_score(of_rule, f"kept_{kind}", [value for _, value in chosen]))
    return scores


def fidelity_scores(scored: Scored, cell: Cell, outputs: Sequence[str]) -> list[Score]:
    """Score the language of answers: of all of them, and the line and word pass rates of those that have such lines."""
    found = [fidelity(output, code) for output, code in zip(outputs, cell.answer_languages, strict=True)]
    scores = [mean_score(scored, "in_language", [float(one.in_language) for one in found])]
    for name, values in (
        ("line_pass_rate", [one.lines for one in found]),
        ("word_pass_rate", [one.words for one in found]),
    ):
        judged = [(place, float(value)) for place, value in enumerate(values) if value is not None]
        if judged:
            places, shares = zip(*judged, strict=True)
            scores.append(mean_score(scored.of_items(places), name, shares))
    return scores
