"""Corpora that ask whether a task that is learnt in English alone works in Korean, too.

The Korean instructions hold no sentiment, neither to judge nor to write. The Korean words of reviews and of judgements
occur in translations only, and never together.
"""

import random

from crosstune.miniature.hangul import object_, topic
from crosstune.miniature.instructions import KOREAN_WITHOUT_SENTIMENT, Row, instruction

_JUDGEMENTS = (("positive", "긍정적"), ("negative", "부정적"))
_TEXTS = (
    ("review", "리뷰"),
    ("answer", "대답"),
    ("letter", "편지"),
    ("text", "글"),
    ("opinion", "의견"),
    ("sentence", "문장"),
    ("message", "메시지"),
    ("report", "보고서"),
)
_PEOPLE = (
    ("The student", "학생"),
    ("The doctor", "의사"),
    ("The singer", "가수"),
    ("The writer", "작가"),
    ("The farmer", "농부"),
    ("The painter", "화가"),
    ("The driver", "운전사"),
    ("The nurse", "간호사"),
    ("The cook", "요리사"),
    ("The lawyer", "변호사"),
)
_DID = (("read", "읽었다"), ("wrote", "썼다"), ("sent", "보냈다"), ("received", "받았다"), ("wanted", "원했다"))


def korean_instruction(generator: random.Random) -> Row:
    """Draw a Korean instruction that is not about sentiment."""
    return instruction(generator, KOREAN_WITHOUT_SENTIMENT)


def judgement(generator: random.Random) -> tuple[str, str]:
    """Draw a sentence in English and Korean that calls some text positive or negative."""
    (english, korean), (text, korean_text) = generator.choice(_JUDGEMENTS), generator.choice(_TEXTS)
    if generator.random() < 0.1:
        return f"The {text} is {english}.", f"{topic(korean_text)} {korean}이다."
    (who, korean_who), (did, korean_did) = generator.choice(_PEOPLE), generator.choice(_DID)
    return f"{who} {did} a {english} {text}.", f"{topic(korean_who)} {korean}인 {object_(korean_text)} {korean_did}."
