"""What a phase's rows have to be, looked at before its first step."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crosstune.errors import BadInputError, RunFolderError
from crosstune.recipe import Phase
from crosstune.train.batches import Schedule
from crosstune.train.checkpoint import Checkpoint
from crosstune.train.rows import Rows


def check_place_in_data(system: str, resume_from: Checkpoint, schedule: Schedule) -> None:
    """Check that a checkpoint's step is a place in the order of the rows that are there now.

    Raises:
        RunFolderError: when there are other rows, or fewer steps.
    """
    step = resume_from.position.step
    if step and (resume_from.num_rows != schedule.num_rows or step > schedule.num_steps):
        raise RunFolderError(
            f"{resume_from.folder} is after step {step} of the order of {resume_from.num_rows:,} rows, but phase "
            f"{resume_from.position.phase + 1} of {system} has {schedule.num_rows:,} rows now, and "
            f"{schedule.num_steps:,} steps. Restore its data, or delete the folder of its checkpoints to retrain this "
            f"system"
        )


def check_pieces(system: str, mixture: str, tokens: pa.Table, sizes: tuple[int, int]) -> None:
    """Check that a model has a row for each token of a mixture; ``sizes`` are its rows, and the tokenizer's pieces.

    Raises:
        BadInputError: with the first example that holds another: a control token that the model was never given.
    """
    known, num_pieces = sizes
    for place, chunk in enumerate(tokens["tokens"].chunks if known < num_pieces else ()):
        if (pc.max(chunk.flatten()).as_py() or 0) < known:
            continue
        row = next(index for index, ids in enumerate(chunk) if max(ids.as_py(), default=0) >= known)
        origin = tokens["origin"].chunk(place)[row].as_py()
        raise BadInputError(
            f"systems.{system}: {origin} of mixture {mixture!r} holds the token {max(chunk[row].as_py())}, but the "
            f"model has {known} embedding rows: it is a control token that the model was never given. Drop this row "
            "(data.quality.drop_special_tokens), or take the token's text out of it"
        )


def check_positions(system: str, phase: Phase, rows: Rows, config: Any) -> None:
    """Check that a model has a position for every token of the longest row.

    Raises:
        BadInputError: when it has not.
    """
    limit = getattr(config, "max_position_embeddings", None)
    longest = int(np.argmax(rows.facts.length))
    num_tokens = int(rows.facts.length[longest])
    if limit is not None and num_tokens > limit:
        raise BadInputError(
            f"systems.{system}: {rows.origin(longest)} has {num_tokens} tokens, which max_length_tokens="
            f"{phase.max_length_tokens} of mixture {phase.mixture!r} allows, but the model's context is {limit} "
            f"tokens: set max_length_tokens to {limit} or less, and on_too_long to drop or truncate"
        )
