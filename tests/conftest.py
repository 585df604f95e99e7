"""Fixtures that every room of tests may use."""

import gc
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.command_line import crosstune_from_cold

# The same examples each time: a red run is of the change at hand. `--hypothesis-profile=search` looks for new ones. How
# long an example takes says more of the machine than of the code.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("same")


pytest_plugins = ["tests.tiers"]


def pytest_configure() -> None:
    """Spare the wait for the disk, a quarter of a small training: no test cuts the power, and one counts the calls."""
    os.fsync = lambda fd: None


@pytest.fixture(scope="module", autouse=True)
def spared_from_collections() -> None:
    """Keep what was there before a module out of its collections of garbage: each phase of training makes two."""
    gc.collect()
    gc.freeze()


QUICK = Path(__file__).parent / "quick.yaml"


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the quick miniature, run once for all tests of the group `quick_run`, and what the run printed."""
    root = tmp_path_factory.mktemp("quick") / "runs"
    done = crosstune_from_cold("--debug", "run", str(QUICK), "--quick", f"runs_root={root}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert not re.search("torchao|bitsandbytes|Failed to load", done.stderr), "remarks of a library among ours"
    return root / "miniature_quick", done.stdout


@pytest.fixture
def recipe_content() -> dict[str, Any]:
    """The smallest recipe that holds together, as raw content to be changed and validated."""
    return {
        "name": "small",
        "seed": 1,
        "data_root": "corpora",
        "languages": {"source": "en", "target": "ko"},
        "data": {
            "sources": {
                "pairs": {"kind": "parallel", "paths": ["pairs.json"]},
                "alpaca": {"kind": "instructions", "language": "en", "paths": ["alpaca.json"]},
                "korean": {"kind": "text", "language": "ko", "paths": ["korean.txt"]},
            },
            "mixtures": {
                "paper": [
                    {"source": "pairs", "directions": ["en-ko"], "instruction_languages": ["en"]},
                    {"source": "alpaca"},
                ],
                "korean": [{"source": "korean"}],
            },
        },
        "tokenizer": {
            "base": {"kind": "given", "path": "tokenizer"},
            "extension": {"kind": "learned", "mixture": "korean", "num_new_pieces": 100},
        },
        "systems": {
            "base": {"start": "model", "tokenizer": "base"},
            "ours": {
                "start": "base",
                "tokenizer": "extended",
                "phases": [
                    {
                        "mixture": "paper",
                        "method": "full",
                        "num_epochs": 1,
                        "global_batch_size": 8,
                        "learning_rate": 2e-5,
                    }
                ],
            },
        },
        "evaluate": {
            "reference_system": "base",
            "tasks": {"hellaswag": {"task": "hellaswag", "paths": ["hellaswag.jsonl"]}},
        },
    }
