"""Processes that were launched together, and those that only look so."""

from typing import Any

import pytest

from crosstune.recipe import yaml_file
from crosstune.runs import pipeline, ranks
from tests.launched import launched


def test_a_launcher_s_processes_know_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 4, 2)
    assert (ranks.num_ranks(), ranks.rank(), ranks.is_main_process()) == (4, 2, False)


@pytest.mark.parametrize("found", [{"RANK": "1"}, {"RANK": "1", "WORLD_SIZE": "2"}, {"RANK": "x", "LOCAL_RANK": "0"}])
def test_a_cluster_s_own_variables_make_no_process_one_of_several(
    found: dict[str, str], recipe_content: dict[str, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    assert (ranks.num_ranks(), ranks.rank()) == (1, 0)
    recipe = yaml_file.validate({**recipe_content, "runs_root": str(tmp_path)}, "r")
    assert pipeline.run_stages(recipe, (), "crosstune data", update=False).recipe.exists()
