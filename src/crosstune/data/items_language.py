"""Whether evaluation items are in the language that they are asked for in: by their files' names and their letters."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from crosstune.data.files import place
from crosstune.errors import BadInputError
from crosstune.languages.declared import means
from crosstune.languages.identify import probabilities
from crosstune.languages.registry import language_name
from crosstune.languages.writing_systems import OF_SEVERAL_SCRIPTS, num_letters, target_script_ratio
from crosstune.recipe import EvaluationTask, Languages
from crosstune.tasks.task import Item, Task

# A text of fewer letters may be a name or a formula.
_TELLING_LETTERS = 10


def refuse_another_name(task: EvaluationTask, paths: Sequence[Path], root: Path, languages: Languages) -> list[str]:
    """Refuse files whose published names say that they are in another language; return those that say nothing.

    Raises:
        BadInputError: when one does.
    """
    untold = []
    for path, wanted in zip(paths, _languages_of(task, languages, len(paths)), strict=False):
        name = place(path, root)
        declared = _declared(task.spec, name)
        if declared and means(declared, wanted) is False:
            raise BadInputError(
                f"{task.task} is asked for in {wanted}, but {name} is by its name the file in {declared}. Correct "
                "`paths`, their order (the source language first) or the language; if the name is wrong, rename it"
            )
        if not declared:
            untold.append(name)
    return untold


def _languages_of(task: EvaluationTask, languages: Languages, num_files: int) -> list[str]:
    """Return the language of each file; none where a benchmark has one language, or its files hold several."""
    if task.spec.published is None or task.spec.language:
        return []
    if task.spec.judge == "translation":
        return [languages.source, languages.target] if num_files == 2 else []
    return [task.language] * num_files if task.language else []


def _declared(task: Task, name: str) -> str:
    """Return the language that a file's name says, where it is one that the benchmark is published in."""
    found = task.published.language_in(name) if task.published else ""
    if not found or means(found, "en") is None:
        return ""
    return found if not task.languages or any(means(found, code) for code in task.languages) else ""


def refuse_other_letters(label: str, task: EvaluationTask, items: Sequence[Item], languages: Languages) -> None:
    """Refuse items in another script than their language's, and translations of which both sides are the same.

    Raises:
        BadInputError: when most of them are.
    """
    sides = _texts(task, items, languages)
    for code, texts in sides.items():
        long = [index for index, text in enumerate(texts) if num_letters(text) >= _TELLING_LETTERS]
        others = [index for index in long if target_script_ratio(texts[index], code) == 0]
        if 2 * len(others) > len(long):
            raise BadInputError(
                f"evaluate.tasks.{label}: texts in {code} are asked for, but {len(others)} of {len(long)} have no "
                f"letter of its script; first: {items[others[0]]['origin']} {texts[others[0]][:80]!r}. Correct "
                "`paths`, their order (the source language first) or the language; one that is written in another "
                "script names it, as sr-Latn"
            )
    if len(sides) < 2:
        return
    same = [item for item in items if len({item[code] for code in sides}) == 1]
    if 2 * len(same) > len(items):
        raise BadInputError(
            f"evaluate.tasks.{label}: {len(same)} of {len(items)} sentences are their own translations; first: "
            f"{same[0]['origin']}. Correct `paths`: the same file was given for both languages"
        )


def unchecked(label: str, task: EvaluationTask, items: Sequence[Item], untold: Sequence[str]) -> str:
    """Say that neither rows nor names told which language files are in, and what they read like; nothing without any.

    No refusal: the identifier takes neighbours for each other, and knows 97 languages.
    """
    if not untold or not task.language:
        return ""
    found = probabilities("\n".join(_joined(task.spec, item) for item in items))
    likeliest = max(found, key=lambda code: found[code])
    reads = "" if means(likeliest, task.language) else f"; they read like {language_name(likeliest, 'en')}"
    return (
        f"evaluation set {label}: taken for {language_name(task.language, 'en')} as the recipe says: neither rows nor "
        f"names of files say which language they are in ({', '.join(untold[:3])}){reads}"
    )


def _texts(task: EvaluationTask, items: Sequence[Item], languages: Languages) -> Mapping[str, Sequence[str]]:
    """Return the texts whose letters tell, by their language."""
    if task.spec.judge == "translation":
        return {code: [item[code] for item in items] for code in (languages.source, languages.target)}
    code = task.items_language
    is_choice = task.spec.judge in ("choice", "keywords")
    if not code or not (is_choice or task.spec.judge == "text") or (is_choice and code in OF_SEVERAL_SCRIPTS):
        return {}
    return {code: [_joined(task.spec, item) for item in items]}


def _joined(task: Task, item: Item) -> str:
    """Return an item's texts as one; those that are the same in every item, as "cause", tell nothing."""
    values = [item[field.name] for field in task.fields if not field.values]
    return "\n".join(text for value in values for text in (value if isinstance(value, list) else [value]))
