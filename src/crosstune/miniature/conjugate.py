"""Korean predicates in the forms that the miniature world uses."""

from dataclasses import dataclass
from typing import Literal

from crosstune.miniature.hangul import final_of, put_together, take_apart, with_final

# Vowel of the stem's end and of 아/어, contracted.
_CONTRACTED = {
    "ㅏ": "ㅏ",
    "ㅓ": "ㅓ",
    "ㅗ": "ㅘ",
    "ㅜ": "ㅝ",
    "ㅣ": "ㅕ",
    "ㅐ": "ㅐ",
    "ㅔ": "ㅔ",
    "ㅕ": "ㅕ",
    "ㅚ": "ㅙ",
}
_BRIGHT = ("ㅏ", "ㅑ", "ㅗ")


@dataclass(frozen=True)
class Predicate:
    """A verb, an adjective, or a noun with the copula.

    Attributes:
        stem: the dictionary form without 다.
        kind: decides the plain present: 먹는다, but 크다 and 감동적이다.
        irregular: the final that changes (ㅂ, ㄷ, ㅅ), if any; 르, ㄹ, ㅡ and 하다 follow from the stem.
        honorific: a stem of its own that stands for stem + 시, such as 드시.
    """

    stem: str
    kind: Literal["verb", "adjective", "copula"] = "verb"
    irregular: Literal["", "ㅂ", "ㄷ", "ㅅ"] = ""
    honorific: str = ""

    def raised(self) -> "Predicate":
        """Return the honorific predicate: 읽으시, 만드시, 드시."""
        return Predicate(self.honorific or self._before_vowel("으") + "시", self.kind)

    def infinitive(self) -> str:
        """Return the form with 아 or 어: 먹어, 가, 마셔, 도와, 골라, 해."""
        stem, last = self.stem, self.stem[-1]
        if last == "하":
            return stem[:-1] + "해"
        if self.irregular == "ㅂ":
            # 돕다 alone of our words keeps the bright vowel: 도와, but 아름다워.
            return with_final(stem, "") + ("와" if stem == "돕" else "워")
        if self.irregular == "ㄷ":
            stem = with_final(stem, "ㄹ")
        if self.irregular == "ㅅ":
            stem = with_final(stem, "")
            return stem + ("아" if take_apart(stem[-1])[1] in _BRIGHT else "어")
        initial, vowel, final = take_apart(stem[-1])
        if last == "르":
            before = take_apart(stem[-2])[1]
            return with_final(stem[:-1], "ㄹ") + ("라" if before in _BRIGHT else "러")
        if vowel == "ㅡ" and not final:
            bright = len(stem) > 1 and take_apart(stem[-2])[1] in _BRIGHT
            return stem[:-1] + put_together(initial, "ㅏ" if bright else "ㅓ")
        if not final and self.kind != "copula" and vowel in _CONTRACTED:
            return stem[:-1] + put_together(initial, _CONTRACTED[vowel])
        return stem + ("아" if vowel in _BRIGHT else "어")

    def _past(self) -> str:
        return with_final(self.infinitive(), "ㅆ")

    def _before_vowel(self, ending: str) -> str:
        """Return the stem as it stands before 으: 먹으, 가, 만드, 도우, 들으, 지으."""
        if self.irregular == "ㅂ":
            return with_final(self.stem, "") + "우"
        if self.irregular == "ㄷ":
            return with_final(self.stem, "ㄹ") + ending
        if self.irregular == "ㅅ":
            return with_final(self.stem, "") + ending
        final = final_of(self.stem)
        if final == "ㄹ":
            return with_final(self.stem, "")
        return self.stem + (ending if final else "")

    def _with_l(self) -> str:
        """Return the form with -(으)ㄹ: 먹을, 갈, 만들, 도울."""
        return with_final(self._before_vowel("으"), "ㄹ")

    def plain(self, tense: str) -> str:
        """Return the written style: 먹는다, 먹었다, 먹을 것이다."""
        if tense == "past":
            return self._past() + "다"
        if tense == "future":
            return self._with_l() + " 것이다"
        if self.kind != "verb":
            return self.stem + "다"
        final = final_of(self.stem)
        if not final:
            return with_final(self.stem, "ㄴ") + "다"
        return with_final(self.stem, "ㄴ") + "다" if final == "ㄹ" else self.stem + "는다"

    def polite(self, tense: str) -> str:
        """Return the spoken style: 먹어요, 먹었어요, 먹을 거예요."""
        if tense == "past":
            return self._past() + "어요"
        if tense == "future":
            return self._with_l() + " 거예요"
        return self.stem + "에요" if self.kind == "copula" else self.infinitive() + "요"

    def because(self) -> str:
        """Return the form with -아서 or -어서."""
        return self.infinitive() + "서"

    def but(self, past: bool) -> str:
        """Return the form with -지만."""
        return (self._past() if past else self.stem) + "지만"

    def and_(self) -> str:
        """Return the form with -고."""
        return self.stem + "고"

    def in_order_to(self) -> str:
        """Return the form with -(으)러: 먹으러, 사러, 만들러."""
        return (self.stem if final_of(self.stem) == "ㄹ" else self._before_vowel("으")) + "러"

    def before_noun(self) -> str:
        """Return the form that stands before a noun: 큰, 매운, 긴; of a verb: 읽는, 만드는; 재미있는."""
        if self.kind == "verb" or self.stem.endswith(("있", "없")):
            return (with_final(self.stem, "") if final_of(self.stem) == "ㄹ" else self.stem) + "는"
        return with_final(self._before_vowel("으"), "ㄴ")

    def negative(self) -> "Predicate":
        """Return the predicate with -지 않다."""
        return Predicate(self.stem + "지 않", self.kind)

    def wish(self) -> "Predicate":
        """Return the predicate with -고 싶다, for one's own wish."""
        return Predicate(self.stem + "고 싶", "adjective")

    def wish_of_others(self) -> "Predicate":
        """Return the predicate with -고 싶어 하다, for others' wishes."""
        return Predicate(self.stem + "고 싶어 하", "verb")
