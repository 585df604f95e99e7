"""A system's ``merge``: what other models' weights do to its own once it is trained."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from crosstune.recipe.section import Name, Section


class ChatVector(Section):
    """What a model learnt since another, added to the trained weights (chat vector, Huang et al. 2024)."""

    system: Name = Field(description="the system that has what is wanted, as a chat model")
    minus: Name = Field(description="the system that it was made from, as its base model; of the same shape")
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        1.0, description="factor of the difference; pieces that one of the models lacks keep their rows"
    )


class Merge(Section):
    """What other models' weights do to those of the trained system: interpolation, then addition."""

    system: Name | None = Field(None, description="with weight: an ancestor of the system [its start]")
    weight: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="interpolation: share of the ancestor's weights; rows of new pieces are not merged"
    )
    add: ChatVector | None = Field(None, description="a chat vector: the difference of two models, added")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.weight is None and self.add is None:
            raise ValueError("`merge` needs `weight`, `add` or both")
        if self.system is not None and self.weight is None:
            raise ValueError("`merge.system` is what is interpolated with: give its `weight`")
        if self.add and self.add.system == self.add.minus:
            raise ValueError(
                f"`merge.add`: {self.add.system!r} minus itself is nothing: name the model it was made from"
            )
        return self

    def others(self) -> Mapping[str, str]:
        """Return the systems that it names, by the setting that does."""
        named = {
            "system": self.system,
            "add.system": self.add.system if self.add else None,
            "add.minus": self.add.minus if self.add else None,
        }
        return {setting: name for setting, name in named.items() if name is not None}
