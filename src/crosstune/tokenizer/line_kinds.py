"""Lines by what must stay of them: those of the source language, those of a target, and all others."""

import re
from collections.abc import Iterable

from crosstune.languages import characters
from crosstune.recipe import Languages, RecipeLanguages

Parted = dict[str, list[str]]
"""Lines by kind: ``source``, ``target`` and ``other``."""


def part_lines(lines: Iterable[str], languages: Languages | RecipeLanguages) -> Parted:
    """Part lines into ``target`` (with letters of one), ``other`` (other scripts, or a target's signs), ``source``.

    Lines of languages that share their letters cannot be told apart: all but those in other scripts are ``target``.
    """
    source, *targets = languages.codes
    letters = "".join(characters.letters_of(target, source) for target in targets)
    has_target_letter = re.compile(f"[{letters}]").search
    alike = "".join(characters.beginning_alike(target, source) for target in targets)
    others = rf"(?:[^\W\d_]|[{alike}])" if alike else r"[^\W\d_]"
    has_other_letter = re.compile(rf"(?![{characters.letters_of_source(source)}]){others}").search
    parted: Parted = {"source": [], "other": [], "target": []}
    for line in lines:
        kind = "target" if has_target_letter(line) else "other" if has_other_letter(line) else "source"
        parted[kind].append(line)
    return parted
