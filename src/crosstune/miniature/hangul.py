"""Hangul syllables and the particles that depend on a final consonant."""

INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_FIRST = ord("가")


def take_apart(syllable: str) -> tuple[str, str, str]:
    """Return initial, vowel and final of a syllable; the final is empty where there is none."""
    index = ord(syllable) - _FIRST
    initial, rest = divmod(index, len(VOWELS) * len(FINALS))
    vowel, final = divmod(rest, len(FINALS))
    return INITIALS[initial], VOWELS[vowel], FINALS[final].strip()


def put_together(initial: str, vowel: str, final: str = "") -> str:
    """Return the syllable of initial, vowel and final."""
    place = INITIALS.index(initial) * len(VOWELS) + VOWELS.index(vowel)
    return chr(_FIRST + place * len(FINALS) + FINALS.index(final or " "))


def final_of(word: str) -> str:
    """Return the final consonant of a word, or nothing."""
    return take_apart(word[-1])[2]


def with_final(word: str, final: str) -> str:
    """Return the word with another final consonant (none, if empty) in its last syllable."""
    initial, vowel, _ = take_apart(word[-1])
    return word[:-1] + put_together(initial, vowel, final)


def topic(word: str) -> str:
    """Append 은 or 는."""
    return word + ("은" if final_of(word) else "는")


def subject(word: str) -> str:
    """Append 이 or 가."""
    return word + ("이" if final_of(word) else "가")


def object_(word: str) -> str:
    """Append 을 or 를."""
    return word + ("을" if final_of(word) else "를")


def towards(word: str) -> str:
    """Append 로 or 으로; a final ㄹ counts as none."""
    return word + ("으로" if final_of(word) not in ("", "ㄹ") else "로")
