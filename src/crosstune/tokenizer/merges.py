"""Learn BPE merges from counted words, with the trainer of the tokenizers library."""

import json
from collections.abc import Iterator, Mapping

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from crosstune.tokenizer.bpe import Merge

# Words travel to the trainer as characters of the private use planes, one for each symbol: the trainer then starts from
# any symbols (pieces of several characters, digits, spaces), not only from single characters.
_FIRST_CODE = 0xF0000
_WORDS_PER_BATCH = 50_000


def learn_merges(words: Mapping[tuple[str, ...], int], num_pieces: int) -> list[Merge]:
    """Return merges, in order, that make at most so many pieces out of the words' symbols.

    A pair must occur at least twice. The result depends on the words and their counts only, not on their order.
    """
    symbols = sorted({symbol for word in words for symbol in word})
    code = {symbol: chr(_FIRST_CODE + index) for index, symbol in enumerate(symbols)}
    coded = sorted(("".join(code[symbol] for symbol in word), count) for word, count in words.items())
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=len(symbols) + num_pieces, min_frequency=2, show_progress=False)
    tokenizer.train_from_iterator(_repeated(coded), trainer)
    symbol_of = {character: symbol for symbol, character in code.items()}

    def plain(coded_piece: str) -> str:
        return "".join(symbol_of[character] for character in coded_piece)

    return [(plain(left), plain(right)) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def _repeated(coded: list[tuple[str, int]]) -> Iterator[str]:
    """Yield each word as often as it occurs, in strings of bounded size: the trainer takes no counts."""
    for word, count in coded:
        while count > 0:
            yield f"{word} " * min(count, _WORDS_PER_BATCH)
            count -= _WORDS_PER_BATCH
