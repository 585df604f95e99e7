"""Which columns a recipe's tasks give, and how they are headed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from crosstune.languages.registry import language_name, split_direction
from crosstune.recipe import Recipe
from crosstune.report import paper
from crosstune.report.scores import Scores
from crosstune.report.tables.cells import UNRANKED, Column
from crosstune.runs.records import Score, is_less_better, over_wordings_of

METRIC_TITLES = {
    "acc": "accuracy",
    "acc_norm": "accuracy, length-normalized",
    "f1": "F1",
    "answered": "answered",
    "both_keywords": "both words in the answer",
    "acc_answered": "accuracy where answered",
    "bleu": "BLEU",
    "chrf++": "chrF++",
    "pass_rate": "passed",
    "pass_rate_one_turn": "passed, one turn",
    "pass_rate_two_turns": "passed, second turn",
    "answered_in_language": "answers in the language",
    "kept": "rules kept",
    "in_language": "answers in the language",
    "line_pass_rate": "line pass rate",
    "word_pass_rate": "word pass rate",
    "bits_per_byte": "bits per byte",
    **{
        f"{metric}_{name}": f"{title}, {name} of the unseen instructions"
        for metric, title in (("bleu", "BLEU"), ("chrf++", "chrF++"))
        for name in ("best", "mean", "worst")
    },
    **{
        f"{metric}_worst_to_best": f"{title}, worst of the unseen instructions as a share of their best"
        for metric, title in (("bleu", "BLEU"), ("chrf++", "chrF++"))
    },
}


def paper_translations(recipe: Recipe) -> list[str]:
    """Return the labels of the translation tasks that ask in the paper's words."""
    tasks = recipe.evaluate.tasks.items()
    return [label for label, task in tasks if task.spec.judge == "translation" and task.wordings == "paper"]


def paper_columns(recipe: Recipe, scores: Scores) -> list[Column]:
    """Return the columns of the paper's Table 3, in its order; of several targets, all accuracies by language."""
    if len(recipe.languages.targets) > 1:
        return [
            in_group(column, language)
            for language in recipe.languages.codes
            for column in language_columns(recipe, scores, language)
            if column.metric == "acc"
        ]
    tasks = [(label, task) for label, task in recipe.evaluate.tasks.items() if task.spec.table_3]
    tasks.sort(key=lambda named: named[1].spec.table_3)
    return [column_of(recipe, scores, label, task.spec.metric) for label, task in tasks]


def language_columns(recipe: Recipe, scores: Scores, language: str) -> list[Column]:
    """Return the main column of each task whose items are in a language, in the recipe's order; none of translations.

    A task of lm-evaluation-harness has several metrics, and its accuracy is the main one where it has one.
    """
    tasks = {label: task for label, task in recipe.evaluate.tasks.items() if task.items_language == language}
    return [column_of(recipe, scores, label, task.spec.metric or _main(scores, label)) for label, task in tasks.items()]


def text_columns(recipe: Recipe, scores: Scores) -> list[Column]:
    """Return the columns of held-out texts, in the recipe's order."""
    tasks = {label: task for label, task in recipe.evaluate.tasks.items() if task.spec.judge == "text"}
    return [column_of(recipe, scores, label, task.spec.metric) for label, task in tasks.items()]


def _main(scores: Scores, label: str) -> str:
    metrics = [metric for _, task, metric in scores if task == label]
    return "acc" if "acc" in metrics or not metrics else metrics[0]


def translation_columns(recipe: Recipe, scores: Scores, label: str, metric: str) -> list[Column]:
    """Return a translation task's cells in the paper's order: by instruction, into the source language first."""
    task = recipe.evaluate.tasks[label]
    order = recipe.languages.directions[::-1]
    return [
        _translation_column(scores, label, metric, direction, instruction)
        for instruction in sorted(task.instruction_languages, key=recipe.languages.codes.index)
        for direction in sorted(task.directions, key=order.index)
    ]


def in_group(column: Column, language: str) -> Column:
    """Return a column of a table that groups its columns by language, its heading without what the group says."""
    name = language_name(language, "en")
    heading = column.heading.removesuffix(f", {name}")
    if heading.startswith(f"{name} "):
        heading = heading.removeprefix(f"{name} ").capitalize()
    return replace(column, heading=heading, group=", ".join(filter(None, (name, column.group))))


def columns_of_pairs(recipe: Recipe, scores: Scores, labels: Sequence[str], metric: str) -> list[Column]:
    """Return the cells of several translation tasks, grouped by their two languages and that of the instruction."""
    tasks = {label: recipe.languages_of(recipe.evaluate.tasks[label]).codes for label in labels}
    names = {label: "–".join(language_name(code, "en") for code in pair) for label, pair in tasks.items()}
    # With the source language, a target alone says which pair it is.
    source = f"{language_name(recipe.languages.source, 'en')}–"
    names = {label: name.removeprefix(source) for label, name in names.items()}
    called = {
        label: name if [*names.values()].count(name) == 1 else f"{name} ({label})" for label, name in names.items()
    }
    return [
        replace(column, group=f"{called[label]}, {column.group}")
        for label in sorted(labels, key=lambda label: [recipe.languages.codes.index(code) for code in tasks[label]])
        for column in translation_columns(recipe, scores, label, metric)
    ]


def column_of(recipe: Recipe, scores: Scores, task: str, metric: str) -> Column:
    """Return the column of one task, which is no translation, and metric."""
    settings = recipe.evaluate.tasks.get(task)
    title = task_title(recipe, task)
    spec = settings.spec if settings else None
    chance = (settings.benchmark or settings.spec).chance if settings else None
    figures = dict(spec.paper) if spec and metric == spec.metric else {}
    found = _scores_of(scores, task, metric)
    return Column(
        task=task,
        metric=metric,
        heading=title,
        detail=_detail(metric, found),
        is_scale_known=metric in METRIC_TITLES or all(0 <= score.value <= 1 for score in found),
        is_of_same_items=_are_of_same_items(found),
        less_is_better=_less_is_better(metric, found),
        top=_top(metric),
        chance=chance if metric in ("acc", "acc_norm") else None,
        paper=lambda paper_system: figures.get(paper_system or ""),
    )


def task_title(recipe: Recipe, label: str) -> str:
    """Return how a task's columns are headed: by its label, too, where several are alike."""
    settings = recipe.evaluate.tasks.get(label)
    title = (settings.benchmark or settings.spec).title if settings else ""
    if settings is None or not title:
        return label
    language = settings.language
    if language and settings.spec.language is None:
        name = language_name(language, "en")
        title = f"{name} {title}" if settings.spec.judge == "text" else f"{title}, {name}"
    alike = [
        other
        for other in recipe.evaluate.tasks.values()
        if (other.task, other.name, other.language) == (settings.task, settings.name, language)
    ]
    return title if len(alike) == 1 else f"{title} ({label})"


def _translation_column(scores: Scores, label: str, metric: str, direction: str, instruction: str) -> Column:
    source, target = split_direction(direction)
    task = f"{label}_{source}_{target}_{instruction}"
    found = _scores_of(scores, task, metric)
    return Column(
        task=task,
        metric=metric,
        heading=f"{source.capitalize()}→{target.capitalize()}",
        group=f"{language_name(instruction, 'en')} instruction",
        detail=_detail(metric, found),
        is_of_same_items=_are_of_same_items(found),
        less_is_better=_less_is_better(metric, found),
        top=_top(metric),
        paper_decimals=1,
        paper=lambda paper_system: paper.bleu(paper_system, direction, instruction) if metric == "bleu" else None,
    )


def _top(metric: str) -> float:
    # Not all that begins alike: TruthfulQA's bleu_acc is an accuracy.
    return 100.0 if over_wordings_of(metric) in ("bleu", "bleu_char", "chrf++") else 1.0


def all_translation_columns(recipe: Recipe, scores: Scores, pairs: Iterable[tuple[str, str]]) -> list[Column]:
    """Return the cells of every translation task in the metrics of some (task, metric) pairs."""
    metrics = sorted({metric for _, metric in pairs})
    labels = [label for label, task in recipe.evaluate.tasks.items() if task.spec.judge == "translation"]
    return [
        column
        for metric in metrics
        for label in labels
        for column in translation_columns(recipe, scores, label, metric)
    ]


def _scores_of(scores: Scores, task: str, metric: str) -> list[Score]:
    return [score for (_, *pair), score in scores.items() if pair == [task, metric]]


def _less_is_better(metric: str, scores: Sequence[Score]) -> bool:
    return any(score.less_is_better for score in scores) if scores else is_less_better(metric)


def _are_of_same_items(scores: Sequence[Score]) -> bool:
    """Return whether no two scores are known to be of other items."""
    return len({score.n for score in scores}) < 2 and len({score.items for score in scores if score.items}) < 2


def _detail(metric: str, scores: Sequence[Score]) -> str:
    title = METRIC_TITLES.get(metric, metric)
    if _less_is_better(metric, scores) and metric not in UNRANKED:
        title += ", lower is better"
    items = sorted({score.n for score in scores})
    if not items:
        return title
    count = f"{items[0]:,}" if len(items) == 1 else f"{items[0]:,} to {items[-1]:,}"
    # No-break spaces keep "n = 500" on one line of a narrow heading.
    detail = f"{title}, n\u00a0=\u00a0{count}"
    return detail if _are_of_same_items(scores) else f"{detail}, of each system's own items: no best"
