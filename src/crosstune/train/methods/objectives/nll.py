"""The chosen answer's cross-entropy alone: what the rejected answers add is told by comparison with it."""

from torch import Tensor

from crosstune.recipe import Preference
from crosstune.train.methods.objectives.pairs import Answers, Objective


def reward(answers: Answers, settings: Preference) -> Tensor:
    """Return log p(answer): what it would prefer, if it looked."""
    return answers.log_probability


OBJECTIVE = Objective(reward, loss=None)
