"""What all sections of a recipe share: frozen, strict settings, and the types of their values."""

from typing import Annotated
from unicodedata import is_normalized, normalize

import regex
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crosstune.languages.registry import language, split_direction

# Of any script, as users name their files. Small where a script has capitals: a name is a folder's, too, and some file
# systems take `A` and `a` for one. Marks are vowel signs, as of Hindi and Thai.
NAME = r"^[\p{Ll}\p{Lo}\p{Nd}][\p{Ll}\p{Lo}\p{Lm}\p{M}\p{Nd}_]*$"


def _name(text: str) -> str:
    if not regex.fullmatch(NAME, text):
        raise ValueError("a name has small letters, digits and _, and begins with a letter or digit")
    # Hangul as macOS writes it into file names: two names that look alike would be two folders, or one.
    if not is_normalized("NFC", text):
        raise ValueError(f"its letters are written in parts (Unicode NFD): write {normalize('NFC', text)!r}")
    return text


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": NAME})]
Language = Annotated[
    str,
    AfterValidator(lambda code: language(code).code),
    Field(description="ISO 639-1 or 639-3 code, with a script or region where needed: ko, ckb, pt-BR, sr-Latn"),
]
Direction = Annotated[
    str,
    AfterValidator(lambda direction: "-".join(split_direction(direction))),
    Field(description="source-target, as en-ko or en-zh-TW"),
]


def _each_once(codes: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there more than once: name each once")
    return codes


def _commit(text: str) -> str:
    if not regex.fullmatch("[0-9a-f]{7,40}", text):
        raise ValueError(
            "a revision is a commit of the hub, 7 to 40 of 0-9 and a-f, so that the run is repeatable: what a branch "
            "or tag names may change. The commit stands in the hub's list of a repository's files"
        )
    return text


Commit = Annotated[str, AfterValidator(_commit)]
LanguageSet = Annotated[tuple[Language, ...], AfterValidator(_each_once)]
DirectionSet = Annotated[tuple[Direction, ...], AfterValidator(_each_once)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Paths = Annotated[tuple[str, ...], Field(min_length=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
