"""Two processes that train together, in forks of one that has loaded the libraries, with what a launcher tells them.

The launchers themselves start in test_distributed.py and test_slurm.py.
"""

import os
from pathlib import Path
from typing import Any

from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

from crosstune.recipe import Recipe, yaml_file
from tests.served import free_port
from tests.warm import Process

FSDP_FILE = Path(__file__).parents[2] / "recipes" / "launch" / "one_node_8_gpus.yaml"


class Ranks:
    """Two processes, used as one."""

    def __init__(self, recipe: Recipe, folder: Path, sharded: bool = False) -> None:
        path = folder / "launched.yaml"
        path.write_text(yaml_file.dump(recipe), encoding="utf-8")
        program = "tests.train.sharded_on_cpus" if sharded else "crosstune"
        told = _told_to_shard() if sharded else {}
        places = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        self._processes = [
            Process(
                *(program, "--debug", "train", str(path)),
                environment={
                    **told,
                    **{name: str(value) for name, value in places.items()},
                    **{"RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true"},
                },
            )
            for rank in range(2)
        ]

    def poll(self) -> int | None:
        """Return the first exit status that there is."""
        return next((one.returncode for one in self._processes if one.poll() is not None), None)

    def send_signal(self, number: int) -> None:
        for one in self._processes:
            one.send_signal(number)

    def wait(self) -> list[tuple[int | None, str]]:
        """Return how each process ended, and what it said last."""
        said = ["".join(one.communicate(timeout=300)) for one in self._processes]
        return [(one.returncode, text[-4000:]) for one, text in zip(self._processes, said, strict=True)]

    def finish(self) -> None:
        """Wait until both have ended well."""
        ended = self.wait()
        assert [status for status, _ in ended] == [0, 0], "\n".join(text for _, text in ended)


def _told_to_shard() -> dict[str, str]:
    """Return what accelerate's launcher tells its processes of the file that users launch with."""
    arguments: list[Any] = ["--num_processes", "2", "--main_process_port", "0", "--config_file", FSDP_FILE, "program"]
    asked, *_ = _validate_launch_command(launch_command_parser().parse_args(list(map(str, arguments))))
    return {name: value for name, value in prepare_multi_gpu_env(asked).items() if os.environ.get(name) != value}
