"""What went wrong with an answer, by rules that a person can check: docs/diagnostics.md tells them in words.

An answer may have several failures. The thresholds were set on hand-made cases
(tests/tasks/diagnostics_cases.tsv), not on any system's score.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import regex

from crosstune.languages.identify import has_shared_script, is_in_script, may_be
from crosstune.languages.registry import language
from crosstune.languages.writing_systems import own_letters, script_share, target_script_ratio
from crosstune.tasks.answers.fidelity import judged_lines
from crosstune.tasks.third_language import has_third_language

EMPTY = "empty"
COPIED = "source copied"
LANGUAGE = "wrong language"
PARTIAL = "partly untranslated"
MIXED = "mixed language"
LOOP = "repetition"
NO_STOP = "no stop"
ECHO = "prompt echo"
EXTRA = "extra text"
FAILURES = (EMPTY, COPIED, LANGUAGE, PARTIAL, MIXED, LOOP, NO_STOP, ECHO, EXTRA)

# A run of so much of the source, in characters, is a copy; names and numbers are shorter.
_COPIED_SHARE, _COPIED_CHARACTERS, _SHORTEST_SOURCE = 0.5, 12, 4
# The identifier errs on shorter texts. A character of a script without spaces says as much as half a word.
_IDENTIFIED_LETTERS, _IDENTIFIED_CHARACTERS = 25, 10
_LOOP_CHARACTERS = 16
# The share of word trigrams that stood there before (seq-rep-n of Welleck et al. 2020), and the words it takes to tell.
_REPEATED_TRIGRAMS, _REPEATED_WORDS = 0.35, 10
# Longer than the reference by so much.
_EXTRA_FACTOR, _EXTRA_CHARACTERS = 2.5, 25
_ECHO_SHARE, _ECHO_CHARACTERS = 0.5, 15

_MARKERS = re.compile(
    r"###\s*(?:Instruction|Input|Response|명령어|입력|응답)|Below is an instruction that", re.IGNORECASE
)
_REMARK = re.compile(
    r"(?:^|[(\[])\W*"
    r"(?:(?:note|translation|explanation|answer|translator's note|here is|참고|번역|설명|해설|답변|다음은)\b|sure[,!])"
    r".{0,60}[:：]",
    re.IGNORECASE | re.MULTILINE,
)
# Four times, and three times where it is longer than a word.
_LOOP_UNITS = regex.compile(r"(.{1,5}?)\1{3,}|(.{6,60}?)\2{2,}")
# Laughter, tears, lines and dots are written so on purpose.
_MEANT = re.compile(r"[\s\W\d_ㅋㅎㅠㅜ하히호]*|(?:h[ae]h?)+|(?:[ae]h)+|(?:la)+|(?:no )+", re.IGNORECASE)
_LOWERCASE_WORD = re.compile(r"(?<![A-Za-z0-9_.@/-])[a-z]{3,}(?![A-Za-z0-9_@/]|\.[a-z])")
_LETTERS = regex.compile(r"\p{L}")
_LETTER_OR_DIGIT = regex.compile(r"[\p{L}\p{N}]")


@dataclass(frozen=True)
class Expectation:
    """What an answer is judged by.

    Attributes:
        source: the text that was to be translated, or asked about.
        reference: a right translation; empty where none is known, and then nothing counts as extra.
        instruction: the words that asked.
        source_language: of a translation; empty for other tasks.
        target_language: of a translation.
        answer_language: that an answer should be in; empty where that is not known, and then only rules that know no
            language judge it. A translation's is its target.
    """

    source: str
    reference: str
    instruction: str
    source_language: str = ""
    target_language: str = ""
    answer_language: str = ""

    @property
    def language(self) -> str:
        """The language that the answer should be in; empty where that is not known."""
        return self.target_language or self.answer_language


def failures(output: str, asked: Expectation, finished: bool) -> tuple[str, ...]:
    """Return what is wrong with an answer; ``finished`` tells whether it stopped by itself."""
    return tuple(_failures(output.strip(), asked, finished))


def _failures(output: str, asked: Expectation, finished: bool) -> Iterable[str]:
    has_words = bool(_LETTER_OR_DIGIT.search(output))
    if not has_words:
        # Dots are a right translation of dots.
        if not asked.reference.strip() or _LETTER_OR_DIGIT.search(asked.reference):
            yield EMPTY
    elif asked.language:
        yield from _failures_of_language(output, asked)
    if _is_loop(output, asked):
        yield LOOP
    if not finished:
        yield NO_STOP
    if _is_echo(output, asked):
        yield ECHO
    elif has_words and _has_extra(output, asked):
        yield EXTRA


def _failures_of_language(output: str, asked: Expectation) -> Iterable[str]:
    if asked.target_language and _is_copied(output, asked):
        yield COPIED
    if _is_wrong_language(output, asked):
        yield LANGUAGE
        return
    if asked.target_language and _is_partial(output, asked):
        yield PARTIAL
    languages = (asked.language, asked.source_language) if asked.source_language else (asked.language,)
    if has_third_language(output, languages, f"{asked.source}\n{asked.reference}\n{asked.instruction}"):
        yield MIXED


def _is_copied(output: str, asked: Expectation) -> bool:
    """Return whether a long run of the source stands in the output, and not in the reference."""
    if len(_plain(asked.source)) < _SHORTEST_SOURCE:
        return False
    return _has_run_of(output, asked.source, (asked.reference,), _COPIED_SHARE, _COPIED_CHARACTERS)


def _has_run_of(output: str, other: str, allowed: tuple[str, ...], min_share: float, min_characters: int) -> bool:
    """Return whether a run of another text, of a share and of some characters of it, stands in the output.

    What is shorter than so many characters must stand there whole; runs of the ``allowed`` texts do not count.
    """
    ours, theirs, right = _plain(output), _plain(other), [_plain(text) for text in allowed]
    wanted = min(len(theirs), max(min_characters, round(min_share * len(theirs))))
    runs = (theirs[first : first + wanted] for first in range(len(theirs) - wanted + 1) if wanted)
    return any(run in ours and not any(run in text for text in right) for run in runs)


def _is_wrong_language(output: str, asked: Expectation) -> bool:
    """Return whether an answer is in another language; what is true of the reference, too, counts for nothing."""
    letters = "".join(_LETTERS.findall(output))
    if not letters or (not asked.reference and _may_be_a_name(output, letters, asked)):
        return False
    if not is_in_script(output, asked.language):
        # An answer that is right may be all names, numbers or code.
        return is_in_script(asked.reference, asked.language)
    # Latin is the script of many languages, and so are Cyrillic, Arabic, Devanagari and Chinese characters.
    least = _IDENTIFIED_LETTERS if language(asked.language).is_spaced else _IDENTIFIED_CHARACTERS
    if not has_shared_script(asked.language) or len(letters) < least:
        return False
    # Words of other scripts, names and loanwords mislead the identifier. Where they do so in the reference, too,
    # it is not heard.
    is_known = not asked.reference or may_be(asked.reference, asked.language)
    return is_known and not may_be(own_letters(output, asked.language), asked.language)


def _may_be_a_name(output: str, letters: str, asked: Expectation) -> bool:
    """Return whether an answer is so short that it may be a name, in Latin letters or in letters of the question."""
    if len(letters) >= _IDENTIFIED_LETTERS or judged_lines(output, asked.language):
        return False
    given = {letter for letter in letters if script_share(letter, "en") == 1} | {*asked.source}
    return all(letter in given or target_script_ratio(letter, asked.language) == 1 for letter in letters)


def _is_partial(output: str, asked: Expectation) -> bool:
    """Return whether words of the source's language stand in the translation.

    From Latin script: words in small letters that the source has, too, and the reference has not. Into Latin script:
    letters of the source's script.
    """
    if script_share("a", asked.source_language) == 1 and script_share("a", asked.target_language) == 0:
        known = set(_LOWERCASE_WORD.findall(asked.source)) - set(_LOWERCASE_WORD.findall(asked.reference))
        return any(word in known for word in _LOWERCASE_WORD.findall(output))
    if script_share("a", asked.source_language) == 0 and script_share("a", asked.target_language) == 1:
        foreign = {letter for letter in _LETTERS.findall(output) if script_share(letter, asked.source_language) == 1}
        own = {letter for letter in foreign if script_share(letter, asked.target_language) == 1}  # ʼ is of both.
        return bool(foreign - own - set(asked.reference))
    return False


def _is_loop(output: str, asked: Expectation) -> bool:
    """Return whether something is said over and over without a break, not on purpose, nor in source or reference."""
    text = f"{_plain(output)} "
    given = [f"{_plain(right)} " for right in (asked.source, asked.reference)]
    for match in _LOOP_UNITS.finditer(text):
        unit, whole = match.group(1) or match.group(2), match.group()
        is_given = any(whole in right for right in given)
        if len(whole) >= _LOOP_CHARACTERS and not _MEANT.fullmatch(unit) and not is_given:
            return True
    words = output.split()
    # A single word may be short: "것 것 것 것 것 것".
    runs = (words[first : first + 6] for first in range(len(words) - 5))
    same = (run for run in runs if len({*run}) == 1 and not _MEANT.fullmatch(run[0]))
    if any(not any(_plain(" ".join(run)) in right for right in given) for run in same):
        return True
    # Sentences that come back in turn: "A. B. A. C. B. A."
    share = max(map(_repeated_trigrams, given))
    is_long = len(text.split()) >= _REPEATED_WORDS and not all(map(_MEANT.fullmatch, words))
    return is_long and _repeated_trigrams(text) > max(_REPEATED_TRIGRAMS, share)


def _repeated_trigrams(text: str) -> float:
    words = text.split()
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len({*trigrams}) / len(trigrams) if trigrams else 0.0


def _is_echo(output: str, asked: Expectation) -> bool:
    if _MARKERS.search(output) and not (_MARKERS.search(asked.source) or _MARKERS.search(asked.reference)):
        return True
    return _has_run_of(output, asked.instruction, (asked.source, asked.reference), _ECHO_SHARE, _ECHO_CHARACTERS)


def _has_extra(output: str, asked: Expectation) -> bool:
    """Return whether more stands there than was asked for: further lines, remarks, or far more text."""
    if not asked.reference:
        return False
    if not asked.target_language:
        return len([line for line in output.split("\n") if line.strip()]) > 1
    if len(_lines(output)) > max(len(_lines(asked.source)), len(_lines(asked.reference))):
        return True
    if _REMARK.search(output) and not _REMARK.search(asked.source) and not _REMARK.search(asked.reference):
        return True
    return len(output) > _EXTRA_FACTOR * len(asked.reference) + _EXTRA_CHARACTERS and not _is_loop(output, asked)


def _lines(text: str) -> list[str]:
    return [line for line in text.strip().split("\n") if line.strip()]


def _plain(text: str) -> str:
    """Return what two texts share that say the same in other capitals, spaces and stops."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()
