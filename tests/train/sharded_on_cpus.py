"""`crosstune` with weights that FSDP2 splits over CPUs: accelerate, whatever it is told, leaves them whole there."""

from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from crosstune.cli.app import main

_prepare = AcceleratorState.__init__


def _prepare_sharded(self: AcceleratorState, *arguments: Any, fsdp_plugin: Any = None, **settings: Any) -> None:
    _prepare(self, *arguments, fsdp_plugin=fsdp_plugin, **settings)
    if fsdp_plugin is not None:  # None where parts of accelerate ask for the state that is there
        self.fsdp_plugin = fsdp_plugin
        self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    assert self.is_fsdp2 and self.num_processes > 1, "launch it with a file of FSDP2, on several processes"


def shard_on_cpus() -> None:
    """Let accelerate split weights over CPUs from now on."""
    AcceleratorState.__init__ = _prepare_sharded


if __name__ == "__main__":
    shard_on_cpus()
    main()
