"""How one language asks for a translation: the wordings that are trained on, and those that are held out."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_PLACE = re.compile(r"\{\w*\}")


def _names_target(wording: str) -> str:
    if "{target}" not in wording or "\n" in wording:
        raise ValueError("a translation instruction is one line that contains {target} (and, optionally, {source})")
    # What nothing is put in for would be learnt as it stands.
    if unknown := sorted({*_PLACE.findall(wording)} - {"{source}", "{target}"}):
        raise ValueError(f"{wording!r} holds {' and '.join(unknown)}: only {{source}} and {{target}} are replaced")
    return wording


Wording = Annotated[str, AfterValidator(_names_target)]


class Wordings(BaseModel):
    """How one language asks for a translation. ``{source}`` and ``{target}`` stand for the languages' names in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    train: tuple[Wording, ...] = Field(min_length=1, description="the first one stands for all where `wordings: paper`")
    held_out: tuple[Wording, ...] = Field((), description="never trained on: they measure robustness to wording")

    @model_validator(mode="after")
    def _none_is_in_both(self) -> Self:
        both = sorted({*self.train} & {*self.held_out})
        if both:
            raise ValueError(f"{both[0]!r} stands in `train` and in `held_out`: remove it from one of them")
        return self
