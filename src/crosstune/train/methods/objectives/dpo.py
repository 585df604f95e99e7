"""Direct preference optimization: rewards are gains over the model as the phase began.

Rafailov et al. 2023, https://arxiv.org/abs/2305.18290, equation 7.
"""

from torch import Tensor

from crosstune.recipe import Preference
from crosstune.train.methods.objectives.pairs import Answers, Objective


def reward(answers: Answers, settings: Preference) -> Tensor:
    """Return beta x log(p(answer) / p_start(answer))."""
    return settings.beta * answers.gained


OBJECTIVE = Objective(reward)
