"""Under which names lm-evaluation-harness has a benchmark, so that the tasks of a language are found in one place."""

from dataclasses import dataclass

from crosstune.languages.registry import codes_of, language_name


@dataclass(frozen=True)
class InHarness:
    """A benchmark in lm-evaluation-harness: a task, or a group of tasks, in each of its languages.

    Attributes:
        name: what the harness calls it. ``{language}`` stands for the language's usual code, as ``ko``, ``{iso3}`` for
            one of three letters, ``{name}`` for its English name, as ``korean``.
        languages: those in which the harness has it.
        other: what the harness writes for a language that it calls otherwise.
    """

    name: str
    languages: tuple[str, ...]
    other: tuple[tuple[str, str], ...] = ()

    def name_in(self, language: str) -> str:
        """Return what the harness calls it in a language."""
        before, place, after = self.name.partition("{")
        if not place:
            return self.name
        kind, _, after = after.partition("}")
        return before + (dict(self.other).get(language) or _written(kind, language)) + after


def _written(kind: str, language: str) -> str:
    if kind == "name":
        return language_name(language, "en").lower().replace(" ", "_")
    if kind == "iso3":
        return next((code for code in sorted(codes_of(language)) if len(code) == 3), language)
    return language


def otherwise(pairs: str) -> tuple[tuple[str, str], ...]:
    """Return what stands in a text such as ``de:deu el:ell``."""
    return tuple((code, name) for code, _, name in (pair.partition(":") for pair in pairs.split()))


@dataclass(frozen=True)
class OnlyInHarness:
    """A benchmark whose files crosstune does not read itself."""

    name: str
    title: str
    in_harness: InHarness


def _only(name: str, title: str, pattern: str, languages: str, other: str = "") -> OnlyInHarness:
    return OnlyInHarness(name, title, InHarness(pattern, tuple(languages.split()), otherwise(other)))


# The translations of the Okapi project (Lai et al. 2023), in all of which a benchmark of English was translated.
_OKAPI = "ar bn ca da de es eu fr gu hi hr hu hy id it kn ml mr ne nl pt ro ru sk sr sv ta te uk vi"

ONLY_IN_HARNESS = (
    _only("arc", "ARC challenge", "arc_{language}", f"en {_OKAPI} zh", "en:challenge"),
    _only("arc_easy", "ARC easy", "arc_easy", "en"),
    _only("boolq", "BoolQ", "boolq", "en"),
    _only("hellaswag_okapi", "HellaSwag, translated", "hellaswag_{language}", _OKAPI),
    _only("kormedmcqa", "KorMedMCQA", "kormedmcqa", "ko"),
    _only("mmlu", "MMLU", "mmlu", "en"),
    _only("mmlu_okapi", "MMLU, translated", "m_mmlu_{language}", f"{_OKAPI} is nb zh"),
    _only("openbookqa", "OpenBookQA", "openbookqa", "en"),
    _only("piqa", "PIQA", "piqa", "en"),
    _only("sciq", "SciQ", "sciq", "en"),
    _only("winogrande", "WinoGrande", "winogrande", "en"),
    _only("xcopa", "XCOPA", "xcopa_{language}", "et eu ht id it qu sw ta th tr vi zh"),
    _only("xnli", "XNLI", "xnli_{language}", "ar bg ca de el en es eu fr gl hi ru sw th tr ur vi zh"),
    _only("xstorycloze", "XStoryCloze", "xstorycloze_{language}", "ar ca en es eu gl hi id my ru sw te zh"),
    _only("xwinograd", "XWinograd", "xwinograd_{language}", "en fr ja pt ru zh", "ja:jp"),
)
