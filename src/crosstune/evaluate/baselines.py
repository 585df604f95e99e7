"""What the training rows give without a model: a translation memory, and naive Bayes on the words of the rows."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crosstune.evaluate.cells import Cell, cells_of
from crosstune.evaluate.judging import judging_of
from crosstune.evaluate.scores import Scored, keyword_label, keyword_scores, translation_scores
from crosstune.evaluate.suite import Suite
from crosstune.prompts.examples import read_examples
from crosstune.prompts.templates import Template, question_of
from crosstune.recipe import Recipe
from crosstune.runs.files import read_json, write_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import BASELINES, MANIFEST, RunFolder, fingerprint_of
from crosstune.runs.records import Score
from crosstune.terminal.output import note

MEMORY = "translation memory"
BAYES = "naive Bayes"
# Beyond, a search takes minutes: of larger corpora the first rows of the mixture, which is shuffled.
_MAX_ROWS = 50_000
_NGRAM = 3
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Learnt:
    """A training row: what was asked about, without the instruction, and the answer that was learnt.

    Attributes:
        language: of the answer.
        given: of a translation, the language that it is from.
    """

    kind: str
    language: str
    asked: str
    output: str
    given: str = ""


def write(recipe: Recipe, run: RunFolder, suite: Suite) -> None:
    """Score both on the tasks that ask for an answer in words, and write ``baselines.json``; skip what is there."""
    phases = [phase for system in recipe.systems.values() for phase in system.phases]
    # Who learns from pairs learns references of the mixture whose prompts were asked.
    learnt = dict.fromkeys(
        recipe.mine[phase.mixture].mixture if phase.preference else phase.mixture for phase in phases
    )
    # Training may have been long ago, and its mixtures removed since.
    mixtures = [name for name in learnt if (run.mixture(name) / MANIFEST).is_file()]
    labels = [label for label, task in suite.tasks.items() if task.spec.judge in ("translation", "keywords")]
    if not mixtures or not labels:
        return
    made_from = fingerprint(
        "baselines",
        [fingerprint_of(run.mixture(name)) for name in mixtures],
        [(label, suite.tasks[label], fingerprint_of(run.evaluation_set(label))) for label in labels],
        recipe.evaluate.num_bootstrap,
        judging_of({label: suite.tasks[label] for label in labels}, None),
    )
    path = run.root / BASELINES
    if path.is_file() and read_json(path)["fingerprint"] == made_from:
        note("baselines: already scored")
        return
    rows = list(_learnt(recipe, run, mixtures, suite.template))
    scores = [
        {"baseline": name, **score.row()}
        for label in labels
        for cell in cells_of(label, suite.tasks[label], suite.items[label], suite.template)
        if not cell.wordings_of
        for name, score in baseline_scores(cell, rows, recipe.evaluate.num_bootstrap)
    ]
    write_json(path, {"fingerprint": made_from, "scores": scores})
    note(f"baselines: {len(scores)} scores without a model")


def _learnt(recipe: Recipe, run: RunFolder, mixtures: Sequence[str], template: Template) -> Iterator[Learnt]:
    for mixture in mixtures:
        for row in read_examples(run.mixture(mixture) / "examples.parquet"):
            if row.prompt:
                source = recipe.data.sources[row.source]
                sides = recipe.languages_of(source).codes if source.kind == "parallel" else ()
                given = next((code for code in sides if code != row.language), "")
                asked = asked_about(template, row.prompt)
                yield Learnt(source.kind, row.language, asked, template.output(row.completion).strip(), given)


def asked_about(template: Template, prompt: str) -> str:
    """Return a prompt's input, or its instruction where it has none; the prompt itself if it is of no such form."""
    instruction, text = question_of(template, prompt) or (prompt, "")
    return text or instruction


def baseline_scores(cell: Cell, rows: Sequence[Learnt], num_bootstrap: int) -> Iterator[tuple[str, Score]]:
    """Yield the scores of the baseline that fits a cell, if the training rows have what it needs."""
    items = tuple(repr(item) for item in zip(cell.ids, cell.sources, cell.references, strict=True))
    if cell.target_language:
        direction = cell.source_language, cell.target_language
        known = {
            row.asked: row.output for row in rows if row.kind == "parallel" and (row.given, row.language) == direction
        }
        if known:
            scored = Scored(cell.name, f"{MEMORY}|character {_NGRAM}-grams, Dice", num_bootstrap, items)
            outputs = nearest(dict(list(known.items())[:_MAX_ROWS]), cell.sources)
            for score in translation_scores(scored, outputs, cell.references, cell.target_language):
                yield MEMORY, score
        return
    keywords = cell.task.keywords
    labelled = [(row.asked, keyword_label(row.output, keywords)) for row in rows if row.kind == "instructions"]
    known_labels = [(text, label) for text, label in labelled if label is not None]
    if len({label for _, label in known_labels}) == len(keywords):
        scored = Scored(cell.name, f"{BAYES}|words, add one", num_bootstrap, items)
        answers = [keywords[label] for label in classified(known_labels, cell.sources)]
        labels = [keywords.index(references[0]) for references in cell.references]
        for score in keyword_scores(scored, answers, labels, keywords):
            if score.metric == "acc":
                yield BAYES, score


def nearest(known: Mapping[str, str], asked: Sequence[str]) -> list[str]:
    """Return, for each text, what stands beside the known one that shares most character n-grams with it (Dice)."""
    outputs, sizes = list(known.values()), []
    places: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(known):
        grams = _ngrams(text)
        sizes.append(len(grams))
        for gram in grams:
            places[gram].append(place)
    postings = {gram: np.array(found) for gram, found in places.items()}
    known_sizes = np.array(sizes)
    answers = []
    for text in asked:
        grams = _ngrams(text)
        found = [postings[gram] for gram in grams if gram in postings]
        shared = np.bincount(np.concatenate(found), minlength=len(outputs)) if found else np.zeros(len(outputs))
        answers.append(outputs[int(np.argmax(2 * shared / (known_sizes + len(grams))))])
    return answers


def _ngrams(text: str) -> set[str]:
    padded = f" {text.lower()} ".center(_NGRAM)
    return {padded[first : first + _NGRAM] for first in range(len(padded) - _NGRAM + 1)}


def classified(known: Sequence[tuple[str, int]], asked: Sequence[str]) -> list[int]:
    """Return the likeliest label of each text by multinomial naive Bayes with add-one smoothing over words."""
    words: dict[int, Counter[str]] = defaultdict(Counter)
    rows: Counter[int] = Counter()
    for text, label in known:
        rows[label] += 1
        words[label].update(_WORD.findall(text.lower()))
    vocabulary = len(set().union(*words.values())) + 1

    def log_probability(label: int, text: str) -> float:
        total = words[label].total() + vocabulary
        of_words = sum(math.log((words[label][word] + 1) / total) for word in _WORD.findall(text.lower()))
        return math.log(rows[label]) + of_words

    return [max(sorted(rows), key=lambda label: log_probability(label, text)) for text in asked]
