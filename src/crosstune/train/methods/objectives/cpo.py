"""Contrastive preference optimization: no start is kept; the chosen answer's cross-entropy holds the model instead.

Xu et al. 2024, https://arxiv.org/abs/2401.08417, equation 5. As in the authors' code, the cross-entropy is a mean over
the tokens of an answer; here each answer counts alike, whatever its length.
"""

from torch import Tensor

from crosstune.recipe import Preference
from crosstune.train.methods.objectives.pairs import Answers, Objective


def reward(answers: Answers, settings: Preference) -> Tensor:
    """Return beta x log p(answer)."""
    return settings.beta * answers.log_probability


OBJECTIVE = Objective(reward)
