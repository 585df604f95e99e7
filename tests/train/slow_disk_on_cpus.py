"""`crosstune` with weights that FSDP2 splits, and a disk that takes nothing before training has gone on.

Beside the recipe, each rank leaves how many steps were done when it wrote.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from crosstune.cli.app import main
from crosstune.recipe import yaml_file
from crosstune.runs.folder import RunFolder
from crosstune.train import saved_state
from tests.train.conftest import losses
from tests.train.sharded_on_cpus import shard_on_cpus

_STEPS = 7

if __name__ == "__main__":
    shard_on_cpus()
    recipe_path = Path(sys.argv[-1])
    recipe = yaml_file.load_recipe(recipe_path)
    run = RunFolder(recipe.runs_root / recipe.name)
    write = saved_state.save_parts

    def slow(*arguments: Any, **settings: Any) -> Any:
        deadline = time.monotonic() + 120
        while len(losses(run)) < _STEPS and time.monotonic() < deadline:
            time.sleep(0.005)
        (recipe_path.parent / f"seen_{os.environ['RANK']}").write_text(str(len(losses(run))))
        saved_state.save_parts = write
        return write(*arguments, **settings)

    saved_state.save_parts = slow
    main()
