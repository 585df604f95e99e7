"""Simple preference optimization: rewards are log-probabilities per token, and should differ by a margin.

Meng et al. 2024, https://arxiv.org/abs/2405.14734, equation 6; the margin is theirs, gamma.
"""

from torch import Tensor

from crosstune.recipe import Preference
from crosstune.train.methods.objectives.pairs import Answers, Objective


def reward(answers: Answers, settings: Preference) -> Tensor:
    """Return beta x the mean of log p over the answer's tokens."""
    return settings.beta * answers.per_token


OBJECTIVE = Objective(reward)
