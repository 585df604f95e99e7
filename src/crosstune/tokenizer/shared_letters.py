"""New pieces for a target language that shares its letters with the source: German, Vietnamese, Turkish, Swahili.

No letter tells whose word it is, so pieces are learnt from words that the base cuts into more tokens than words of the
source language that are as frequent. What changes in source text is measured, or ruled out.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import floor, log2

from crosstune.errors import BadInputError
from crosstune.languages import characters
from crosstune.tokenizer.bpe import BpeTokenizer, Merge
from crosstune.tokenizer.learn import LearnRequest, NewPieces, allowed_words, learn_from_parts, parted, target_words
from crosstune.tokenizer.pre_tokens import PreTokens, num_tokens


@dataclass(frozen=True)
class BothTexts:
    """What is learnt from: texts in the target language, and texts in the source language to hold them against."""

    target: Iterable[str]
    source: Iterable[str]


def learn_beside_source(
    base: BpeTokenizer, texts: BothTexts, request: LearnRequest, unchanged: Callable[[NewPieces], NewPieces] | None
) -> NewPieces:
    """Learn at most ``num_new_pieces`` pieces; see ``learn_new_pieces``.

    With ``unchanged``, only pieces that no word of the source text is ever cut into, in full or on the way. It returns
    pieces with all the merges that the tokenizer will have.

    Raises:
        BadInputError: when there is no source text.
    """
    # With whatever stands before a word and around it: a pre-tokenizer may keep them together.
    chunks = characters.count_words((f" {text}" for text in texts.source), r"[^\S\r\n]?\S+")
    if not chunks:
        raise BadInputError(
            f"tokenizer.extension: {request.language!r} shares its letters with "
            f"{request.source!r}, so its pieces are learned from words that the base splits more than "
            f"{request.source!r} words; but no mixture holds {request.source!r} text. Add a mixture with a "
            "source of it, or a translation into it."
        )
    all_words = target_words(base, texts.target, request)
    words = worth_learning(base, all_words, _words_in(chunks, request.source))
    words.update(allowed_words(words, request))
    allowed: Callable[[NewPieces], NewPieces] | None = None
    if unchanged is not None:
        source_text = _SourceText(base, chunks)
        allowed = lambda new: source_text.without_effect(unchanged(new))  # noqa: E731
    return replace(
        learn_from_parts(base, parted(base, words), request, allowed), parts=frozenset(parted(base, all_words))
    )


def _words_in(chunks: Counter[str], language: str) -> Counter[str]:
    find = re.compile(f" ?{characters.word_of(characters.letters_of(language))}").findall
    words: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for word in find(chunk):
            words[word] += count
    return words


def worth_learning(base: BpeTokenizer, target: Counter[str], source: Counter[str]) -> Counter[str]:
    """Return the target words that occur more often than in source text and are cut worse than its words.

    Worse means into more tokens than the mean of source words of the same frequency, to a factor of two.
    """
    pre_tokens = PreTokens(base)
    per_target, per_source = 1 / max(target.total(), 1), 1 / max(source.total(), 1)
    usual = _usual_lengths({word: (num_tokens(base, pre_tokens.of(word)), count) for word, count in source.items()})
    kept: Counter[str] = Counter()
    for word, count in target.items():
        is_own = count * per_target > source[word] * per_source
        if is_own and num_tokens(base, pre_tokens.of(word)) > usual[_class(count * per_target)]:
            kept[word] = count
    return kept


class _UsualLengths(dict[int, float]):
    """The mean length of words by frequency class; a class without words has that of the next more frequent one."""

    def __missing__(self, wanted: int) -> float:
        return next((self[other] for other in sorted(self) if other > wanted), 1.0)


def _usual_lengths(words: Mapping[str, tuple[int, int]]) -> _UsualLengths:
    total = sum(count for _, count in words.values())
    lengths: dict[int, list[int]] = {}
    for length, count in words.values():
        lengths.setdefault(_class(count / total), []).append(length)
    return _UsualLengths({key: sum(found) / len(found) for key, found in lengths.items()})


def _class(share: float) -> int:
    return floor(log2(share))


class _SourceText:
    """The source text's words as the base cuts them, to see which new merges would apply to them."""

    def __init__(self, base: BpeTokenizer, words: Counter[str]) -> None:
        self._base = base
        self._cut = {part: base.cut(part) for part in parted(base, words)}
        self._old_ranks = {merge: rank for rank, merge in enumerate(base.merges)}
        self._takes_whole_words = bool(base.content["model"].get("ignore_merges"))

    def without_effect(self, new: NewPieces) -> NewPieces:
        """Return the new pieces without those that source text would be cut into, and what is built on them."""
        while made := self._made(new):
            known = {*self._base.pieces}
            alive = {piece for piece in new.pieces if len(piece) == 1 and piece not in made}
            merges: list[Merge] = []
            for left, right in new.merges:
                if left + right not in made and {left, right} <= known | alive:
                    merges.append((left, right))
                    alive.add(left + right)
            pieces = [piece for piece in new.pieces if piece in alive]
            counted = new.pieces[: new.num_for_characters]
            num_for_characters = sum(piece in alive for piece in counted)
            promised = [character for character in new.promised if self._base.internal(character) in known | alive]
            new = replace(new, pieces=pieces, merges=merges, promised=promised, num_for_characters=num_for_characters)
        return new

    def _made(self, new: NewPieces) -> set[str]:
        """Return what new merges make of source text, and the new characters in it."""
        ranks = {merge: len(self._old_ranks) + rank for rank, merge in enumerate(new.merges)}
        firsts = {left for left, _ in ranks}
        singles = {piece for piece in new.pieces if len(piece) == 1}
        whole = set(new.pieces) if self._takes_whole_words else set()
        made: set[str] = set()
        for part, pieces in self._cut.items():
            if part in whole:
                made.add(part)
            if singles:
                made |= singles.intersection(part)
            if not firsts.isdisjoint(pieces) and any(pair in ranks for pair in pairwise(pieces)):
                made |= self._joined(pieces, ranks)
        return made

    def _joined(self, pieces: list[str], ranks: Mapping[Merge, int]) -> set[str]:
        """Return every piece that the merges make of some pieces on the way."""
        made: set[str] = set()
        pieces = list(pieces)
        none = len(self._old_ranks) + len(ranks)
        while len(pieces) > 1:
            # A new merge may give an old piece, which old merges go on with.
            order = [ranks.get(pair, self._old_ranks.get(pair, none)) for pair in pairwise(pieces)]
            place = min(range(len(order)), key=order.__getitem__)
            if order[place] == none:
                break
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
            made.add(pieces[place])
        return made
