"""Learn BPE merges from counted words, with the trainer of the tokenizers library."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from crosstune.tokenizer.bpe import Merge

# Words travel to the trainer as characters, one for each symbol: the trainer then starts from any symbols (pieces of
# several characters, digits, spaces), not only from single characters. Their order is the symbols': the trainer takes
# the first of equally frequent pairs. The first ones are short in UTF-8, which the trainer works through byte by byte.
_CODES = (range(0x21, 0x7F), range(0xA1, 0xD800), range(0xE000, 0x110000))
# Longer strings leave the processor's cache.
_CHARACTERS_PER_TEXT = 3_000


def learn_merges(words: Mapping[tuple[str, ...], int], num_pieces: int) -> list[Merge]:
    """Return merges, in order, that make at most so many pieces out of the words' symbols.

    A pair must occur at least twice. The result depends on the words and their counts only, not on their order.
    """
    symbols = sorted({symbol for word in words for symbol in word})
    code = dict(zip(symbols, _characters(), strict=False))
    coded = sorted(("".join(code[symbol] for symbol in word), count) for word, count in words.items())
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
    trainer = trainers.BpeTrainer(vocab_size=len(symbols) + num_pieces, min_frequency=2, show_progress=False)
    tokenizer.train_from_iterator(_repeated(coded), trainer)
    symbol_of = {character: symbol for symbol, character in code.items()}

    def plain(coded_piece: str) -> str:
        return "".join(symbol_of[character] for character in coded_piece)

    return [(plain(left), plain(right)) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def _characters() -> Iterator[str]:
    """Yield the characters at which the trainer parts no word, in the order of their codes."""
    return (character for character in map(chr, chain(*_CODES)) if not character.isspace())


def _repeated(coded: list[tuple[str, int]]) -> Iterator[str]:
    """Yield each word as often as it occurs, in strings of bounded size: the trainer takes no counts."""
    text: list[str] = []
    room = _CHARACTERS_PER_TEXT
    for word, count in coded:
        size = len(word) + 1
        while count > 0:
            number = min(count, max(1, room // size))
            text.append(f"{word} " * number)
            count, room = count - number, room - number * size
            if room <= 0:
                yield "".join(text)
                text, room = [], _CHARACTERS_PER_TEXT
    if text:
        yield "".join(text)
