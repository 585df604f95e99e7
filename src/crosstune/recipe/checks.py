"""How the sections of a recipe must fit together: what names what, checked on the raw content.

The raw content, because a recipe with a misspelt key should show its dangling names in the same message. Values of the
wrong type are the business of the sections' classes; here they are passed over.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from crosstune.errors import BadInputError
from crosstune.languages.registry import shares_letters, usual_code
from crosstune.prompts.translation_instructions import TRANSLATION_INSTRUCTIONS
from crosstune.recipe.content import dicts, get, kind_of, listed, mapping
from crosstune.recipe.languages import codes_in, sides_of
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
        *_languages_of_sources(content),
        *_directions(content),
        *_own_wordings(content),
        *_columns(content),
        *problems_of_systems(content),
        *_whole_words(content),
        *_numbers_of_pieces(content),
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
                    f"{where}: the start {start!r} writes the answers, so it has to be a system: add it without phases "
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
    if chosen and mapping(content, "train").get("score_every_steps") is None:
        yield "train.score_tasks: nothing is scored during training without `train.score_every_steps`: set it, too"
    for label in chosen if isinstance(chosen, list | tuple) else ():
        if label not in tasks:
            yield f"train.score_tasks: {label!r} is no label of evaluate.tasks; there are {listed(tasks)}"


def _directions(content: Mapping[str, Any]) -> Iterator[str]:
    codes = codes_in(content)
    asking = {*TRANSLATION_INSTRUCTIONS, *map(usual_code, mapping(content, "data", "translation_instructions"))}
    parts = {
        f"data.mixtures.{name}.{index}": part
        for name, parts in mapping(content, "data", "mixtures").items()
        for index, part in enumerate(dicts(parts))
    }
    tasks = {f"evaluate.tasks.{name}": task for name, task in mapping(content, "evaluate", "tasks").items()}
    for where, user in (parts | tasks).items():
        directions, asked = get(user, "directions"), get(user, "instruction_languages")
        of_source = where in parts and kind_of(_source(content, user)) == "parallel"
        pair = _pair_of(content, _source(content, user)) if of_source else codes
        whose = "its source's" if of_source and len(codes) > 2 else "the recipe's"
        found = [str(direction) for direction in directions] if isinstance(directions, list) else []
        outside = [direction for direction in found if len(sides_of(direction) & {*pair}) != 2]
        for direction in outside:
            yield f"{where}.directions: {direction!r} does not lie between {whose} languages {sorted(pair)}"
        if where in tasks and not outside and len({frozenset(sides_of(direction)) for direction in found}) > 1:
            yield (
                f"{where}.directions: {', '.join(found)} are of several pairs of languages: make a task of each pair, "
                "which may name the same files"
            )
        if of_source and get(user, "as_text") is not None and usual_code(str(user["as_text"])) not in pair:
            yield f"{where}.as_text: {user['as_text']!r} is not one of {whose} languages {sorted(pair)}"
        for language in asked if isinstance(asked, list) else ():
            if usual_code(str(language)) not in codes:
                found_in = f"the recipe's languages {sorted(codes)}"
                yield f"{where}.instruction_languages: {language!r} is not one of {found_in}"
            elif usual_code(str(language)) not in asking:
                yield (
                    f"{where}.instruction_languages: no instruction asks for a translation in {language!r}, only in "
                    f"{', '.join(sorted(asking))}. Write some under data.translation_instructions.{language}"
                )


def _source(content: Mapping[str, Any], part: Any) -> Any:
    return mapping(content, "data", "sources").get(str(get(part, "source")))


def _pair_of(content: Mapping[str, Any], source: Any) -> list[str]:
    """Return the languages of a parallel source's sides: what it says, else the recipe's."""
    named = get(source, "languages")
    return [usual_code(str(code)) for code in named] if isinstance(named, list) else codes_in(content)


def _languages_of_sources(content: Mapping[str, Any]) -> Iterator[str]:
    codes = codes_in(content)
    for name, source in mapping(content, "data", "sources").items():
        if kind_of(source) != "parallel":
            continue
        pair = _pair_of(content, source)
        if not {*pair} <= {*codes}:
            yield f"data.sources.{name}.languages: {pair} are not all among the recipe's languages {sorted(codes)}"
        elif len(pair) > 2:
            yield (
                f"data.sources.{name}.languages: missing; a recipe with several targets needs to know which two of "
                f"{', '.join(codes)} a parallel source holds, as `languages: [{codes[0]}, {codes[1]}]`"
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


def _columns(content: Mapping[str, Any]) -> Iterator[str]:
    for name, source in mapping(content, "data", "sources").items():
        if kind_of(source) == "parallel":
            pair = _pair_of(content, source)
            whose = "its" if get(source, "languages") else "the recipe's"
            for field in sorted({usual_code(str(field)) for field in mapping(source, "columns")} - {*pair}):
                yield f"data.sources.{name}.columns: {field!r} is not one of {whose} languages {sorted(pair)}"


def _whole_words(content: Mapping[str, Any]) -> Iterator[str]:
    source, *targets = codes_in(content) or [""]
    if not mapping(content, "tokenizer", "extension").get("keep_words_whole"):
        return
    try:
        sharing = [target for target in targets if shares_letters(target, source)]
    except BadInputError:
        return
    if sharing and len(sharing) == len(targets):
        yield (
            f"tokenizer.extension.keep_words_whole: {' and '.join(map(repr, sharing))} shares its letters with "
            f"{source!r}, so a branch of the pre-tokenizer for its words would cut those of both otherwise: remove it"
        )


def _numbers_of_pieces(content: Mapping[str, Any]) -> Iterator[str]:
    _, *targets = codes_in(content) or [""]
    numbers = mapping(content, "tokenizer", "extension").get("num_new_pieces")
    if isinstance(numbers, Mapping) and {usual_code(str(code)) for code in numbers} != {*targets}:
        yield (
            f"tokenizer.extension.num_new_pieces: the numbers are of {', '.join(map(str, numbers)) or 'no language'}, "
            f"but the targets are {', '.join(targets)}: give one of each, or a number that they share"
        )
    elif isinstance(numbers, Mapping) and not any(numbers.values()):
        yield "tokenizer.extension.num_new_pieces: no language gets a new piece: remove `tokenizer.extension`"
