"""A prompt that is continued, and what was written behind it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

ShouldStop = Callable[[list[int]], bool]
"""Sees a row's new tokens after each step and may end it."""


@dataclass(frozen=True)
class Generated:
    """What the model wrote.

    Attributes:
        tokens: without the token that ended them.
        finished: whether it stopped by itself; false when it ran into the limit.
    """

    tokens: tuple[int, ...]
    finished: bool


@dataclass
class WrittenRow:
    """A prompt, its number among the prompts, how many tokens may follow it, and those that do."""

    index: int
    prompt: Sequence[int]
    room: int
    tokens: list[int] = field(default_factory=list)
    is_open: bool = True
    finished: bool = False

    def take(self, token: int, stops: Collection[int], should_stop: ShouldStop | None) -> None:
        """Add the next token, and close the row where it ends."""
        if token in stops:
            self.is_open, self.finished = False, True
            return
        self.tokens.append(token)
        self.finished = should_stop is not None and should_stop(self.tokens)
        self.is_open = not self.finished and len(self.tokens) < self.room

    def generated(self) -> Generated:
        """Return what was written."""
        return Generated(tuple(self.tokens), self.finished)
