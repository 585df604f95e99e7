"""One system that is to be trained, and the model that each of its phases begins with."""

from dataclasses import dataclass
from pathlib import Path

from crosstune.errors import BadInputError
from crosstune.models.load import load_model
from crosstune.models.recompute import recompute_layers
from crosstune.recipe import Recipe, System
from crosstune.runs.folder import RunFolder
from crosstune.train.checkpoint import Checkpoint, Checkpoints
from crosstune.train.methods.trainable import Trainable, make_trainable
from crosstune.train.new_rows.rows import RowSource, read_subwords
from crosstune.train.periodic_eval import ScoreSuite
from crosstune.train.start import Start, build_model


@dataclass(frozen=True)
class TrainingTask:
    """One system that is to be trained.

    Attributes:
        start: what it starts from.
        wanted: the fingerprint of everything that decides how it turns out.
        score: scores a model on the suite, where that is done while it trains.
        sources: what the rows of its new pieces start from, where its start has none.
    """

    recipe: Recipe
    run: RunFolder
    name: str
    start: Start
    wanted: str
    score: ScoreSuite | None = None
    sources: tuple[RowSource, ...] = ()

    @property
    def system(self) -> System:
        """Return the system's section of the recipe."""
        return self.recipe.systems[self.name]

    @property
    def seed(self) -> int:
        """Return the seed of everything that is random in its training."""
        return self.recipe.seed_of(self.name)

    @property
    def folder(self) -> Path:
        """Return the system's folder."""
        return self.run.system(self.name)


def begun_with(task: TrainingTask, resume_from: Checkpoint, checkpoints: Checkpoints) -> Trainable:
    """Return the model that the phase of a checkpoint begins with, as it is trained, in float32.

    Where a phase goes on and its checkpoints hold all weights, only the shape is right: its weights follow.
    """
    number = resume_from.position.phase
    folder = checkpoints.start_of(number)
    if folder is not None and (resume_from.position.step == 0 or checkpoints.keeps_starts):
        model = load_model(str(folder / "model"))
    else:
        model, _ = build_model(task.start, task.system, task.seed, task.sources)
    if task.recipe.train.gradient_checkpointing:
        recompute_layers(model)
    old_size = read_subwords(task.start.tokenizer).old_size if task.system.tokenizer == "extended" else None
    try:
        return make_trainable(model, task.system.phases[number], old_size, task.seed)
    except BadInputError as error:
        raise BadInputError(f"systems.{task.name}.phases.{number}: {error}") from None
