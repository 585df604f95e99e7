"""Line and word passes by the definitions of the Language Confusion Benchmark."""

import pytest

from crosstune.tasks.answers.fidelity import Fidelity, fidelity

KOREAN = "저는 오늘 아침에 바다를 보러 갔습니다."
ENGLISH = "I went to see the sea this morning."


@pytest.mark.parametrize(
    ("answer", "code", "expected"),
    [
        (KOREAN, "ko", Fidelity(True, True, True)),
        (ENGLISH, "ko", Fidelity(False, False, None)),
        # One line in another language is enough.
        (f"{KOREAN}\n{ENGLISH}\n{KOREAN}", "ko", Fidelity(False, False, None)),
        # Lines of fewer than five words are not judged.
        (f"Sure, here it is:\n{KOREAN}", "ko", Fidelity(True, True, True)),
        # A word of four small letters is an English one; names, short words and words with a Korean ending are not.
        ("저는 오늘 아침에 beautiful 바다를 보러 갔습니다.", "ko", Fidelity(True, True, False)),
        ("저는 오늘 아침에 (morning) 바다를 보러 갔습니다.", "ko", Fidelity(True, True, False)),
        ("저는 오늘 아침에 Busan 바다를 보러 CNN과 갔습니다.", "ko", Fidelity(True, True, True)),
        # Latin languages have no word pass.
        (ENGLISH, "en", Fidelity(True, True, None)),
        ("Ich bin heute Morgen ans Meer gefahren.", "en", Fidelity(False, False, None)),
        (KOREAN, "en", Fidelity(False, False, None)),
        # Without a line to judge an answer has no line pass, and is in the language by its letters.
        ("네, 물론입니다.", "ko", Fidelity(True, None, None)),
        ("Yes, of course.", "ko", Fidelity(False, None, None)),
        ("", "ko", Fidelity(False, None, None)),
        ("1234", "en", Fidelity(False, None, None)),
        # Ten characters stand in the place of five words where no spaces stand between words.
        ("今日の朝は海を見に行きました。", "ja", Fidelity(True, True, True)),
        ("今天早上我去海边看海了。", "ja", Fidelity(False, False, None)),
        ("今日の朝はbeautifulな海を見に行きました。", "ja", Fidelity(True, True, False)),
        ("海です。", "ja", Fidelity(True, None, None)),
        ("Сегодня утром я ходил смотреть на море.", "ru", Fidelity(True, True, True)),
        ("Сегодня утром я ходил смотреть morning на море.", "ru", Fidelity(True, True, False)),
    ],
)
def test_an_answer_passes_by_line_and_by_word(answer: str, code: str, expected: Fidelity) -> None:
    assert fidelity(answer, code) == expected
