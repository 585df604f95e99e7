"""What a tokenizer makes of the target language, what its pre-tokenizer parts, and what new pieces would buy."""

import math
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crosstune.doctor.findings import Finding, Verdict, settings
from crosstune.doctor.given_texts import lines_of, parallel_lines
from crosstune.doctor.subject import Subject
from crosstune.errors import BadInputError
from crosstune.languages.names import names_in
from crosstune.languages.parallel_sample import sample_of, sampled_languages
from crosstune.languages.registry import language_name, shares_letters
from crosstune.recipe import Languages
from crosstune.tokenizer import given
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import refuse_unextendable
from crosstune.tokenizer.learn import LearnRequest, NewPieces, first_pieces, learn_new_pieces, target_words
from crosstune.tokenizer.pre_tokens import PreTokens
from crosstune.tokenizer.shared_letters import BothTexts, learn_beside_source
from crosstune.tokenizer.unused import Unused, unused_among
from crosstune.tokenizer.word_branch import tried_words, with_whole_words

_SECTION = "tokenizer"
DEAD, HOW_MANY = "dead pieces", "how many pieces"
SIZES = (1_000, 2_000, 4_000, 8_000, 14_000, 28_000)
_HELD_OUT = 20
_MORE_CHARACTERS, _ROUND = 1.05, 128
# Tokens of the target language for one of English: below, a larger vocabulary buys little; above, it is the main lever.
_NEAR, _FAR = 1.35, 2.0
_MANY_PARTED = 0.1
_MANY_NAMES = 20
_KEEP = settings(systems={"ours": {"tokenizer": "base"}})
_WORTH, _MOST_OF_THE_GAIN = 0.1, 0.9


@dataclass(frozen=True)
class Texts:
    """What the user gave to look at the tokenizer with.

    Attributes:
        sample: a file of translations to use instead of the bundled sentences.
        target: files of text in the target language, to learn pieces from.
        source: files of text in the source language, needed beside it where both share their letters.
    """

    sample: Path | None = None
    target: tuple[Path, ...] = ()
    source: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Case:
    """One tokenizer, two languages, lines in both that say the same, and lines of the target that were read already."""

    base: BpeTokenizer
    languages: Languages
    pairs: tuple[list[str], list[str]] | None
    lines: Sequence[str] = ()

    @cached_property
    def source_tokens(self) -> int:
        return _num_tokens(self.base, self.pairs[0]) if self.pairs else 0

    def parity(self, tokenizer: BpeTokenizer) -> float:
        """Return the tokens of the target side for one of the source side, as the base cuts that."""
        assert self.pairs is not None
        return _num_tokens(tokenizer, self.pairs[1]) / max(1, self.source_tokens)


def look_at_pieces(subject: Subject, languages: Languages, texts: Texts) -> Iterator[Finding]:
    """Look at the tokenizer of a model with a bundled or given sample, and with a corpus where there is one."""
    try:
        content, _ = given.load(subject.path, "MODEL")
        pairs = parallel_lines(languages, texts.sample)
    except BadInputError as error:
        yield Finding(_SECTION, "tokenizer", "stop", str(error))
        return
    case = _Case(BpeTokenizer(content), languages, pairs)
    yield from _vocabulary(subject, case.base)
    yield _length(case)
    try:
        refuse_unextendable(case.base, "the tokenizer")
    except BadInputError as error:
        yield Finding(_SECTION, "extension", "attention", str(error), _KEEP)
        return
    keeps = yield from _borders(case)
    yield from _extensions(case, texts, keeps)


def try_new_pieces(
    base: BpeTokenizer, languages: Languages, lines: list[str], source_lines: list[str]
) -> list[Finding]:
    """Return what `look_at_pieces` says of borders and new pieces, from lines that were read already.

    Raises:
        BadInputError: when the tokenizer cannot be extended, or the lines give no pieces.
    """
    refuse_unextendable(base, "the tokenizer")
    sides = [sample_of(code) for code in (languages.source, languages.target)]
    case = _Case(base, languages, (sides[0], sides[1]) if sides[0] and sides[1] else None, lines)
    borders = _borders(case)
    found: list[Finding] = []
    while True:
        try:
            found.append(next(borders))
        except StopIteration as end:
            return [*found, *_learned(case, lines, source_lines, end.value)]


def _vocabulary(subject: Subject, base: BpeTokenizer) -> Iterator[Finding]:
    style = {"sentencepiece": "SentencePiece BPE with byte fallback", "byte_level": "byte-level BPE"}
    kind = style.get(base.style or "", base.model_type)
    says = f"{kind}, {base.size:,} pieces"
    num_rows = int(getattr(subject.config, "vocab_size", 0)) if _is_usable(subject) else 0
    values = {"style": kind, "num_pieces": base.size, **({"num_rows": num_rows} if num_rows else {})}
    if num_rows and num_rows < base.size:
        says += f", but the model has {num_rows:,} rows: the missing rows are initialized when it is loaded"
    elif num_rows > base.size:
        says += f", and the model has {num_rows:,} rows: new pieces use the {num_rows - base.size:,} spare ones first"
    verdict: Verdict = "attention" if num_rows and num_rows < base.size else "ok"
    setting = settings(tokenizer={"base": {"kind": "given", "path": subject.name, **subject.pinned}})
    yield Finding(_SECTION, "vocabulary", verdict, says, setting, values)


def _is_usable(subject: Subject) -> bool:
    try:
        return subject.config is not None
    except BadInputError:
        return False


def _length(case: _Case) -> Finding:
    target, source = (language_name(code, "en") for code in (case.languages.target, case.languages.source))
    if case.pairs is None:
        codes = [code for code in (case.languages.target, case.languages.source) if not sample_of(code)]
        lacking = " and ".join(language_name(code, "en") for code in codes)
        says = (
            f"not measured: no bundled sentences in {lacking} (there are some in {', '.join(sampled_languages())}). "
            f"Give translations with --sample FILE.tsv, {source} first"
        )
        return Finding(_SECTION, "length of text", "attention", says)
    parity, lines = case.parity(case.base), len(case.pairs[0])
    what = {True: "the vocabulary knows the language well", False: "new pieces make its text shorter"}[parity < _NEAR]
    if parity >= _FAR:
        what = "new pieces are the main lever: they make training and generation cheaper and context longer"
    says = f"{parity:.2f} {target} tokens per {source} token, over {lines} parallel sentences: {what}"
    return Finding(
        _SECTION,
        "length of text",
        "ok" if parity < _NEAR else "attention",
        says,
        values={"tokens_per_source_token": parity, "sentences": lines},
    )


def _borders(case: _Case) -> Generator[Finding, None, BpeTokenizer]:
    """Yield what the pre-tokenizer does to words of the target language; return the tokenizer that pieces suit best."""
    target, source = case.languages.target, case.languages.source
    if shares_letters(target, source):
        return case.base
    pre_tokens = PreTokens(case.base)
    words, what = _words(case)
    parted = {word: parts for word in words if len(parts := pre_tokens.of(word)) > 1}
    share = len(parted) / max(1, len(words))
    values = {"parted_share": share, "words": len(words)}
    if share < _MANY_PARTED:
        says = f"the pre-tokenizer keeps {1 - share:.0%} of the {what} whole: every new piece can be used"
        yield Finding(_SECTION, DEAD, "ok", says, values=values)
        return case.base
    word, parts = max(parted.items(), key=lambda item: words[item[0]])
    shown = " | ".join(case.base.surface(part) or part for part in parts).strip()
    says = (
        f"the pre-tokenizer splits {share:.0%} of the {what}, such as {word.strip()!r} into {shown!r}: pieces that "
        "reach across such a border would be dead, so none is learned, and words stay long"
    )
    try:
        whole = with_whole_words(case.base, target, source)
    except BadInputError as error:
        yield Finding(_SECTION, DEAD, "attention", f"{says}. keep_words_whole does not help: {error}", values=values)
        return case.base
    says += (
        ". A branch of the pre-tokenizer keeps words whole, in transformers and vLLM; no GGUF file can be made of it"
    )
    setting = settings(tokenizer={"extension": {"keep_words_whole": True}})
    yield Finding(_SECTION, DEAD, "attention", says, setting, values)
    return whole


def _words(case: _Case) -> tuple[Counter[str], str]:
    """Return words in the target language, from real text where there is any, and what they are called."""
    target, source = case.languages.target, case.languages.source
    request = LearnRequest(target, 0, "seen", source=source)
    if real := case.lines or (case.pairs[1] if case.pairs else ()):
        return target_words(case.base, real, request), "words"
    words = target_words(case.base, names_in(target), request)
    if len(words) >= _MANY_NAMES:
        return words, "words in its names of countries, languages and months"
    return Counter(tried_words(target, source)), "words of three letters, one for each letter of its script"


def _extensions(case: _Case, texts: Texts, keeps: BpeTokenizer) -> Iterator[Finding]:
    is_shared = shares_letters(case.languages.target, case.languages.source)
    if not texts.target or (is_shared and not texts.source):
        also = ", and --source-text FILE in the source language, which shares its letters" if is_shared else ""
        says = f"not estimated: a sample is too little text to learn pieces from. Give --text FILE{also}"
        yield Finding(_SECTION, "new pieces", "attention", says)
        return
    try:
        lines = lines_of(texts.target, case.languages.target, case.languages)
        source_lines = lines_of(texts.source, case.languages.source, case.languages)
        yield from _learned(case, lines, source_lines, keeps)
    except BadInputError as error:
        yield Finding(_SECTION, "new pieces", "attention", f"not estimated: {error}")


def _learned(case: _Case, lines: list[str], source: list[str], keeps: BpeTokenizer) -> Iterator[Finding]:
    tried = _Tried(case, keeps, lines, source)
    for size in sorted({max(size, tried.fewest) for size in SIZES}):
        if len(tried.new.pieces) <= max(tried.saved, default=0):
            break
        yield tried.finding(size)
    advised = tried.advised()
    if advised and advised not in tried.saved:
        yield tried.finding(advised)
    yield _advice(tried, advised)


class _Tried:
    """What numbers of new pieces make of text that they were not learned from, and how many of them are unused."""

    def __init__(self, case: _Case, keeps: BpeTokenizer, lines: list[str], source: list[str]) -> None:
        learned = [line for index, line in enumerate(lines) if index % _HELD_OUT]
        held_out, known = lines[::_HELD_OUT], {*learned}
        # Corpora repeat themselves: a line that was learned from says nothing of others.
        self._held_out = [line for line in held_out if line not in known] or held_out
        self._case, self._keeps = case, keeps
        self._before = max(1, _num_tokens(case.base, self._held_out))
        wish = LearnRequest(case.languages.target, SIZES[-1], "seen", source=case.languages.source)
        self.new = learn_from(keeps, learned, source, wish)
        self.num_characters = sum(map(len, learned))
        # Single characters come first: fewer pieces than they need are no extension, and more text brings a few more.
        self.fewest = math.ceil(_MORE_CHARACTERS * self.new.num_for_characters / _ROUND) * _ROUND
        self.saved: dict[int, float] = {}
        self.unused: dict[int, Unused] = {}

    def finding(self, size: int) -> Finding:
        """Try the first so many pieces."""
        part = first_pieces(self._keeps, self.new, size)
        number, tokenizer = len(part.pieces), self._keeps.with_pieces(part.pieces, part.merges)
        saved = self.saved[number] = 1 - _num_tokens(tokenizer, self._held_out) / self._before
        unused = self.unused[number] = unused_among(self._keeps, part)
        says = f"held-out text is {saved:.0%} shorter"
        values: dict[str, Any] = {"num_new_pieces": number, "saved": saved, "unused_share": unused.share}
        if self._case.pairs:
            parity = values["tokens_per_source_token"] = self._case.parity(tokenizer)
            says += f", {parity:.2f} tokens per source-language token"
        says += f". {unused}" if unused.steps else ""
        return Finding(_SECTION, f"{number:,} new pieces", "attention" if unused.is_much else "ok", says, values=values)

    def advised(self) -> int:
        """Return after how many pieces the next buy little, or text leaves too many unused; 0 if none are worth it."""
        most = max(self.saved.values(), default=0.0)
        if most < _WORTH:
            return 0
        enough = next(size for size, share in self.saved.items() if share >= _MOST_OF_THE_GAIN * most)
        return min(enough, max(self.unused[enough].advised, self.fewest))


def learn_from(base: BpeTokenizer, lines: Sequence[str], source: Sequence[str], wish: LearnRequest) -> NewPieces:
    """Learn pieces from lines, beside the source language's where they share their letters."""
    if not shares_letters(wish.language, wish.source):
        return learn_new_pieces(base, lines, wish)
    return learn_beside_source(base, BothTexts(lines, source), wish, lambda new: new)


def _advice(tried: _Tried, advised: int) -> Finding:
    """Return the number of pieces after which the next step buys little, or that none are worth it."""
    most = max(tried.saved.values(), default=0.0)
    if not advised:
        says = (
            f"the largest extension makes text only {most:.0%} shorter: not worth new rows. Train "
            "with the tokenizer as it is"
        )
        return Finding(_SECTION, HOW_MANY, "ok", says, _KEEP, {"num_new_pieces": 0})
    share, learned = tried.saved[advised] / most, f"learned from {tried.num_characters:,} characters"
    setting = settings(tokenizer={"extension": {"kind": "learned", "num_new_pieces": advised}})
    says = f"{advised:,} give {share:.0%} of the gain of the largest, {learned}"
    is_limited = advised < min(size for size, saved in tried.saved.items() if saved >= _MOST_OF_THE_GAIN * most)
    if is_limited:
        says += ". Of more pieces, this text leaves too many unused: give more text for more pieces"
    return Finding(_SECTION, HOW_MANY, "attention" if is_limited else "ok", says, setting, {"num_new_pieces": advised})


def _num_tokens(tokenizer: BpeTokenizer, lines: list[str]) -> int:
    return sum(map(len, tokenizer.encode_lines(lines)))
