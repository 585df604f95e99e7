"""The section ``languages``: what the model knows, and the one or several languages that it learns."""

from collections.abc import Mapping
from itertools import permutations
from typing import Any, Self

from pydantic import Field, model_serializer, model_validator

from crosstune.errors import BadInputError
from crosstune.languages.registry import split_direction, usual_code
from crosstune.recipe.content import mapping
from crosstune.recipe.section import Language, Section


class Languages(Section):
    """Two languages between which something lies: of a recipe, what the model knows and what it learns."""

    source: Language
    target: Language

    @property
    def codes(self) -> tuple[str, str]:
        """Both, in their order."""
        return self.source, self.target

    @property
    def directions(self) -> tuple[str, str]:
        """Return both translation directions, into the target language first."""
        return f"{self.source}-{self.target}", f"{self.target}-{self.source}"


class RecipeLanguages(Section):
    """What the model knows (`source`) and what it is extended to: one `target`, or several `targets`."""

    source: Language = Field(description="the language that the model knows; in it, forgetting is measured")
    one_target: Language | None = Field(None, alias="target", description="the language that it learns")
    several_targets: tuple[Language, ...] = Field(
        (), alias="targets", description="instead of `target`, several languages that it learns, as [ko, ja]"
    )

    @model_validator(mode="before")
    @classmethod
    def _list_of_one(cls, content: Any) -> Any:
        """Return `targets: [ko]` as `target: ko`: however it is written, it is the same recipe."""
        targets = content.get("targets") if isinstance(content, Mapping) else None
        if not isinstance(targets, list | tuple):
            return content
        if len(targets) == 1 and content.get("target") is None:
            return {**{key: value for key, value in content.items() if key != "targets"}, "target": targets[0]}
        # Seen here, content is no JSON any more, and a list no tuple.
        return {**content, "targets": tuple(targets)}

    @model_validator(mode="after")
    def _targets_are_others(self) -> Self:
        if (self.one_target is None) == (not self.several_targets):
            found = "both" if self.several_targets else "neither"
            raise ValueError(
                f"give `target`, one language, or `targets`, a list of them; found {found}. In a recipe with a `base`, "
                "`target: null` removes the base's"
            )
        twice = sorted({code for code in self.targets if self.targets.count(code) > 1})
        if twice:
            raise ValueError(f"`targets` name {', '.join(twice)} more than once: name each language once")
        if self.source in self.targets:
            raise ValueError(f"{self.source!r} is the source language, and a target, too: remove it from the targets")
        return self

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        """Return the keys that are set, as a recipe writes them."""
        one = {"target": self.one_target}
        return {"source": self.source, **(one if self.one_target else {"targets": list(self.several_targets)})}

    @property
    def targets(self) -> tuple[str, ...]:
        """The languages that are learned, in the recipe's order."""
        return self.several_targets or (self.one_target or "",)

    @property
    def codes(self) -> tuple[str, ...]:
        """All languages, the source first."""
        return self.source, *self.targets

    @property
    def pairs(self) -> tuple[Languages, ...]:
        """The source with each target."""
        return tuple(Languages(source=self.source, target=target) for target in self.targets)

    @property
    def directions(self) -> tuple[str, ...]:
        """All translation directions: of each target, into it first; then those between targets."""
        ours = [direction for pair in self.pairs for direction in pair.directions]
        return *ours, *("-".join(two) for two in permutations(self.targets, 2))

    def between(self, direction: str) -> Languages:
        """Return the two languages of a direction, in the recipe's order."""
        sides = split_direction(direction)
        first, second = (code for code in self.codes if code in sides)
        return Languages(source=first, target=second)


def codes_in(content: Mapping[str, Any]) -> list[str]:
    """Return the languages of a recipe's content, the source first, by their usual codes; none where it has none."""
    languages = mapping(content, "languages")
    several = languages.get("targets")
    targets = several if isinstance(several, list) else [languages.get("target")]
    return [usual_code(str(code)) for code in (languages.get("source"), *targets) if code is not None]


def sides_of(direction: str) -> set[str]:
    """Return the two languages of a direction; none of what is no direction."""
    try:
        return {*split_direction(direction)}
    except BadInputError:
        return set()
