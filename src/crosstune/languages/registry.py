"""What is known of a language by its code: scripts, spaces, names, and how its text is counted. The only place for it.

The facts are Unicode's: CLDR (through babel) says which script a language is written in and what it is called, the
Unicode Character Database (through regex) which characters a script has.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import regex
from babel import Locale
from babel.core import UnknownLocaleError, get_global

from crosstune.errors import BadInputError

# A language, perhaps its script, perhaps its region, as BCP 47 writes them: ko, ckb, zh-TW, sr-Latn. Upper and lower
# case tell where the second code of a direction begins: en-pt-BR is English to Brazilian Portuguese.
CODE = r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?"
_CODE = re.compile(CODE)
_DIRECTION = re.compile(f"({CODE})-({CODE})")

# ISO 15924 has codes for writing systems of several scripts, and for styles of one.
_MIXED = {"Kore": ("Hang", "Hani"), "Jpan": ("Hira", "Kana", "Hani"), "Hrkt": ("Hira", "Kana"), "Aran": ("Arab",)}
_MIXED |= {"Hans": ("Hani",), "Hant": ("Hani",), "Hanb": ("Hani", "Bopo"), "Latf": ("Latn",), "Latg": ("Latn",)}
# Written forms of a language that has a code of its own.
_PART_OF = {"nb": "no", "nn": "no"}
# Korean texts hold Chinese characters, but few.
_BORROWED = {"Kore": ("Hani",)}
# Scripts that put no space between words (Unicode's line break classes SA and ID, and Tibetan).
UNSPACED = ("Hani", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tale", "Talu", "Lana", "Tavt", "Tibt", "Bopo")
# Scripts with capital letters that are in everyday use.
_CASED = {"Latn", "Cyrl", "Grek", "Armn", "Copt", "Adlm", "Cher", "Osge", "Glag", "Dsrt"}
# Common, inherited, unknown: what Unicode calls scripts, and no language is written in.
_NO_SCRIPTS = ("Zyyy", "Zinh", "Zzzz")
# sacreBLEU's tokenizers for words that its default, 13a, cannot see; flores200 for other scripts without spaces.
_BLEU_TOKENIZERS = {"Kore": "ko-mecab", "Hang": "ko-mecab", "Jpan": "ja-mecab", "Hrkt": "ja-mecab", "Hira": "ja-mecab"}
_BLEU_TOKENIZERS |= {"Hans": "zh", "Hant": "zh", "Hani": "zh", "Hanb": "zh"}


@dataclass(frozen=True)
class Language:
    """A language, as far as crosstune has to know it.

    Attributes:
        code: its shortest usual code: ``ko`` for ``kor`` and ``kor_Hang``, ``zh-TW`` for ``zh-TW``.
        scripts: Unicode's four-letter names of the scripts that its texts hold.
        own_scripts: those without a script that it only borrows from.
        is_spaced: whether spaces stand between its words.
        has_case: whether it has capital letters.
        bleu_tokenizer: sacreBLEU's name of the tokenizer that finds its words.
        ngram_unit: what a stretch of its text is counted in.
    """

    code: str
    scripts: tuple[str, ...]
    own_scripts: tuple[str, ...]
    is_spaced: bool
    has_case: bool
    bleu_tokenizer: str
    ngram_unit: Literal["word", "character"]


@cache
def language(code: str) -> Language:
    """Return what is known of a language; any of its codes will do, in BCP 47's or FLORES-200's spelling.

    Raises:
        BadInputError: for a code that names no language, or one whose script nobody knows.
    """
    short = canonical(code)
    writing = _writing_of(short)
    scripts, own = _MIXED.get(writing, (writing,)), _own_scripts(writing)
    if unknown := [script for script in scripts if not _has_letters(script)]:
        raise BadInputError(
            f"{code!r} names the script {unknown[0]!r}, and Unicode has no script of that name with letters. Give its "
            f"ISO 15924 code: Latn, Cyrl, Arab, Deva."
        )
    is_spaced, has_case = not set(own).intersection(UNSPACED), not _CASED.isdisjoint(own)
    bleu = _BLEU_TOKENIZERS.get(writing, "13a" if is_spaced else "flores200")
    return Language(short, scripts, own, is_spaced, has_case, bleu, "word" if is_spaced else "character")


def _has_letters(script: str) -> bool:
    try:
        return script not in _NO_SCRIPTS and bool(regex.compile(rf"\p{{Script={script}}}"))
    except regex.error:
        return False


@cache
def canonical(code: str) -> str:
    """Return the shortest usual code of a language: ``ko`` for ``kor`` and ``kor_Hang``, ``zh-Hant`` for ``zho_Hant``.

    Raises:
        BadInputError: for a code that names no language, with the spelling that would, where case is all that is wrong.
    """
    tag = code.replace("_", "-")
    if not _CODE.fullmatch(tag):
        raise BadInputError(_spelling_problem(code, tag))
    first, *rest = tag.split("-")
    renamed = str(get_global("language_aliases").get(first, first)).split("_")
    short = "-".join([renamed[0], *(rest or renamed[1:])])
    script = next((part for part in rest if len(part) == 4), "")
    if not script and renamed[0] not in _likely() and renamed[0] not in Locale("en").languages:
        raise BadInputError(
            f"{code!r} is not a language code of Unicode's CLDR. Give its ISO 639-1 or "
            f"639-3 code (ko, ckb, fil), with a region or script where it needs one (pt-BR, sr-Latn); for a language "
            f"that CLDR does not know, name its script (ISO 15924): {tag}-Latn."
        )
    without = "-".join(part for part in short.split("-") if part != script)
    likely = _likely_script(without)
    # FLORES-200 says kor_Hang where Unicode says Kore.
    is_usual = script and likely and script in (likely, *_own_scripts(likely))
    return without if is_usual else short


def usual_code(written: str) -> str:
    """Return a language's usual code; what is no code stays as it is, for others to refuse."""
    try:
        return canonical(written)
    except BadInputError:
        return written


def _spelling_problem(code: str, tag: str) -> str:
    parts = tag.split("-")
    spelt = "-".join(
        [parts[0].lower(), *(part.title() if len(part) == 4 else part.upper() for part in parts[1:] if part)]
    )
    remedy = f"Write {spelt}" if _CODE.fullmatch(spelt) else "Write one such as ko, ckb, fil, zh-TW, sr-Latn or pt-BR"
    return (
        f"{code!r} is not a language code (BCP 47): two or three lower-case letters, then the script if "
        f"needed (Latn), then the region (BR). {remedy}."
    )


def _own_scripts(writing: str) -> tuple[str, ...]:
    return tuple(script for script in _MIXED.get(writing, (writing,)) if script not in _BORROWED.get(writing, ()))


def _likely() -> Mapping[str, str]:
    likely: Mapping[str, str] = get_global("likely_subtags")
    return likely


def _likely_script(tag: str) -> str | None:
    found = _likely().get(tag.replace("-", "_")) or _likely().get(tag.split("-")[0])
    return found.split("_")[1] if found else None


def _writing_of(tag: str) -> str:
    """Return the ISO 15924 code of what a language is written in."""
    named = next((part for part in tag.split("-")[1:] if len(part) == 4), None) or _likely_script(tag)
    if named is None:
        raise BadInputError(
            f"{tag!r} is a language whose script Unicode's CLDR does not know. Add the script (ISO 15924): "
            f"{tag}-Latn, {tag}-Cyrl."
        )
    return named


@cache
def codes_of(code: str) -> frozenset[str]:
    """Return the codes that mean a language, its own among them: ko, kor, kor_Hang."""
    aliases = (alias for alias, usual in get_global("language_aliases").items() if usual == code)
    plain = {code, *aliases}
    scripts = {_writing_of(code), *language(code).own_scripts}
    long = (f"{one}_{script}" for one in plain if len(one) == 3 for script in scripts)
    return frozenset({*plain, *long})


@cache
def split_direction(direction: str) -> tuple[str, str]:
    """Return source and target of a direction: (``en``, ``pt-BR``) of ``en-pt-BR``.

    Raises:
        BadInputError: when it is none.
    """
    match = _DIRECTION.fullmatch(direction.replace("_", "-"))
    if match is None:
        raise BadInputError(
            f"{direction!r} is not a translation direction: write two language codes with a hyphen, such as en-ko, "
            f"en-zh-TW or pt-BR-en."
        )
    return canonical(match[1]), canonical(match[2])


def is_in(declared: str, wanted: str) -> bool:
    """Return whether a text that a file says is in one language will do for another: ``KO-KR`` for ``ko``.

    Codes are compared without regard to case; a region counts only where both name one, a script always.
    """
    parts = declared.replace("_", "-").split("-")
    tag = "-".join([parts[0].lower(), *(part.title() if len(part) == 4 else part.upper() for part in parts[1:])])
    if not _CODE.fullmatch(tag):
        return False
    try:
        one, other = language(tag), language(wanted)
    except BadInputError:
        return False
    regions = {part for code in (one.code, other.code) for part in code.split("-")[1:] if len(part) != 4}
    first, second = (code.split("-")[0] for code in (one.code, other.code))
    is_same = second in (first, _PART_OF.get(first)) and one.scripts == other.scripts
    return is_same and _writing_of(one.code) == _writing_of(other.code) and len(regions) < 2


@cache
def shares_letters(first: str, second: str) -> bool:
    """Return whether every script of the first language is one that the second uses, too."""
    return set(language(first).own_scripts) <= set(language(second).scripts)


def language_name(code: str, asked_in: str) -> str:
    """Return a language's name in another: as CLDR has it, else its English name, else its code."""
    return language_names(asked_in).get(code) or language_names("en").get(code) or code


@cache
def language_names(asked_in: str) -> Mapping[str, str]:
    """Return the languages' names in one language, by any of their codes; it lists those of two letters."""
    return _Names(asked_in)


class _Names(Mapping[str, str]):
    """CLDR's names in one language, without remarks in brackets but those that tell two languages apart.

    As Chinese in two scripts, regions of Portuguese, or Bokmål and Nynorsk, which in Korean have one name before them.
    """

    def __init__(self, asked_in: str) -> None:
        try:
            self._locale: Locale | None = Locale.parse(canonical(asked_in), sep="-")
        except (UnknownLocaleError, BadInputError):
            self._locale = None
        listed = self._locale.languages if self._locale else {}
        self._codes = [code for code in listed if len(code) == 2]
        self._num_named = Counter(map(_without_remark, listed.values()))

    def __getitem__(self, code: str) -> str:
        if self._locale is None:
            raise KeyError(code)
        try:
            tag = canonical(code).replace("-", "_")
        except BadInputError:
            raise KeyError(code) from None
        # CLDR may keep an old code's name (tl) and not the new one's, or the other way round.
        plain = self._locale.languages.get(tag) or self._locale.languages.get(code)
        if plain is not None:
            short = _without_remark(str(plain))
            return short if "_" not in tag and self._num_named[short] < 2 else str(plain)
        if "_" not in tag or tag.split("_")[0] not in self._locale.languages:
            raise KeyError(code)
        try:
            name: str | None = Locale.parse(tag).get_display_name(self._locale)
        except UnknownLocaleError:
            # CLDR names the language, and describes nothing in it: Acehnese in Arabic letters.
            first, *parts = tag.split("_")
            told = (self._locale.scripts.get(part) or self._locale.territories.get(part) or part for part in parts)
            name = f"{self._locale.languages[first]} ({', '.join(told)})"
        if not name:
            raise KeyError(code)
        return name

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


def _without_remark(name: str) -> str:
    return name.partition("(")[0].strip()
