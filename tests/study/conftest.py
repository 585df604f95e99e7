"""A study of two cells on the miniature."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent.parent


def write_study(folder: Path, **changes: Any) -> Path:
    content = {
        "name": "grid",
        "recipe": str(ROOT / "recipes" / "miniature.yaml"),
        "systems": ["ours"],
        "seeds": [1, 2],
        "reference": "paper",
        "cells": {"paper": {}, "faster": {"systems.ours.phases.0.learning_rate": 1e-3}},
        **changes,
    }
    path = folder / "study.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump({key: value for key, value in content.items() if value is not None}, file)
    return path
