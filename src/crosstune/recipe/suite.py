"""``evaluate.suite``: the benchmarks that lm-evaluation-harness has in a language, as tasks of the recipe."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from crosstune.recipe.section import Count, Language, Section
from crosstune.tasks.registry import suite_of

NumFewshot = Annotated[
    Annotated[int, Field(ge=0)] | None,
    Field(description="harness: solved examples before each question [the task's own number]"),
]
WithChatTemplate = Annotated[
    bool,
    Field(description="harness: ask in the model's chat template, as the harness's --apply_chat_template"),
]
AsMultiturn = Annotated[
    bool,
    Field(
        description="harness, with chat_template: solved examples are turns of their own; else they stand in the "
        "question's turn"
    ),
]
Copies = Annotated[
    Path | None,
    Field(
        description="harness: a folder with copies of data sets of the hub, each in OWNER/NAME as the hub has it "
        "(relative to data_root); nothing is then taken from elsewhere [the hub, or its cache]"
    ),
]


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class LanguageSuite(Section):
    """All benchmarks that lm-evaluation-harness has in a language, each as one row: its groups of tasks, too."""

    language: Annotated[tuple[Language, ...], BeforeValidator(_several), Field(min_length=1)] = Field(
        description="language of the benchmarks, or several; in the source language they measure forgetting"
    )
    only: tuple[str, ...] = Field((), description="names of the only benchmarks to score [all]")
    max_items: Count | None = Field(None, description="sample this many items of each larger benchmark [all]")
    sample_seed: int = Field(1234, description="seed for sampling max_items")
    num_fewshot: NumFewshot = None
    chat_template: WithChatTemplate = False
    fewshot_as_multiturn: AsMultiturn = True
    copies: Copies = None

    @property
    def languages(self) -> tuple[str, ...]:
        """Its languages, each once."""
        return tuple(dict.fromkeys(self.language))

    @property
    def chosen(self) -> dict[str, tuple[str, str]]:
        """Name in the harness and language of each benchmark, by label."""
        return {
            f"{name}_{language.replace('-', '_').lower()}": (called, language)
            for language in self.languages
            for name, called in suite_of(language).items()
            if not self.only or name in self.only
        }

    @model_validator(mode="after")
    def _has_benchmarks(self) -> Self:
        for language in self.languages:
            known = suite_of(language)
            if not known:
                raise ValueError(
                    f"lm-evaluation-harness has no benchmark in {language!r} that we know: remove the language, or "
                    "name tasks of your own in evaluate.tasks (`task: harness`, `name`, `include_path`)"
                )
        everywhere = sorted({name for language in self.languages for name in suite_of(language)})
        unknown = [name for name in self.only if name not in everywhere]
        if unknown:
            raise ValueError(
                f"`only` names {', '.join(unknown)}, of which there is none in {', '.join(self.languages)}: choose "
                f"of {', '.join(everywhere)}"
            )
        return self

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return the tasks that it stands for, by label, as a recipe writes them."""
        shared = self.model_dump(mode="json", exclude={"language", "only"}, exclude_defaults=True)
        return {
            label: {"task": "harness", "name": called, "language": language, **shared}
            for label, (called, language) in self.chosen.items()
        }


def with_suite(evaluate: Any) -> Any:
    """Return the content of ``evaluate`` with the tasks of its suite; a task of the same label goes before.

    Wrong values pass; the sections' own classes report them.
    """
    if not isinstance(evaluate, Mapping) or evaluate.get("suite") is None:
        return evaluate
    own = evaluate.get("tasks", {})
    try:
        suite = LanguageSuite.model_validate_json(json.dumps(evaluate["suite"]))
    except ValidationError:
        return {**evaluate, "tasks": own}
    return {**evaluate, "tasks": {**suite.tasks(), **own} if isinstance(own, Mapping) else own}
