"""The settings page says what the recipe's types say."""

import runpy
from pathlib import Path
from typing import Any, get_args

from crosstune.recipe import Recipe
from crosstune.recipe.section import Section

DOCS = Path(__file__).parents[2] / "docs"


def sections_of(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [one for argument in get_args(annotation) for one in sections_of(argument)]


def test_every_setting_says_what_it_is() -> None:
    seen: set[type[Section]] = set()
    waiting: list[type[Section]] = [Recipe]
    while waiting:
        section = waiting.pop()
        seen.add(section)
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            waiting += [one for one in sections_of(field.annotation) if one not in seen]
    assert len(seen) > 15


def test_the_settings_page_is_the_one_that_the_types_make() -> None:
    page = runpy.run_path(str(DOCS / "write_settings.py"))["page"]()
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == page, "run: python docs/write_settings.py"
    for name in ("num_new_pieces", "l2_to_start", "max_forgetting", "base_weights"):
        assert f"| `{name}` |" in page
