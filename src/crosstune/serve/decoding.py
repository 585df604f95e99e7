"""How an answer is asked for, and how it ended; read before any model is loaded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoding:
    """How answers are chosen.

    Attributes:
        max_new_tokens: maximum length of an answer, in tokens, the EOS included.
        temperature: 0 takes the likeliest token at each step; above, tokens are drawn, at 1 by the model's own odds.
        seed: of the draws.
        top_p: tokens are drawn among the likeliest ones that have so much probability together.
    """

    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0
    top_p: float = 1.0


@dataclass
class Ending:
    """What is known of an answer when it has ended: its tokens, and whether it ended by itself."""

    num_tokens: int = 0
    finished: bool = False

    @property
    def reason(self) -> str:
        """Why it ended, as the OpenAI protocol says it."""
        return "stop" if self.finished else "length"
