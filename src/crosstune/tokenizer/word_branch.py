"""A branch of the pre-tokenizer for the target's words, so that the base's own does not part them at their marks.

GPT-2's regular expression and its children (LLaMA-3, Qwen, SmolLM2) know words as runs of ``\\p{L}``. The vowel signs
of Hindi, Thai or Khmer are ``\\p{M}``: each of them ends a word, no piece reaches across it, and a word of Hindi takes
three tokens however many pieces are learnt.
"""

from collections.abc import Iterator
from typing import Any

from crosstune.errors import BadInputError
from crosstune.languages import characters
from crosstune.terminal import note
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.pre_tokens import PreTokens

# https://github.com/openai/gpt-2/blob/master/src/encoder.py; what `use_regex` of a ByteLevel pre-tokenizer stands for.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_TRIED_LETTERS = 500
_SETTING = "tokenizer.extension.keep_words_whole"


def with_whole_words(base: BpeTokenizer, target: str, source: str) -> BpeTokenizer:
    """Return a tokenizer whose pre-tokenizer keeps runs of the target's letters whole, and nothing else changes.

    A split takes such runs out first; then each of the base's own expressions gets them as its first alternative. In
    text without a target letter neither ever matches.

    Raises:
        BadInputError: when the base has a pre-tokenizer that cannot be given a branch.
    """
    letters = characters.letters_of(target, source)
    tried = tried_words(target, source)
    if not _parts(base, tried):
        note(f"{_SETTING}: the base's pre-tokenizer splits no word of {target!r}, so nothing changes")
        return base
    word = f" ?{characters.word_of(letters)}"
    steps = [_split(word), *(changed for step in _steps(base) for changed in _with_branch(step, word))]
    changed = BpeTokenizer(base.content | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}})
    parted = _parts(changed, tried)
    if parted:
        _refuse(f"would still part words such as {parted[0]!r}", base)
    note(f"{_SETTING}: the pre-tokenizer has a branch for words of {target!r}")
    return changed


def has_branch(content: dict[str, Any]) -> bool:
    """Return whether a ``tokenizer.json`` has such a branch."""
    steps = (content.get("pre_tokenizer") or {}).get("pretokenizers", [])
    expressions = [step["pattern"].get("Regex", "") for step in steps if step["type"] == "Split"]
    return len(expressions) > 1 and any(other.startswith(f"{expressions[0]}|") for other in expressions[1:])


def tried_words(target: str, source: str) -> list[str]:
    """Return words that hold each letter of a language, a mark or not, between two plain ones."""
    letters = characters.every_letter(target, source)
    plain = next(letter for letter in letters if letter.isalpha())
    chosen = letters[:: max(1, len(letters) // _TRIED_LETTERS)]
    return [f" {plain}{letter}{plain}" for letter in chosen]


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
        if step["behavior"] == "Isolated" and not step.get("invert"):
            yield _split(f"{word}|{step['pattern']['Regex']}")
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
        "a regular expression that are `Isolated`, and ByteLevel, can be given one. Remove the setting."
    )
