"""What an objective is given of pairs of answers, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from crosstune.recipe import Preference


@dataclass(frozen=True)
class Answers:
    """One side of some pairs.

    Attributes:
        log_probability: of each answer given its prompt, in nats, summed over its tokens, [pairs]; with gradient.
        num_tokens: of each answer, its EOS included where it ended, [pairs].
        at_start: the log-probability at the start of the phase, [pairs]; None where the objective does not need it.
    """

    log_probability: Tensor
    num_tokens: Tensor
    at_start: Tensor | None = None

    @property
    def per_token(self) -> Tensor:
        """Return the mean log-probability of the tokens of each answer, [pairs]."""
        return self.log_probability / self.num_tokens

    @property
    def gained(self) -> Tensor:
        """Return what the log-probability gained since the start of the phase, [pairs]."""
        assert self.at_start is not None
        return self.log_probability - self.at_start


def logistic(margin: Tensor) -> Tensor:
    """Return -log sigmoid(margin), the loss of Bradley and Terry's model of preferences, [pairs]."""
    return -logsigmoid(margin)


@dataclass(frozen=True)
class Objective:
    """What is learned from pairs.

    Attributes:
        reward: of the answers of one side, [pairs].
        loss: of the difference of the rewards (chosen less rejected), [pairs]; None where it is no part of the loss.
    """

    reward: Callable[[Answers, Preference], Tensor]
    loss: Callable[[Tensor], Tensor] | None = logistic
