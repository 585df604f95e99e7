"""Build models for their shapes alone: nothing is allocated, and nothing is drawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights


@contextmanager
def shapes_only() -> Iterator[None]:
    """Let what is built in this context have shapes and no content.

    The meta device alone does not do: torch and peft would still go through the draws of each layer, which takes most
    of the time of building a large model there.
    """
    builder: Any = PreTrainedModel
    tie = builder.init_weights
    with torch.device("meta"), no_init_weights():
        # transformers leaves this out as well, where matrices are tied; it draws nothing on this device.
        builder.init_weights = tie
        yield
