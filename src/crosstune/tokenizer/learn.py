"""Learn the target language's new pieces and merges on top of what the base tokenizer already does."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby, pairwise, takewhile
from operator import itemgetter
from typing import Literal

from crosstune.errors import BadInputError
from crosstune.languages import characters
from crosstune.tokenizer.bpe import BpeTokenizer, Merge
from crosstune.tokenizer.count_words import count_words
from crosstune.tokenizer.merges import learn_merges
from crosstune.tokenizer.pre_tokens import PreTokens


@dataclass(frozen=True)
class LearnRequest:
    """What is to be learnt.

    Attributes:
        language: whose letters the new pieces consist of.
        num_new_pieces: at most so many.
        required_syllables: Korean syllables that must be among them.
        character_coverage: seen letters that are not required become pieces until this share of the corpus' letters is
            covered; the rest (misprints, letters seen once in a million) stays bytes.
        allow: words that must be among them, as they stand after a space.
        deny: strings that no piece of several characters may contain.
        source: the language whose text must be cut as before.
    """

    language: str
    num_new_pieces: int
    required_syllables: Literal["ks_x_1001", "seen"]
    character_coverage: float = 0.9999
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    source: str = "en"


@dataclass
class NewPieces:
    """New pieces and merges in rank order, and the characters that may never fall apart into bytes.

    The first ``num_for_characters`` pieces are there for single characters. ``parts`` are what the pre-tokenizer makes
    of the words in the text that they were learned from, internally spelt.
    """

    pieces: list[str] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    promised: list[str] = field(default_factory=list)
    num_for_characters: int = 0
    parts: frozenset[str] = field(default=frozenset(), repr=False)


def learn_new_pieces(base: BpeTokenizer, texts: Iterable[str], request: LearnRequest) -> NewPieces:
    """Learn at most ``num_new_pieces`` pieces: first the characters, then what occurs most often.

    Learning goes on from what the base does: words are parted by its normalizer and pre-tokenizer, the parts are cut by
    its merges, and its pieces are the symbols that new merges join. So the merges learnt are those that encoding finds.

    Raises:
        BadInputError: when the characters alone need more pieces than were asked for, or an allowed word is no word
            of the language or finds no place.
    """
    words = target_words(base, texts, request)
    parts = parted(base, words)
    seen = frozenset(parts)
    parts.update(parted(base, allowed_words(words, request)))
    return replace(learn_from_parts(base, parts, request), parts=seen)


def learn_from_parts(
    base: BpeTokenizer,
    parts: Counter[str],
    request: LearnRequest,
    allowed: Callable[[NewPieces], NewPieces] | None = None,
) -> NewPieces:
    """Learn pieces from counted parts of words; ``allowed`` may leave some out. See ``learn_new_pieces``."""
    new = _pieces_of_characters(base, _needed_characters(base, parts, request))
    if len(new.pieces) > request.num_new_pieces:
        raise BadInputError(
            f"tokenizer.extension.num_new_pieces: {request.num_new_pieces} is too small: single characters alone need "
            f"{len(new.pieces)} new pieces with required_syllables: {request.required_syllables}. Set "
            "at least that many"
            + (", or set required_syllables: seen." if request.required_syllables == "ks_x_1001" else ".")
        )
    new.num_for_characters = len(new.pieces)
    new = allowed(new) if allowed else new
    symbols = _cut_into_symbols(base.with_pieces(new.pieces, new.merges), parts, new.promised)
    # As the normalizer spells them: it may write small letters.
    symbols = _apart_at_denied(symbols, ["".join(found) for found in PreTokens(base).of_each(request.deny)])
    # Of what may be left out, more is learnt than is wanted: up to three quarters of it.
    num_pieces = request.num_new_pieces * (4 if allowed else 1)
    wanted = num_pieces - len(new.pieces)
    # Some merges give a piece that another merge gave already, or that the base has: ask for more, and stop in time.
    merges = learn_merges(symbols, wanted + wanted // 10 + 100) if symbols and wanted else []
    _take(new, merges, set(base.pieces), num_pieces)
    new = first_pieces(base, allowed(new), request.num_new_pieces) if allowed else new
    _refuse_missing(base, new, request)
    return new


def first_pieces(base: BpeTokenizer, new: NewPieces, num_new_pieces: int) -> NewPieces:
    """Return the new pieces that would have been learnt if fewer had been asked for.

    Raises:
        BadInputError: when the characters alone need more.
    """
    if num_new_pieces < new.num_for_characters:
        raise BadInputError(
            f"sweep: {num_new_pieces} new pieces are too few: single characters alone need "
            f"{new.num_for_characters}. Set at least that many."
        )
    pieces = new.pieces[:num_new_pieces]
    known = {*base.pieces, *pieces}
    merges = list(takewhile(lambda merge: merge[0] + merge[1] in known, new.merges))
    return replace(new, pieces=pieces, merges=merges)


def target_words(base: BpeTokenizer, texts: Iterable[str], request: LearnRequest) -> Counter[str]:
    """Count the runs of target letters, each with the one space before it that its first piece will carry."""
    letters = characters.letters_of(request.language, request.source)
    if base.style == "sentencepiece":
        # A space is put before the whole text; of several spaces the base joins all into pieces of their own.
        return count_words((f" {text}" for text in texts), letters, only_single_spaces=True)
    return count_words(texts, letters, only_single_spaces=False)


def parted(base: BpeTokenizer, words: Counter[str]) -> Counter[str]:
    """Count what the base's pre-tokenizer makes of words, internally spelt."""
    parts: Counter[str] = Counter()
    for found, count in zip(PreTokens(base).of_each(words), words.values(), strict=True):
        for part in found:
            # Not `+=`: for a part that is not there yet, Counter calls a function of Python.
            parts[part] = parts.get(part, 0) + count
    return parts


def allowed_words(words: Counter[str], request: LearnRequest) -> Counter[str]:
    """Return each allowed word as often as the most frequent one, so that its merges are learnt among the first."""
    is_word = re.compile(characters.word_of(characters.letters_of(request.language, request.source))).fullmatch
    refused = [word for word in request.allow if not is_word(word)]
    if refused:
        raise BadInputError(
            f"tokenizer.extension.allow: {refused} cannot be pieces: new pieces contain only letters of "
            f"{request.language!r}, so that other text is tokenized as before. Remove them."
        )
    most = max(words.values(), default=2)
    return Counter({f" {word}": max(most, 2) * count for word, count in Counter(request.allow).items()})


def _refuse_missing(base: BpeTokenizer, new: NewPieces, request: LearnRequest) -> None:
    pieces = {*base.pieces, *new.pieces}
    pre_tokens = PreTokens(base)
    spelt = {word: pre_tokens.of(f" {word}") for word in request.allow}
    missing = [word for word, parts in spelt.items() if "".join(parts) not in pieces]
    torn = {word: spelt[word] for word in missing if len(spelt[word]) > 1}
    if torn:
        word, parts = next(iter(torn.items()))
        raise BadInputError(
            f"tokenizer.extension.allow: {[*torn]} cannot be pieces: the base's pre-tokenizer splits them first: "
            f"{word!r} into {[base.surface(part) for part in parts]}. Set "
            "tokenizer.extension.keep_words_whole: true, or leave them out."
        )
    if missing:
        raise BadInputError(
            f"tokenizer.extension.allow: {missing} cannot be pieces: {request.num_new_pieces} new pieces have no room "
            f"for them, or tokenizer.extension.deny forbids them. Increase num_new_pieces, or change the lists."
        )


def _needed_characters(base: BpeTokenizer, parts: Counter[str], request: LearnRequest) -> list[str]:
    # As the normalizer spells them: what it takes apart is never looked for whole.
    by_count: dict[int, list[str]] = {}
    for part, count in parts.items():
        by_count.setdefault(count, []).append(base.surface(part) or "")
    counts: Counter[str] = Counter()
    for count, surfaces in by_count.items():
        for character, times in Counter("".join(surfaces)).items():
            counts[character] += times * count
    # Joiners stand in emoji of every language, too.
    for character in (" ", *characters.JOINERS):
        del counts[character]
    needed = set(characters.covering(counts, request.character_coverage))
    if request.language == "ko":
        seen = set(counts).intersection(characters.ALL_SYLLABLES)
        needed |= set(characters.ks_x_1001_syllables()) if request.required_syllables == "ks_x_1001" else seen
    return sorted(needed)


def _pieces_of_characters(base: BpeTokenizer, wanted: list[str]) -> NewPieces:
    """Make each character one piece: an entry of the vocabulary, and for byte-level pieces the merges that lead there.

    A byte-level base may glue a space to the first byte of a letter; then the letter after a space gets its own piece.
    """
    new = NewPieces(promised=wanted)
    known = set(base.pieces)
    if base.style == "sentencepiece":
        new.pieces = [character for character in wanted if character not in known]
        return new
    space = base.internal(" ")
    merges: set[Merge] = set()
    for text in [*wanted, *(f" {character}" for character in wanted)]:
        parts = base.cut(base.internal(text))
        if parts[0] == space:
            continue
        piece = parts[0]
        for part in parts[1:]:
            merge = (piece, part)
            piece += part
            if merge not in merges:
                merges.add(merge)
                new.merges.append(merge)
            if piece not in known:
                known.add(piece)
                new.pieces.append(piece)
    return new


def _cut_into_symbols(base: BpeTokenizer, parts: Counter[str], promised: list[str]) -> Counter[tuple[str, ...]]:
    """Cut each part of a word by the base; where bytes of unknown characters stand, no piece is learnt.

    Bytes of characters that have pieces are joined as anything else: LLaMA-3 and Qwen know a few hundred Bengali pieces
    that end inside a character, and what they are followed by would never be joined with them.
    """
    is_whole: dict[str, bool] = {}
    known = {*promised, " "}
    symbols: Counter[tuple[str, ...]] = Counter()
    falls_apart = base.falls_apart
    for part, count in parts.items():
        if falls_apart(part):
            if len(part) > 1:
                symbols[tuple(part)] = symbols.get(tuple(part), 0) + count
            continue
        pieces = base.cut(part)
        for piece in pieces:
            if piece not in is_whole:
                is_whole[piece] = base.surface(piece) is not None
        joined = [is_whole[piece] for piece in pieces]
        if all(joined):
            if len(pieces) > 1:
                symbols[tuple(pieces)] += count
            continue
        if base.style == "byte_level":
            joined = _of_known(base, part, pieces, known)
        for run in _runs(pieces, joined):
            symbols[run] += count
    return symbols


def _apart_at_denied(symbols: Counter[tuple[str, ...]], denied: list[str]) -> Counter[tuple[str, ...]]:
    """Part words where symbols would be joined to a denied string: what is learnt beside it then needs none of it."""
    if not denied:
        return symbols
    apart: Counter[tuple[str, ...]] = Counter()
    for word, count in symbols.items():
        starts, text = [0, *accumulate(map(len, word))], "".join(word)
        borders = {0, len(word)}
        for found in (match.span(1) for one in denied for match in re.finditer(f"(?=({re.escape(one)}))", text)):
            first, last = (bisect_right(starts, place) - 1 for place in (found[0], found[1] - 1))
            # A symbol that holds all of it stands alone.
            borders |= {last} if first < last else {first, first + 1}
        for start, end in pairwise(sorted(borders)):
            if end - start > 1:
                apart[word[start:end]] += count
    return apart


def _of_known(base: BpeTokenizer, part: str, pieces: list[str], known: set[str]) -> list[bool]:
    """Return whether each piece is text or is made of known characters' bytes; a piece has a sign for each byte."""
    of_byte = [character in known for character in base.surface(part) or "" for _ in base.internal(character)]
    ends = [0, *accumulate(map(len, pieces))]
    spans = zip(pieces, pairwise(ends), strict=True)
    return [base.surface(piece) is not None or all(of_byte[start:end]) for piece, (start, end) in spans]


def _runs(pieces: list[str], joined: list[bool]) -> Iterator[tuple[str, ...]]:
    for is_joined, group in groupby(zip(pieces, joined, strict=True), key=itemgetter(1)):
        run = tuple(piece for piece, _ in group)
        if is_joined and len(run) > 1:
            yield run


def _take(new: NewPieces, merges: list[Merge], known: set[str], num_pieces: int) -> None:
    """Add merges in their order until there are enough new pieces."""
    known = known | set(new.pieces)
    for left, right in merges:
        piece = left + right
        if piece not in known:
            if len(new.pieces) == num_pieces:
                return
            known.add(piece)
            new.pieces.append(piece)
        new.merges.append((left, right))
