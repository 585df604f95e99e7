"""`crosstune` with weights that DeepSpeed splits over CPUs: accelerate, not told, counts no processes there."""

import sys

import deepspeed
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from crosstune.cli.app import main

if __name__ == "__main__":
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.NO)
    # An all-reduce for inference, which would be compiled first.
    sys.modules[f"{deepspeed.__name__}.comm.torch"].build_shm_op = lambda: None
    main()
