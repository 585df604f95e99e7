"""A branch of the pre-tokenizer for the target's words, so that the base's own does not part them at their marks.

GPT-2's regular expression and its children (LLaMA-3, Qwen, SmolLM2) know words as runs of ``\\p{L}``. The vowel signs
of Hindi, Thai or Khmer are ``\\p{M}``: each of them ends a word, no piece reaches across it, and a word of Hindi takes
three tokens however many pieces are learnt.
"""

from collections.abc import Iterator
from typing import Any

import regex

from crosstune.errors import BadInputError
from crosstune.languages import characters
from crosstune.terminal.output import note
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.pre_tokens import PreTokens

# https://github.com/openai/gpt-2/blob/master/src/encoder.py; what `use_regex` of a ByteLevel pre-tokenizer stands for.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_TRIED_LETTERS = 500
# Fewer are rare marks, which no everyday word has: three of Amharic's letters, two of the tens of thousands of Chinese.
_FEW_LETTERS = 0.05
_SPACES = [space for space in regex.findall(r"\p{White_Space}", "".join(map(chr, range(0x3001)))) if space != " "]
_SETTING = "tokenizer.extension.keep_words_whole"


def with_whole_words(base: BpeTokenizer, target: str, source: str) -> BpeTokenizer:
    """Return a tokenizer whose pre-tokenizer keeps runs of the target's letters whole, and nothing else changes.

    A split takes such runs out first; then each of the base's own expressions gets them as its first alternative. In
    text without a target letter neither ever matches. What the base cuts off before a letter, such as the last of
    several line ends, is cut off by the split, too: behind it no letter is seen anymore.

    Raises:
        BadInputError: when the base has a pre-tokenizer that cannot be given a branch.
    """
    letters = characters.letters_of(target, source)
    tried = tried_words(target, source)
    parted = _parts(base, tried)
    if len(parted) < _FEW_LETTERS * len(tried):
        at = f"at {len(parted):,} of the {len(tried):,} letters only" if parted else "at no letter"
        note(f"{_SETTING}: the base's pre-tokenizer splits words of {target!r} {at}, so nothing changes")
        return base
    word = f" ?{characters.word_of(letters)}"
    apart = "".join(_cut_off_before(base, tried[0][1]))
    first = f"{word}|[{apart}](?=[{letters}])" if apart else word
    steps = [_split(first), *(changed for step in _steps(base) for changed in _with_branch(step, word))]
    changed = BpeTokenizer(base.content | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}})
    still = _parts(changed, tried)
    if still:
        _refuse(f"would still part words such as {still[0]!r}", base)
    note(
        f"{_SETTING}: the pre-tokenizer has a branch for words of {target!r}; without it, {len(parted):,} of the "
        f"{len(tried):,} letters end a word, such as {parted[len(parted) // 4][2]!r}"
    )
    return changed


def has_branch(content: dict[str, Any]) -> bool:
    """Return whether a ``tokenizer.json`` has such a branch."""
    steps = (content.get("pre_tokenizer") or {}).get("pretokenizers", [])
    first, *others = [step["pattern"].get("Regex", "") for step in steps if step["type"] == "Split"] or [""]
    word = first.partition("|")[0]
    return characters.JOINERS in word and any(other.startswith(f"{word}|") for other in others)


def tried_words(target: str, source: str) -> list[str]:
    """Return words that hold each letter of a language, a mark or not, between two plain ones."""
    letters = characters.every_letter(target, source)
    plain = next(letter for letter in letters if letter.isalpha())
    chosen = letters[:: max(1, len(letters) // _TRIED_LETTERS)]
    return [f" {plain}{letter}{plain}" for letter in chosen]


def _cut_off_before(base: BpeTokenizer, letter: str) -> list[str]:
    """Return the kinds of white space of which the base parts the last one from others before it where a letter comes.

    GPT-2's expression does so with all of them, LLaMA-3's not with line ends. The space itself goes with the word.
    """
    parted = {space: base.tokenizer.pre_tokenizer.pre_tokenize_str(f"a{space}{space}{letter}") for space in _SPACES}
    return [space for space, parts in parted.items() if any(start == 2 for _, (start, _) in parts)]


def _parts(tokenizer: BpeTokenizer, words: list[str]) -> list[str]:
    pre_tokens = PreTokens(tokenizer)
    return [word for word in words if len(pre_tokens.of(word)) > 1]


def _steps(base: BpeTokenizer) -> list[dict[str, Any]]:
    whole: dict[str, Any] = base.content["pre_tokenizer"]
    return list(whole["pretokenizers"]) if whole["type"] == "Sequence" else [whole]


def _with_branch(step: dict[str, Any], word: str) -> Iterator[dict[str, Any]]:
    if step["type"] == "ByteLevel":
        if step.get("add_prefix_space"):
            raise BadInputError(
                f"{_SETTING}: the base's pre-tokenizer puts a space before each part (`add_prefix_space`), so words "
                f"would get extra spaces. Remove the setting."
            )
        if step.get("use_regex", True):
            yield _split(f"{word}|{_GPT2}")
        yield step | {"use_regex": False}
    elif step["type"] == "Split" and "Regex" in step["pattern"]:
        # What is not matched is removed: a way of saying the same, where the expression matches everything.
        is_inverted = step["behavior"] == "Removed" and step.get("invert")
        if step["behavior"] == "Isolated" or is_inverted:
            yield step | {"pattern": {"Regex": f"{word}|{step['pattern']['Regex']}"}}
        else:
            yield step
    else:
        yield step


def _split(expression: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def _refuse(reason: str, base: BpeTokenizer) -> None:
    kinds = [step["type"] for step in _steps(base)]
    raise BadInputError(
        f"{_SETTING}: the base's pre-tokenizer ({', '.join(kinds)}) {reason}. Splits by "
        "a regular expression that are `Isolated`, or `Removed` and inverted, and ByteLevel, can be given one. Remove "
        "the setting."
    )
