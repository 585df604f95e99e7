"""Two processes that work together, in forks of one that has loaded the libraries, with what a launcher tells them.

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
    """Two processes that run the same program, used as one."""

    def __init__(
        self, program: str, *arguments: str, cwd: Path | None = None, told: Mapping[str, str] = _ALONE
    ) -> None:
        places = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        common = {**told, **{name: str(value) for name, value in places.items()}, "ACCELERATE_USE_CPU": "true"}
        self._processes = [
            Process(program, *arguments, cwd=cwd, environment={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(2)
        ]

    def poll(self) -> int | None:
        """Return the first exit status that there is."""
        return next((one.returncode for one in self._processes if one.poll() is not None), None)

    def send_signal(self, number: int) -> None:
        for one in self._processes:
            one.send_signal(number)

    def wait(self) -> list[tuple[str, str]]:
        """Wait until both have ended; return what each wrote to standard output and to standard error."""
        return [one.communicate(timeout=300) for one in self._processes]

    def finish(self) -> str:
        """Wait until both have ended well; return what they wrote to standard output."""
        said = self.wait()
        assert [one.returncode for one in self._processes] == [0, 0], "\n".join(told[-4000:] for _, told in said)
        return "".join(out for out, _ in said)


def train_on_two(recipe: Recipe, folder: Path, sharded: bool = False) -> Ranks:
    """Start two processes that train what a recipe asks for, each with all weights or with a part."""
    path = folder / "launched.yaml"
    path.write_text(yaml_file.dump(recipe), encoding="utf-8")
    program = "tests.train.sharded_on_cpus" if sharded else "crosstune"
    return Ranks(program, "--debug", "train", str(path), told=_told_to_shard() if sharded else _ALONE)


def _told_to_shard() -> dict[str, str]:
    """Return what accelerate's launcher tells its processes of the file that users launch with."""
    arguments: list[Any] = ["--num_processes", "2", "--main_process_port", "0", "--config_file", FSDP_FILE, "program"]
    asked, *_ = _validate_launch_command(launch_command_parser().parse_args(list(map(str, arguments))))
    return {name: value for name, value in prepare_multi_gpu_env(asked).items() if os.environ.get(name) != value}
