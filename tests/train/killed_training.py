"""RECIPE RUN SEED KILLS: trains what a recipe asks for, is killed so often, and prints how often it was.

Each life is a fork; it is killed a random time after its first new step, or after its begin: while it loads, trains,
writes a checkpoint, goes from phase to phase, saves the model.
"""

import gc
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from crosstune.recipe import yaml_file
from crosstune.runs.folder import RunFolder
from crosstune.train import stage


def main(recipe_file: str, run_folder: str, seed: str, wanted: str) -> int:
    """Print the number of kills, and return the exit status of the last life."""
    recipe, run = yaml_file.load_recipe(Path(recipe_file)), RunFolder(Path(run_folder))
    draw, num_kills = random.Random(int(seed)), 0
    gc.freeze()  # or each life would copy all that it collects garbage from
    while True:
        before = _num_bytes_of_metrics(run)
        child = os.fork()
        if child == 0:
            # What training itself has to say of a crash goes to the log of the test.
            stage.run(recipe, run)
            os._exit(0)
        if num_kills < int(wanted):
            _wait_a_while(child, run, before, draw)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        num_kills += os.WIFSIGNALED(status)
        if os.WIFEXITED(status):
            print(num_kills)
            return os.WEXITSTATUS(status)


def _num_bytes_of_metrics(run: RunFolder) -> int:
    return sum(path.stat().st_size for path in run.root.glob("systems/*/metrics.jsonl"))


def _wait_a_while(child: int, run: RunFolder, before: int, draw: random.Random) -> None:
    begun = time.monotonic()
    if draw.random() < 0.7:
        while _num_bytes_of_metrics(run) <= before and time.monotonic() < begun + 30:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.12))
    else:
        time.sleep(draw.uniform(0, 0.6))


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(*sys.argv[1:]))
