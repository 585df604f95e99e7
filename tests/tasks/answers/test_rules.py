"""Each rule on hand-made answers, of which half break it."""

import pytest

from crosstune.tasks.answers.rules import RULES, Answer, Rule

SEA = "The sea was calm. I walked along the beach with my dog, and we watched the boats."
DOG = "제 개는 아주 크고 착합니다. 아침마다 저와 함께 공원에 갑니다."
# rule, language, answer, whether it is kept; the earlier answer of second requests is that of its language.
CASES: list[tuple[str, str, str, bool]] = [
    ("words_at_least: 5", "en", "I like long walks there.", True),
    ("words_at_least: 5", "en", "- I like - walks -", False),
    ("words_at_least: 5", "ko", "나는 오늘 바다에 아주 오래 있었다.", True),
    ("words_at_least: 5", "ko", "나는 오늘 바다에 있었다.", False),
    ("words_at_least: 8", "ja", "今日は海へ行きました。", True),
    ("words_at_least: 12", "ja", "今日は海へ行きました。", False),
    ("words_at_most: 4", "en", "I like the sea.", True),
    ("words_at_most: 4", "en", "I like the sea, too.", False),
    ("words_at_most: 3", "ko", "바다가 아주 좋다.", True),
    ("words_at_most: 3", "ko", "나는 바다가 아주 좋다.", False),
    ("words_at_most: 10", "th", "ฉันชอบทะเล", True),
    ("words_at_most: 5", "th", "ฉันชอบทะเล", False),
    ("words_at_most: 4", "en", "", False),
    ("words_at_most: 4", "en", "...", False),
    ("sentences: 2", "en", "Dr. Kim paid 2.50 dollars. She left!", True),
    ("sentences: 2", "en", "She paid. She left. She came back.", False),
    ("sentences: 2", "ko", "비가 왔다. 그래서 집에 있었다.", True),
    ("sentences: 2", "ko", "비가 와서 집에 있었다.", False),
    ("sentences: 2", "zh", "下雨了。我在家。", True),
    ("sentences: 2", "zh", "下雨了，我在家。", False),
    ("lines: 3", "en", "one\n\ntwo\nthree\n", True),
    ("lines: 3", "en", "one two three", False),
    ("lines: 2", "ko", "첫째 줄\n둘째 줄", True),
    ("lines: 2", "ko", "첫째 줄\n둘째 줄\n셋째 줄", False),
    ("paragraphs: 2", "en", "The first one.\n\n***\n\nThe second one.", True),
    ("paragraphs: 2", "en", "The first one.\n\nThe second one.", False),
    ("paragraphs: 2", "en", "The first one. *** The second one. ***", False),
    ("paragraphs: 3", "ko", "하나***둘***셋", True),
    ("bullets: 2", "en", "Here they are:\n- bread\n- milk", True),
    ("bullets: 2", "en", "- bread\n- milk\n- tea", False),
    ("bullets: 2", "ko", "* 빵\n* 우유", True),
    ("bullets: 2", "ko", "1. 빵\n2. 우유", False),
    ("bullets: 2", "en", "-bread\n-milk", False),
    ("bullets: 2", "en", "  • bread\n  • milk", True),
    ("keywords: wave | sand", "en", "Waves roll over the SAND.", True),
    ("keywords: wave | sand", "en", "Waves roll over a thousand stones.", False),
    ("keywords: 파도 | 모래", "ko", "파도가 모래를 덮었다.", True),
    ("keywords: 파도 | 모래", "ko", "파도가 돌을 덮었다.", False),
    ("keywords: 海 | 砂", "ja", "青い海と白い砂。", True),
    ("keywords: 海 | 砂", "ja", "青い海。", False),
    ("no_keyword: rest", "en", "The forest was quiet.", True),
    ("no_keyword: rest", "en", "We were resting.", False),
    ("no_keyword: 구름", "ko", "비가 옵니다.", True),
    ("no_keyword: 구름", "ko", "먹구름이 아니라 구름이 많습니다.", False),
    ("no_keyword: rest", "en", "", False),
    ("json: title | text", "en", '{"title": "Sea", "text": "Calm."}', True),
    ("json: title | text", "en", '```json\n{"title": "Sea", "text": []}\n```', True),
    ("json: title | text", "en", '{"title": "Sea"}', False),
    ("json: title | text", "en", 'Here: {"title": "Sea", "text": "Calm."}', False),
    ("json: 제목 | 내용", "ko", '{"내용": "잔잔하다", "제목": "바다"}', True),
    ("json: 제목 | 내용", "ko", '["제목", "내용"]', False),
    ("json: a | b", "en", "[" * 100_000, False),
    ("lowercase", "en", "all of it is small, 3 times.", True),
    ("lowercase", "en", "Not all of it is small.", False),
    ("lowercase", "de", "straße und fluß", True),
    ("lowercase", "en", "123", False),
    ("uppercase", "en", "ALL OF IT, 3 TIMES!", True),
    ("uppercase", "en", "ALL OF IT iS.", False),
    ("uppercase", "ru", "ВСЁ БОЛЬШИМИ БУКВАМИ", True),
    ("uppercase", "ru", "Не всё большими буквами", False),
    ("language: fr", "en", "Le chat dort sur la table de la cuisine.", True),
    ("language: fr", "en", "The cat sleeps on the kitchen table.", False),
    ("language: en", "ko", "The cat sleeps on the kitchen table.", True),
    ("language: en", "ko", "고양이가 부엌 식탁 위에서 잔다.", False),
    ("language: ko", "en", "고양이가 부엌 식탁 위에서 잔다.", True),
    ("language: ko", "en", "猫は台所のテーブルの上で寝ています。", False),
    ("begin: In my view", "en", "**In my view**, it is fine.", True),
    ("begin: In my view", "en", "It is fine, in my view.", False),
    ("begin: 제 생각에는", "ko", '"제 생각에는 좋습니다."', True),
    ("begin: 제 생각에는", "ko", "좋습니다.", False),
    ("end: That is all.", "en", 'So it goes. "That is all."', True),
    ("end: That is all.", "en", "That is all. Goodbye.", False),
    ("end: 이상입니다.", "ko", "끝입니다. 이상입니다.\n", True),
    ("end: 이상입니다.", "ko", "이상입니다. 감사합니다.", False),
    ("no_commas", "en", "No stops inside; none.", True),
    ("no_commas", "en", "Well, yes.", False),
    ("no_commas", "ja", "海は青い。", True),
    ("no_commas", "ja", "海は、青い。", False),
    ("title", "en", "<<The Sea>>\nIt was calm.", True),
    ("title", "en", "<The Sea>\nIt was calm.", False),
    ("title", "ko", "<<바다>> 잔잔했다.", True),
    ("title", "ko", "<< >> 잔잔했다.", False),
    ("again_in_capitals", "en", SEA.upper(), True),
    ("again_in_capitals", "en", SEA, False),
    ("again_in_capitals", "en", "YESTERDAY MORNING MY UNCLE PLANTED FIVE APPLE TREES.", False),
    ("again_in_capitals", "en", "THE SEA WAS CALM. I WALKED ALONG THE BEACH.", True),
    ("again_shorter: 8", "en", "I walked along the calm beach.", True),
    ("again_shorter: 8", "en", SEA, False),
    ("again_shorter: 8", "en", "Yes, of course!", False),
    ("again_shorter: 6", "ko", "제 개는 크고 착합니다.", True),
    ("again_shorter: 6", "ko", DOG, False),
    ("again_shorter: 6", "ko", "네, 알겠습니다.", False),
    ("again_as_list: 2", "en", "- The sea was calm.\n- I walked along the beach.", True),
    ("again_as_list: 2", "en", "- Bread\n- Potatoes", False),
    ("again_as_list: 2", "ko", "- 아주 크고 착합니다\n- 아침마다 공원에 갑니다", True),
    ("again_as_list: 2", "ko", "아주 크고 착합니다\n아침마다 공원에 갑니다", False),
    ("again_first_sentence", "en", '"The sea was calm."', True),
    ("again_first_sentence", "en", SEA, False),
    ("again_first_sentence", "ko", "제 개는 아주 크고 착합니다", True),
    ("again_first_sentence", "ko", "첫 문장은 제 개는 아주 크고 착합니다.", False),
    ("again_begin: Honestly", "en", f"Honestly, {SEA}", True),
    ("again_begin: Honestly", "en", SEA, False),
    ("again_begin: 솔직히", "ko", f"솔직히 {DOG}", True),
    ("again_begin: 솔직히", "ko", "솔직히 잘 모르겠네요.", False),
]


@pytest.mark.parametrize(("rule", "language", "text", "is_kept"), CASES)
def test_a_rule_is_kept_by_the_answers_that_a_reader_would_say_keep_it(
    rule: str, language: str, text: str, is_kept: bool
) -> None:
    earlier = {"en": SEA, "ko": DOG}.get(language, "")
    assert Rule.of(rule).holds(Answer(text, language, earlier)) == is_kept


def test_every_rule_is_tried_on_answers_that_keep_it_and_as_many_that_break_it() -> None:
    for kind in RULES:
        found = [is_kept for rule, _, _, is_kept in CASES if Rule.of(rule).kind == kind]
        assert sum(found) >= 2 <= found.count(False), kind


def test_a_rule_is_written_as_it_is_read() -> None:
    for text in ("lowercase", "bullets: 3", "keywords: a | b", "end: Note: that is all."):
        assert str(Rule.of(text)) == text


def test_a_second_request_that_no_answer_came_before_is_not_kept() -> None:
    for rule in ("again_in_capitals", "again_shorter: 8", "again_first_sentence"):
        assert not Rule.of(rule).holds(Answer("HELLO THERE.", "en", ""))
