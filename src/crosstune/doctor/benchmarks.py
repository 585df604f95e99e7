"""Which benchmarks the registry has for two languages, so that gain and forgetting can be measured."""

from collections.abc import Iterator

from crosstune.doctor.findings import Finding, settings
from crosstune.languages.registry import language_name
from crosstune.recipe import Languages
from crosstune.tasks.registry import all_tasks

_SECTION = "benchmarks"
OWN_PAIRS = "translation"


def look_at_benchmarks(languages: Languages) -> Iterator[Finding]:
    """List the benchmarks in each language, by name, and the translation sets that hold both."""
    for what, code in (("gain", languages.target), ("forgetting", languages.source)):
        yield _of_language(what, code)
    pair = {languages.source, languages.target}
    found = [task.name for task in all_tasks().values() if task.judge == "translation" and _holds(task.languages, pair)]
    published = [name for name in found if name != OWN_PAIRS]
    says = f"{OWN_PAIRS}, on your own pairs; published sets: {', '.join(published) or 'none'}"
    yield Finding(_SECTION, "translation", "ok", says, values={"tasks": found})


def _of_language(what: str, code: str) -> Finding:
    tasks = [
        task.name
        for task in all_tasks().values()
        if task.judge in ("choice", "keywords") and (not task.languages or code in task.languages)
    ]
    name = language_name(code, "en")
    if tasks:
        says = f"{len(tasks)} in {name}: {', '.join(tasks)}"
        return Finding(_SECTION, what, "ok", says, values={"language": code, "tasks": tasks})
    says = (
        f"none in {name} is built in. `task: harness` takes any task of lm-evaluation-harness, `task: bits_per_byte` "
        f"any text, `task: translation` any held-out pairs"
    )
    task = {"task": "bits_per_byte", "language": code, "paths": [f"{code}.txt"]}
    setting = settings(evaluate={"tasks": {f"{code}_text": task}})
    return Finding(_SECTION, what, "attention", says, setting, {"language": code, "tasks": []})


def _holds(languages: tuple[str, ...], pair: set[str]) -> bool:
    return not languages or pair <= set(languages)
