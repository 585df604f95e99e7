"""Noise in translation instructions: words are dropped, swapped or replaced, the target language's name stays.

A system that learnt a few wordings by heart takes an unknown word for another task, and a word of another task's
instruction for that task. Where any word may be missing or wrong, the one that never is, the name of the target
language, has to tell what is asked.
"""

import random
from collections.abc import Sequence

# Of the words that a changed instruction loses or gets: dropped, replaced by a word of other wordings, by two, by a few
# that follow one another in another task's instruction, misspelt, swapped.
_CHANGES = ("drop", "replace", "lengthen", "borrow", "misspell", "swap")
_WEIGHTS = (4, 3, 1, 4, 2, 2)
_LONGEST_LOAN = 3
# Within a name of several words, while the words of an instruction are told apart.
_NO_SPACE = "\0"


class WordingNoise:
    """Changes words in a share of the instructions that it is given.

    Attributes:
        changes: a byte for each instruction that it was given, 1 where it changed it.
    """

    def __init__(self, share: float, generator: random.Random) -> None:
        self._share, self._generator = share, generator
        self.changes = bytearray()

    def changed(self, instruction: str, name: str, words: Sequence[str], others: Sequence[str] = ()) -> str:
        """Return the instruction, in a share of the calls with other words.

        Words that hold the ``name`` of the target language stay; ``words`` are what others may be replaced by, and
        ``others`` instructions of other tasks that may lend some of theirs.
        """
        is_chosen = self._generator.random() < self._share
        made = self._with_noise(instruction, name, words, others) if is_chosen else instruction
        self.changes.append(made != instruction)
        return made

    def _with_noise(self, instruction: str, name: str, words: Sequence[str], others: Sequence[str]) -> str:
        generator = self._generator
        # From one word to all of them: a change of a fixed size would be a wording of its own.
        rate = generator.random()
        joined = name.replace(" ", _NO_SPACE)
        kept = [[word] for word in instruction.replace(name, joined).split()]
        open_places = [place for place, (word,) in enumerate(kept) if joined not in word]
        for place in open_places:
            if generator.random() < rate:
                self._change(kept, place, open_places, words or ("",), others or words or ("",))
        return " ".join(word for part in kept for word in part if word).replace(joined, name)

    def _change(
        self,
        kept: list[list[str]],
        place: int,
        open_places: Sequence[int],
        words: Sequence[str],
        others: Sequence[str],
    ) -> None:
        generator = self._generator
        (change,) = generator.choices(_CHANGES, _WEIGHTS)
        if change == "drop":
            kept[place] = []
        elif change == "replace":
            kept[place] = [generator.choice(words)]
        elif change == "lengthen":
            kept[place] = [*kept[place], *generator.choices(words, k=2)]
        elif change == "borrow":
            lent = generator.choice(others).split()
            first = generator.randrange(max(1, len(lent)))
            kept[place] = lent[first : first + generator.randint(1, _LONGEST_LOAN)]
        elif change == "misspell":
            kept[place] = [_misspelt(word, generator) for word in kept[place]]
        else:
            other = generator.choice(open_places)
            kept[place], kept[other] = kept[other], kept[place]


def _misspelt(word: str, generator: random.Random) -> str:
    """Return a word that is none, of the same letters: an unknown word, in pieces that no other instruction has."""
    letters = list(word)
    generator.shuffle(letters)
    return "".join(letters)
