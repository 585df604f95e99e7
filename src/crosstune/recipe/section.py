"""What all sections of a recipe share: frozen, strict settings, and the types of their values."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crosstune.languages.registry import language, split_direction

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
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
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Paths = Annotated[tuple[str, ...], Field(min_length=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
