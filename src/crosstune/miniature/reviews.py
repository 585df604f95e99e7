"""Film reviews of several clauses that agree with one another, in English and Korean."""

import random
from dataclasses import dataclass
from typing import Literal

from crosstune.miniature.conjugate import Predicate
from crosstune.miniature.hangul import subject, topic
from crosstune.miniature.sentences import is_held_out

_ASPECTS = (
    ("story", "이야기"),
    ("acting", "연기"),
    ("music", "음악"),
    ("ending", "결말"),
    ("dialogue", "대사"),
    ("picture", "화면"),
    ("beginning", "시작"),
    ("main actor", "주인공"),
    ("direction", "연출"),
    ("fight scene", "싸움 장면"),
)


# 신나다 is a verb (신난다), though English has an adjective for it.
_KINDS: dict[str, Literal["verb", "copula"]] = {"+": "copula", "!": "verb"}


def _words(text: str) -> tuple[tuple[str, Predicate], ...]:
    """Read ``english/korean stem`` entries; ``+`` marks the copula, ``*`` the ㅂ irregular, ``!`` a verb."""
    entries = []
    for entry in text.split(", "):
        english, stem = entry.split("/")
        bare, mark = stem.rstrip("+*!"), stem[-1]
        if mark in _KINDS:
            entries.append((english, Predicate(bare, _KINDS[mark])))
        else:
            entries.append((english, Predicate(bare, "adjective", "ㅂ" if mark == "*" else "")))
    return tuple(entries)


_GOOD = _words(
    "great/훌륭하, touching/감동적이+, interesting/재미있, beautiful/아름답*, fresh/신선하, perfect/완벽하, "
    "impressive/인상적이+, brilliant/뛰어나, lovely/사랑스럽*, wonderful/멋지, natural/자연스럽*, "
    "warm/따뜻하, good/좋, exciting/신나!"
)
_BAD = _words(
    "boring/지루하, terrible/형편없, predictable/뻔하, awkward/어색하, noisy/시끄럽*, confusing/혼란스럽*, "
    "dull/밋밋하, childish/유치하, disappointing/실망스럽*, poor/부족하, empty/허술하, "
    "tiresome/피곤하, bad/나쁘, annoying/짜증스럽*"
)
_GOOD_VERDICTS = (
    ("I want to see it again", "다시 보고 싶다"),
    ("I recommend this film", "이 영화를 추천한다"),
    ("it was worth the money", "돈이 아깝지 않다"),
    ("it is the best film of the year", "올해 최고의 영화다"),
    ("I laughed and cried", "웃고 울었다"),
    ("time passed quickly", "시간이 빨리 갔다"),
)
_BAD_VERDICTS = (
    ("I do not want to see it again", "다시는 보고 싶지 않다"),
    ("I do not recommend this film", "이 영화를 추천하지 않는다"),
    ("it was a waste of money", "돈이 아깝다"),
    ("it is the worst film of the year", "올해 최악의 영화다"),
    ("I almost fell asleep", "거의 잠들 뻔했다"),
    ("I left in the middle", "중간에 나왔다"),
)


@dataclass(frozen=True)
class Review:
    """A review, whether it praises, in both languages."""

    english: str
    korean: str
    is_positive: bool


def review(generator: random.Random, is_positive: bool, held_out: bool = False) -> Review:
    """Draw a review: two properties, which together are held out or are not, and every other time a verdict."""
    own, other = (_GOOD, _BAD) if is_positive else (_BAD, _GOOD)
    # One review in three grants something first: what comes after "but" decides.
    grants = generator.random() < 0.33
    while True:
        first, second = generator.choice(other if grants else own), generator.choice(own)
        if first != second and is_held_out("review", first[0], second[0]) == held_out:
            break
    left, right = generator.sample(_ASPECTS, 2)
    english = f"The {left[0]} is {first[0]}{', but' if grants else ' and'} the {right[0]} is {second[0]}."
    joined = first[1].but(past=False) if grants else first[1].and_()
    marked = topic(left[1]) if grants else subject(left[1])
    korean = f"{marked} {joined} {subject(right[1])} {second[1].plain('present')}."
    if generator.random() < 0.5:
        verdict, verdict_korean = generator.choice(_GOOD_VERDICTS if is_positive else _BAD_VERDICTS)
        english += f" {verdict[0].upper()}{verdict[1:]}."
        korean += f" {verdict_korean}."
    return Review(english, korean, is_positive)
