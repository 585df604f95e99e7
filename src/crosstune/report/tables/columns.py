"""Which columns a recipe's tasks give, and how they are headed."""

from collections.abc import Iterable

from crosstune.languages.registry import language_name, split_direction
from crosstune.recipe import Recipe
from crosstune.report import paper
from crosstune.report.scores import Scores
from crosstune.report.tables.cells import Column

TITLES = {
    "hellaswag": "HellaSwag",
    "copa_2011_test": "COPA",
    "copa_superglue_val": "COPA (SuperGLUE)",
    "nsmc_generate": "NSMC, generated",
    "nsmc_likelihood": "NSMC, likelier word",
    "kobest_boolq": "KoBEST BoolQ",
    "kobest_copa": "KoBEST COPA",
    "kobest_hellaswag": "KoBEST HellaSwag",
    "kobest_sentineg": "KoBEST SentiNeg",
}
CHANCE = dict.fromkeys(TITLES, 0.5) | {"hellaswag": 0.25, "kobest_hellaswag": 0.25}
METRIC_TITLES = {
    "acc": "accuracy",
    "acc_norm": "accuracy, length-normalised",
    "f1": "F1",
    "answered": "answered",
    "both_keywords": "both words in the answer",
    "acc_answered": "accuracy where answered",
    "bleu": "BLEU",
    "chrf++": "chrF++",
    "bits_per_byte": "bits per byte, less is better",
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
    return [label for label, task in tasks if task.task == "translation" and task.wordings == "paper"]


def columns_of(recipe: Recipe, scores: Scores, kind_prefix: str) -> list[Column]:
    """Return the accuracy columns of the recipe's tasks of some kinds, in the recipe's order."""
    tasks = [label for label, task in recipe.evaluate.tasks.items() if task.task.startswith(kind_prefix)]
    return [column_of(recipe, scores, label, "acc") for label in tasks]


def text_columns(recipe: Recipe, scores: Scores) -> list[Column]:
    """Return the columns of held-out texts in bits per byte, in the recipe's order."""
    tasks = [label for label, task in recipe.evaluate.tasks.items() if task.task == "bits_per_byte"]
    return [column_of(recipe, scores, label, "bits_per_byte") for label in tasks]


def translation_columns(recipe: Recipe, scores: Scores, label: str, metric: str) -> list[Column]:
    """Return a translation task's cells in the paper's order: by instruction, into the source language first."""
    task = recipe.evaluate.tasks[label]
    order = recipe.languages.directions[::-1]
    languages = (recipe.languages.source, recipe.languages.target)
    return [
        _translation_column(scores, label, metric, direction, instruction)
        for instruction in sorted(task.instruction_languages, key=languages.index)
        for direction in sorted(task.directions, key=order.index)
    ]


def column_of(recipe: Recipe, scores: Scores, task: str, metric: str) -> Column:
    """Return the column of one task, which is no translation, and metric."""
    settings = recipe.evaluate.tasks.get(task)
    kind = settings.task if settings else ""
    language = settings.language if settings else None
    others = recipe.evaluate.tasks.values()
    is_only_one = sum(other.task == kind and other.language == language for other in others) == 1
    title = f"{language_name(language, 'en')} text" if language else TITLES.get(kind, task)
    chance = CHANCE.get(kind) if metric in ("acc", "acc_norm") else None
    return Column(
        task=task,
        metric=metric,
        heading=title if is_only_one or title == task else f"{title} ({task})",
        detail=_detail(METRIC_TITLES.get(metric, metric), _items(scores, task, metric)),
        top=_top(metric),
        chance=chance,
        paper=lambda paper_system: paper.accuracy(paper_system, kind) if metric == "acc" else None,
    )


def _translation_column(scores: Scores, label: str, metric: str, direction: str, instruction: str) -> Column:
    source, target = split_direction(direction)
    task = f"{label}_{source}_{target}_{instruction}"
    return Column(
        task=task,
        metric=metric,
        heading=f"{source.capitalize()}→{target.capitalize()}",
        group=f"{language_name(instruction, 'en')} instruction",
        detail=_detail(METRIC_TITLES.get(metric, metric), _items(scores, task, metric)),
        top=_top(metric),
        paper_decimals=1,
        paper=lambda paper_system: paper.bleu(paper_system, direction, instruction) if metric == "bleu" else None,
    )


def _top(metric: str) -> float:
    is_share = metric.endswith("_worst_to_best")
    return 100.0 if metric.startswith(("bleu", "chrf++")) and not is_share else 1.0


def all_translation_columns(recipe: Recipe, scores: Scores, pairs: Iterable[tuple[str, str]]) -> list[Column]:
    """Return the cells of every translation task in the metrics of some (task, metric) pairs."""
    metrics = sorted({metric for _, metric in pairs})
    labels = [label for label, task in recipe.evaluate.tasks.items() if task.task == "translation"]
    return [
        column
        for metric in metrics
        for label in labels
        for column in translation_columns(recipe, scores, label, metric)
    ]


def _items(scores: Scores, task: str, metric: str) -> list[int]:
    return sorted({score.n for (_, *pair), score in scores.items() if pair == [task, metric]})


def _detail(metric_title: str, items: list[int]) -> str:
    if not items:
        return metric_title
    count = f"{items[0]:,}" if len(items) == 1 else f"{items[0]:,} to {items[-1]:,}"
    # No-break spaces keep "n = 500" on one line of a narrow heading.
    return f"{metric_title}, n\u00a0=\u00a0{count}"
