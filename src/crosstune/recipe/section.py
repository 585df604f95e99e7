"""What all sections of a recipe share: frozen, strict settings, and the types of their values."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$", description="ISO 639-1 code")]
Direction = Annotated[str, Field(pattern=r"^[a-z]{2}-[a-z]{2}$", description="source-target, as en-ko")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Paths = Annotated[tuple[str, ...], Field(min_length=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
