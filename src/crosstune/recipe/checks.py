"""How the sections of a recipe must fit together: what names what, checked on the raw content.

The raw content, because a recipe with a misspelt key should show its dangling names in the same message. Values of the
wrong type are the business of the sections' classes; here they are passed over.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from crosstune.errors import BadInputError
from crosstune.languages.registry import shares_letters, split_direction, usual_code
from crosstune.prompts.translation_instructions import TRANSLATION_INSTRUCTIONS
from crosstune.recipe.content import dicts, get, kind_of, listed, mapping
from crosstune.recipe.system_checks import comes_from, problems_of_systems


def problems(content: Mapping[str, Any]) -> list[str]:
    """Return one line per name that leads nowhere, and per pair of settings that exclude each other."""
    return [
        *_roots(content),
        *_mixture_parts(content),
        *_chat_template(content),
        *_template_options(content),
        *_mixtures_in_use(content),
        *_mined(content),
        *_pairs_in_use(content),
        *_replays(content),
        *_validation(content),
        *_scored_tasks(content),
        *_directions(content),
        *_own_wordings(content),
        *_columns(content),
        *problems_of_systems(content),
        *_whole_words(content),
    ]


def _roots(content: Mapping[str, Any]) -> Iterator[str]:
    if (content.get("data_root") is None) == (content.get("world") is None):
        yield "data_root: give exactly one of `data_root` (the folder of your files) and `world` (the miniature's)"


def _chat_template(content: Mapping[str, Any]) -> Iterator[str]:
    kind = mapping(content, "tokenizer", "base").get("kind")
    if mapping(content, "data").get("prompt") == "chat" and kind != "given":
        yield "data.prompt: `chat` needs a tokenizer that has a chat template: `tokenizer.base` of kind `given`"


def _template_options(content: Mapping[str, Any]) -> Iterator[str]:
    data = mapping(content, "data")
    if data.get("template_options") and data.get("prompt") != "chat":
        yield "data.template_options: they are a chat template's: set `data.prompt: chat`, or leave them out"


def _mixture_parts(content: Mapping[str, Any]) -> Iterator[str]:
    sources = mapping(content, "data", "sources")
    for name, parts in mapping(content, "data", "mixtures").items():
        if len({part.get("weight") is None for part in dicts(parts)}) > 1:
            without = ", ".join(str(part.get("source")) for part in dicts(parts) if part.get("weight") is None)
            yield f"data.mixtures.{name}: some parts have a `weight` and some have none ({without}): give all or none"
        for index, part in enumerate(dicts(parts)):
            where = f"data.mixtures.{name}.{index}"
            source = sources.get(str(part.get("source")))
            if source is None:
                yield f"{where}.source: {part.get('source')!r} is not a source; there are {listed(sources)}"
            elif kind_of(source) == "parallel" and not part.get("directions") and not part.get("as_text"):
                yield f"{where}: a parallel source needs `directions` and `instruction_languages`, or `as_text`"
            elif kind_of(source) != "parallel" and (part.get("directions") or part.get("as_text")):
                yield (
                    f"{where}: {part['source']!r} is not a parallel source: "
                    "remove `directions`, `instruction_languages` and `as_text`"
                )


def _mixtures_in_use(content: Mapping[str, Any]) -> Iterator[str]:
    users = {where: phase for where, phase in _phases(content) if phase.get("method") != "preference"}
    for name, system in mapping(content, "systems").items():
        if mapping(system, "new_rows").get("mixture") is not None:
            users[f"systems.{name}.new_rows"] = mapping(system, "new_rows")
    for part in ("base", "extension"):
        section = mapping(content, "tokenizer", part)
        if section.get("kind") == "learned":
            users[f"tokenizer.{part}"] = section
    mixtures = mapping(content, "data", "mixtures")
    for where, user in users.items():
        if "mixture" in user and user["mixture"] not in mixtures:
            yield f"{where}.mixture: {user['mixture']!r} is not a mixture; there are {listed(mixtures)}"


def _mined(content: Mapping[str, Any]) -> Iterator[str]:
    mixtures, systems = mapping(content, "data", "mixtures"), mapping(content, "systems")
    for name, settings in mapping(content, "mine").items():
        where, mixture, system = f"mine.{name}", get(settings, "mixture"), get(settings, "system")
        if name in mixtures:
            yield f"{where}: {name!r} is the name of a mixture: pairs need a name of their own"
        if system not in systems:
            yield f"{where}.system: {system!r} is not a system; there are {listed(systems)}"
        yield from _prompts(content, f"{where}.mixture", mixture)


def _pairs_in_use(content: Mapping[str, Any]) -> Iterator[str]:
    mined, systems = mapping(content, "mine"), mapping(content, "systems")
    for name, system in systems.items():
        for index, phase in enumerate(dicts(get(system, "phases"))):
            if phase.get("method") != "preference" or "mixture" not in phase:
                continue
            where, pairs = f"systems.{name}.phases.{index}.mixture", phase["mixture"]
            mined_system = get(mined.get(str(pairs)), "system")
            if pairs not in mined:
                yield f"{where}: {pairs!r} is not among the pairs of `mine`; there are {listed(mined)}"
            elif mined_system in systems and mined_system not in (ancestors := list(comes_from(systems, name))):
                yield (
                    f"{where}: {pairs!r} are the failures of {mined_system!r}, which is not one of the systems that "
                    f"{name!r} comes from ({', '.join(ancestors) or 'none'}): a system learns from its own failures"
                )


def _replays(content: Mapping[str, Any]) -> Iterator[str]:
    systems = mapping(content, "systems")
    for name, system in systems.items():
        for index, phase in enumerate(dicts(get(system, "phases"))):
            prompts = mapping(phase, "replay").get("prompts")
            where, start = f"systems.{name}.phases.{index}.replay", get(system, "start")
            if prompts is None:
                continue
            if start not in systems:
                yield (
                    f"{where}: the start {start!r} answers, and is no system of the recipe: make it one without phases "
                    f"({{start: {start}, tokenizer: base}}), and let {name!r} start from that"
                )
            yield from _prompts(content, f"{where}.prompts", prompts)


def _prompts(content: Mapping[str, Any], where: str, mixture: Any) -> Iterator[str]:
    """Yield why a mixture has no prompts that a system could be asked."""
    mixtures = mapping(content, "data", "mixtures")
    if mixture not in mixtures:
        yield f"{where}: {mixture!r} is not a mixture; there are {listed(mixtures)}"
    elif mixture == mapping(content, "train").get("validation"):
        yield f"{where}: {mixture!r} is the validation text (train.validation): name a training mixture"
    elif _asks_nothing(content, mixture):
        yield f"{where}: {mixture!r} holds plain text, which asks nothing: name one with prompts"


def _asks_nothing(content: Mapping[str, Any], mixture: str) -> bool:
    sources = mapping(content, "data", "sources")
    parts = dicts(mapping(content, "data", "mixtures")[mixture])
    return all(kind_of(sources.get(str(part.get("source")))) == "text" or part.get("as_text") for part in parts)


def _phases(content: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, system in mapping(content, "systems").items():
        for index, phase in enumerate(dicts(get(system, "phases"))):
            yield f"systems.{name}.phases.{index}", phase


def _validation(content: Mapping[str, Any]) -> Iterator[str]:
    name = mapping(content, "train").get("validation")
    mixtures, sources = mapping(content, "data", "mixtures"), mapping(content, "data", "sources")
    if name is None:
        return
    if name not in mixtures:
        yield f"train.validation: {name!r} is not a mixture; there are {listed(mixtures)}"
    for part in dicts(mixtures.get(name)):
        if kind_of(sources.get(str(part.get("source")))) != "text" and not part.get("as_text"):
            yield (
                f"train.validation: the mixture {name!r} takes {part.get('source')!r}, which is no plain text: "
                "use sources of kind text, or one side of a parallel source with `as_text`"
            )
    for where, phase in _phases(content):
        if phase.get("mixture") == name:
            yield f"{where}.mixture: {name!r} is the validation text (train.validation): train on another mixture"


def _scored_tasks(content: Mapping[str, Any]) -> Iterator[str]:
    tasks, chosen = mapping(content, "evaluate", "tasks"), mapping(content, "train").get("score_tasks")
    for label in chosen if isinstance(chosen, list | tuple) else ():
        if label not in tasks:
            yield f"train.score_tasks: {label!r} is no label of evaluate.tasks; there are {listed(tasks)}"


def _directions(content: Mapping[str, Any]) -> Iterator[str]:
    pair = _pair(content)
    users = {
        f"data.mixtures.{name}.{index}": part
        for name, parts in mapping(content, "data", "mixtures").items()
        for index, part in enumerate(dicts(parts))
    }
    asking = {*TRANSLATION_INSTRUCTIONS, *map(usual_code, mapping(content, "data", "translation_instructions"))}
    users |= {f"evaluate.tasks.{name}": task for name, task in mapping(content, "evaluate", "tasks").items()}
    for where, user in users.items():
        directions, asked = get(user, "directions"), get(user, "instruction_languages")
        for direction in directions if isinstance(directions, list) else ():
            if _sides(str(direction)) != pair:
                yield f"{where}.directions: {direction!r} does not lie between the recipe's languages {sorted(pair)}"
        for language in asked if isinstance(asked, list) else ():
            if usual_code(str(language)) not in pair:
                yield f"{where}.instruction_languages: {language!r} is not one of the recipe's languages {sorted(pair)}"
            elif usual_code(str(language)) not in asking:
                yield (
                    f"{where}.instruction_languages: no instruction asks for a translation in {language!r}, only in "
                    f"{', '.join(sorted(asking))}. Write some under data.translation_instructions.{language}"
                )


def _own_wordings(content: Mapping[str, Any]) -> Iterator[str]:
    known = {language: wordings.train for language, wordings in TRANSLATION_INSTRUCTIONS.items()}
    written = mapping(content, "data", "translation_instructions")
    known |= {usual_code(str(language)): get(wordings, "train") or () for language, wordings in written.items()}
    for name, task in mapping(content, "evaluate", "tasks").items():
        for language, wordings in mapping(task, "wordings").items():
            for wording in wordings if isinstance(wordings, list) else ():
                if wording in known.get(usual_code(str(language)), ()):
                    yield (
                        f"evaluate.tasks.{name}.wordings.{language}: {wording!r} is one to train on, "
                        "which says nothing of unseen ones: change or remove it"
                    )


def _pair(content: Mapping[str, Any]) -> set[str]:
    languages = mapping(content, "languages")
    return {usual_code(str(languages.get("source"))), usual_code(str(languages.get("target")))}


def _sides(direction: str) -> set[str]:
    try:
        return {*split_direction(direction)}
    except BadInputError:
        return set()


def _columns(content: Mapping[str, Any]) -> Iterator[str]:
    pair = _pair(content)
    for name, source in mapping(content, "data", "sources").items():
        if kind_of(source) == "parallel":
            for field in sorted({usual_code(str(field)) for field in mapping(source, "columns")} - pair):
                yield f"data.sources.{name}.columns: {field!r} is not one of the recipe's languages {sorted(pair)}"


def _whole_words(content: Mapping[str, Any]) -> Iterator[str]:
    languages = mapping(content, "languages")
    target, source = str(languages.get("target")), str(languages.get("source"))
    if not mapping(content, "tokenizer", "extension").get("keep_words_whole"):
        return
    try:
        is_shared = shares_letters(target, source)
    except BadInputError:
        return
    if is_shared:
        yield (
            f"tokenizer.extension.keep_words_whole: {target!r} shares its letters with {source!r}, so a branch of the "
            "pre-tokenizer for its words would cut those of both otherwise: remove it"
        )
