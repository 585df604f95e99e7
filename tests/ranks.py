"""Several processes that work together, in forks of one that has loaded the libraries, with what a launcher tells them.

The launchers themselves start in train/test_distributed.py and train/test_slurm.py.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

from crosstune.recipe import Recipe, yaml_file
from tests.served import free_port
from tests.warm import Process

_ALONE: Mapping[str, str] = {}
FSDP_FILE = Path(__file__).parents[1] / "recipes" / "launch" / "one_node_8_gpus.yaml"


class Ranks:
    """Processes that run the same program, two unless it is said otherwise, used as one."""

    def __init__(
        self,
        program: str,
        *arguments: str,
        cwd: Path | None = None,
        told: Mapping[str, str] = _ALONE,
        num_ranks: int = 2,
    ) -> None:
        sizes = {"WORLD_SIZE": num_ranks, "LOCAL_WORLD_SIZE": num_ranks}
        places = {**sizes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        common = {**told, **{name: str(value) for name, value in places.items()}, "ACCELERATE_USE_CPU": "true"}
        self._processes = [
            Process(program, *arguments, cwd=cwd, environment={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(num_ranks)
        ]

    def poll(self) -> int | None:
        """Return the first exit status that there is."""
        return next((one.returncode for one in self._processes if one.poll() is not None), None)

    def send_signal(self, number: int) -> None:
        for one in self._processes:
            one.send_signal(number)

    def wait(self) -> list[tuple[str, str]]:
        """Wait until all have ended; return what each wrote to standard output and to standard error."""
        return [one.communicate(timeout=300) for one in self._processes]

    def finish(self) -> str:
        """Wait until all have ended well; return what they wrote to standard output."""
        said = self.wait()
        assert not any(one.returncode for one in self._processes), "\n".join(told[-4000:] for _, told in said)
        return "".join(out for out, _ in said)


def train_on_two(recipe: Recipe, folder: Path, sharded: bool = False) -> Ranks:
    """Start two processes that train what a recipe asks for, each with all weights or with a part."""
    return train_on_ranks(recipe, folder, 2, sharded)


def train_on_ranks(recipe: Recipe, folder: Path, num_ranks: int, sharded: bool = False) -> Ranks:
    """Start processes that train what a recipe asks for, each with all weights or with a part."""
    path = folder / "launched.yaml"
    path.write_text(yaml_file.dump(recipe), encoding="utf-8")
    program = "tests.train.sharded_on_cpus" if sharded else "crosstune"
    told = told_to_shard(num_ranks) if sharded else _ALONE
    return Ranks(program, "--debug", "train", str(path), told=told, num_ranks=num_ranks)


def told_to_shard(num_ranks: int) -> dict[str, str]:
    """Return what accelerate's launcher tells its processes of the file that users launch with."""
    arguments: list[Any] = ["--num_processes", num_ranks, "--main_process_port", 0, "--config_file", FSDP_FILE]
    asked, *_ = _validate_launch_command(launch_command_parser().parse_args([*map(str, arguments), "program"]))
    return {name: value for name, value in prepare_multi_gpu_env(asked).items() if os.environ.get(name) != value}
