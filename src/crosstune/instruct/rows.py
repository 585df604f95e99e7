"""What becomes of one row: its texts translated and translated back, and why it is kept or dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex
from sacrebleu.metrics import CHRF

from crosstune.instruct.translators import Translation, Translator
from crosstune.prompts.conversation import turns_of
from crosstune.tasks.diagnostics import Expectation, failures

FIELDS = ("instruction", "input", "output")
_LETTER = regex.compile(r"\p{L}")


@dataclass(frozen=True)
class TranslatedRow:
    """An instruction with its input and output.

    Attributes:
        texts: the original, by field.
        translations: of the fields; one without letters, as a number, stays as it is.
        back: the translations, translated back.
    """

    origin: str
    texts: Mapping[str, str]
    translations: Mapping[str, Translation]
    back: Mapping[str, Translation]

    def as_json(self) -> dict[str, Any]:
        """Return what a log keeps of it, and files of dropped rows show."""
        return {
            "origin": self.origin,
            "original": dict(self.texts),
            "translation": {field: [one.text, one.finished] for field, one in self.translations.items()},
            "back": {field: [one.text, one.finished] for field, one in self.back.items()},
        }

    @classmethod
    def of_json(cls, row: Mapping[str, Any]) -> "TranslatedRow":
        """Return a row that a log kept."""
        sides = ({field: Translation(*one) for field, one in row[side].items()} for side in ("translation", "back"))
        translations, back = sides
        return cls(row["origin"], row["original"], translations, back)

    def kept(self) -> dict[str, Any]:
        """Return the row in the target language, as a source of a recipe reads it, and where it comes from."""
        whole = self.as_json()
        texts = {field: self.translations[field].text for field in FIELDS}
        return {**texts, "origin": self.origin, "original": whole["original"], "back": whole["back"]}

    @classmethod
    def of_kept(cls, row: Mapping[str, Any]) -> "TranslatedRow":
        """Return a row that was kept; each of its translations ended."""
        translations = {field: [row[field], True] for field in FIELDS}
        return cls.of_json({**row, "translation": translations})

    def round_trip(self) -> tuple[float, str]:
        """Return how much of the original comes back: chrF of its worst text, from 0 to 100, and which one it is."""
        chrf = CHRF()
        texts = [field for field in FIELDS if _has_letters(self.texts[field])]
        scores = [(chrf.sentence_score(self.back[field].text, [self.texts[field]]).score, field) for field in texts]
        return min(scores, default=(100.0, ""))

    def problem(self, languages: tuple[str, str], min_chrf: float) -> str:
        """Return why the row is dropped: a failure of one of its translations, or a round trip that loses too much.

        One with a system prompt or earlier turns is no single question: as one text, it would lose who said what.
        """
        if _has_turns(self.texts):
            return "system prompt or earlier turns"
        if not any(_has_letters(self.texts[field]) for field in ("instruction", "output")):
            return "nothing to translate"
        source, target = languages
        for field in FIELDS:
            text, translation = self.texts[field], self.translations[field]
            if not _has_letters(text):
                continue
            asked = Expectation(text, "", "", source, target, target)
            if found := failures(translation.text, asked, translation.finished):
                return f"{field}: {found[0]}"
        score, field = self.round_trip()
        return f"{field}: round trip below chrF {min_chrf:g}" if score < min_chrf else ""


def translate_rows(
    rows: Sequence[tuple[str, Mapping[str, str]]], translator: Translator, languages: tuple[str, str]
) -> list[TranslatedRow]:
    """Translate rows, given as origin and texts, there and back; those that are dropped anyway stay as they are."""
    source, target = languages
    texts = [{field: row.get(field, "") for field in FIELDS} for _, row in rows]
    there = _translate(texts, translator, f"{source}-{target}")
    back = _translate(
        [{field: one.text for field, one in row.items()} for row in there], translator, f"{target}-{source}"
    )
    return [
        TranslatedRow(origin, original, forward, backward)
        for (origin, _), original, forward, backward in zip(rows, texts, there, back, strict=True)
    ]


def _translate(
    rows: Sequence[Mapping[str, str]], translator: Translator, direction: str
) -> list[dict[str, Translation]]:
    places = [
        (number, field)
        for number, row in enumerate(rows)
        for field in FIELDS
        if _has_letters(row[field]) and not _has_turns(row)
    ]
    found = translator.translate([rows[number][field] for number, field in places], direction) if places else []
    translated = [{field: Translation(row[field]) for field in FIELDS} for row in rows]
    for (number, field), translation in zip(places, found, strict=True):
        translated[number][field] = translation
    return translated


def _has_turns(texts: Mapping[str, str]) -> bool:
    return bool(turns_of(texts["input"])[1])


def _has_letters(text: str) -> bool:
    return bool(_LETTER.search(text))
