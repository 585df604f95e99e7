"""Korean forms against a table made by hand."""

import pytest

from crosstune.miniature import hangul, lexicon
from crosstune.miniature.conjugate import Predicate

# plain present, past, future; polite present, past, future; -아서, -지만, honorific plain present, honorific past
VERBS = {
    Predicate(
        "먹", honorific="드시"
    ): "먹는다 먹었다 먹을_것이다 먹어요 먹었어요 먹을_거예요 먹어서 먹지만 드신다 드셨다",
    Predicate(
        "마시", honorific="드시"
    ): "마신다 마셨다 마실_것이다 마셔요 마셨어요 마실_거예요 마셔서 마시지만 드신다 드셨다",
    Predicate("읽"): "읽는다 읽었다 읽을_것이다 읽어요 읽었어요 읽을_거예요 읽어서 읽지만 읽으신다 읽으셨다",
    Predicate("쓰"): "쓴다 썼다 쓸_것이다 써요 썼어요 쓸_거예요 써서 쓰지만 쓰신다 쓰셨다",
    Predicate("사"): "산다 샀다 살_것이다 사요 샀어요 살_거예요 사서 사지만 사신다 사셨다",
    Predicate("보"): "본다 봤다 볼_것이다 봐요 봤어요 볼_거예요 봐서 보지만 보신다 보셨다",
    Predicate("오"): "온다 왔다 올_것이다 와요 왔어요 올_거예요 와서 오지만 오신다 오셨다",
    Predicate("가"): "간다 갔다 갈_것이다 가요 갔어요 갈_거예요 가서 가지만 가신다 가셨다",
    Predicate("팔"): "판다 팔았다 팔_것이다 팔아요 팔았어요 팔_거예요 팔아서 팔지만 파신다 파셨다",
    Predicate(
        "만들"
    ): "만든다 만들었다 만들_것이다 만들어요 만들었어요 만들_거예요 만들어서 만들지만 만드신다 만드셨다",
    Predicate("열"): "연다 열었다 열_것이다 열어요 열었어요 열_거예요 열어서 열지만 여신다 여셨다",
    Predicate("닫"): "닫는다 닫았다 닫을_것이다 닫아요 닫았어요 닫을_거예요 닫아서 닫지만 닫으신다 닫으셨다",
    Predicate(
        "듣", irregular="ㄷ"
    ): "듣는다 들었다 들을_것이다 들어요 들었어요 들을_거예요 들어서 듣지만 들으신다 들으셨다",
    Predicate(
        "돕", irregular="ㅂ"
    ): "돕는다 도왔다 도울_것이다 도와요 도왔어요 도울_거예요 도와서 돕지만 도우신다 도우셨다",
    Predicate(
        "짓", irregular="ㅅ"
    ): "짓는다 지었다 지을_것이다 지어요 지었어요 지을_거예요 지어서 짓지만 지으신다 지으셨다",
    Predicate("고르"): "고른다 골랐다 고를_것이다 골라요 골랐어요 고를_거예요 골라서 고르지만 고르신다 고르셨다",
    Predicate("자르"): "자른다 잘랐다 자를_것이다 잘라요 잘랐어요 자를_거예요 잘라서 자르지만 자르신다 자르셨다",
    Predicate("부르"): "부른다 불렀다 부를_것이다 불러요 불렀어요 부를_거예요 불러서 부르지만 부르신다 부르셨다",
    Predicate("배우"): "배운다 배웠다 배울_것이다 배워요 배웠어요 배울_거예요 배워서 배우지만 배우신다 배우셨다",
    Predicate("그리"): "그린다 그렸다 그릴_것이다 그려요 그렸어요 그릴_거예요 그려서 그리지만 그리신다 그리셨다",
    Predicate(
        "좋아하"
    ): "좋아한다 좋아했다 좋아할_것이다 좋아해요 좋아했어요 좋아할_거예요 좋아해서 좋아하지만 좋아하신다 좋아하셨다",
    Predicate("보내"): "보낸다 보냈다 보낼_것이다 보내요 보냈어요 보낼_거예요 보내서 보내지만 보내신다 보내셨다",
    Predicate("켜"): "켠다 켰다 켤_것이다 켜요 켰어요 켤_거예요 켜서 켜지만 켜신다 켜셨다",
    Predicate("입"): "입는다 입었다 입을_것이다 입어요 입었어요 입을_거예요 입어서 입지만 입으신다 입으셨다",
    Predicate("주"): "준다 줬다 줄_것이다 줘요 줬어요 줄_거예요 줘서 주지만 주신다 주셨다",
    Predicate("끼"): "낀다 꼈다 낄_것이다 껴요 꼈어요 낄_거예요 껴서 끼지만 끼신다 끼셨다",
    Predicate("신"): "신는다 신었다 신을_것이다 신어요 신었어요 신을_거예요 신어서 신지만 신으신다 신으셨다",
    Predicate("두르"): "두른다 둘렀다 두를_것이다 둘러요 둘렀어요 두를_거예요 둘러서 두르지만 두르신다 두르셨다",
    Predicate("빨"): "빤다 빨았다 빨_것이다 빨아요 빨았어요 빨_거예요 빨아서 빨지만 빠신다 빠셨다",
    Predicate("신나"): "신난다 신났다 신날_것이다 신나요 신났어요 신날_거예요 신나서 신나지만 신나신다 신나셨다",
    Predicate("자", honorific="주무시"): "잔다 잤다 잘_것이다 자요 잤어요 잘_거예요 자서 자지만 주무신다 주무셨다",
}
# adjective: plain present, past, future; polite present, past; -아서, -지만, before a noun
ADJECTIVES = {
    Predicate("크", "adjective"): "크다 컸다 클_것이다 커요 컸어요 커서 크지만 큰",
    Predicate("작", "adjective"): "작다 작았다 작을_것이다 작아요 작았어요 작아서 작지만 작은",
    Predicate("길", "adjective"): "길다 길었다 길_것이다 길어요 길었어요 길어서 길지만 긴",
    Predicate("무겁", "adjective", "ㅂ"): "무겁다 무거웠다 무거울_것이다 무거워요 무거웠어요 무거워서 무겁지만 무거운",
    Predicate(
        "아름답", "adjective", "ㅂ"
    ): "아름답다 아름다웠다 아름다울_것이다 아름다워요 아름다웠어요 아름다워서 아름답지만 아름다운",
    Predicate("빠르", "adjective"): "빠르다 빨랐다 빠를_것이다 빨라요 빨랐어요 빨라서 빠르지만 빠른",
    Predicate("바쁘", "adjective"): "바쁘다 바빴다 바쁠_것이다 바빠요 바빴어요 바빠서 바쁘지만 바쁜",
    Predicate("슬프", "adjective"): "슬프다 슬펐다 슬플_것이다 슬퍼요 슬펐어요 슬퍼서 슬프지만 슬픈",
    Predicate("깨끗하", "adjective"): "깨끗하다 깨끗했다 깨끗할_것이다 깨끗해요 깨끗했어요 깨끗해서 깨끗하지만 깨끗한",
    Predicate("비싸", "adjective"): "비싸다 비쌌다 비쌀_것이다 비싸요 비쌌어요 비싸서 비싸지만 비싼",
    Predicate(
        "재미있", "adjective"
    ): "재미있다 재미있었다 재미있을_것이다 재미있어요 재미있었어요 재미있어서 재미있지만 재미있는",
    Predicate("느리", "adjective"): "느리다 느렸다 느릴_것이다 느려요 느렸어요 느려서 느리지만 느린",
    Predicate(
        "감동적이", "copula"
    ): "감동적이다 감동적이었다 감동적일_것이다 감동적이에요 감동적이었어요 감동적이어서 감동적이지만 감동적인",
}


def forms_of_verb(verb: Predicate) -> list[str]:
    tenses = ("present", "past", "future")
    spoken = [verb.plain(tense) for tense in tenses] + [verb.polite(tense) for tense in tenses]
    return [*spoken, verb.because(), verb.but(past=False), verb.raised().plain("present"), verb.raised().plain("past")]


def forms_of_adjective(word: Predicate) -> list[str]:
    plain = [word.plain(tense) for tense in ("present", "past", "future")]
    polite = [word.polite("present"), word.polite("past")]
    return [*plain, *polite, word.because(), word.but(past=False), word.before_noun()]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.stem)
def test_verbs_take_the_forms_of_the_table(verb: Predicate) -> None:
    assert forms_of_verb(verb) == [form.replace("_", " ") for form in VERBS[verb].split()]


@pytest.mark.parametrize("word", ADJECTIVES, ids=lambda word: word.stem)
def test_adjectives_take_the_forms_of_the_table(word: Predicate) -> None:
    assert forms_of_adjective(word) == [form.replace("_", " ") for form in ADJECTIVES[word].split()]


def test_the_table_holds_at_least_two_hundred_forms() -> None:
    assert sum(len(forms.split()) for forms in (*VERBS.values(), *ADJECTIVES.values())) >= 200


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Predicate("먹").negative().plain("present"), "먹지 않는다"),
        (Predicate("먹").negative().polite("past"), "먹지 않았어요"),
        (Predicate("크", "adjective").negative().plain("present"), "크지 않다"),
        (Predicate("사").wish().polite("present"), "사고 싶어요"),
        (Predicate("사").wish_of_others().plain("present"), "사고 싶어 한다"),
        (Predicate("만들").wish_of_others().raised().plain("past"), "만들고 싶어 하셨다"),
        (Predicate("먹").in_order_to(), "먹으러"),
        (Predicate("만들").in_order_to(), "만들러"),
        (Predicate("듣", irregular="ㄷ").in_order_to(), "들으러"),
        (Predicate("돕", irregular="ㅂ").in_order_to(), "도우러"),
        (Predicate("바쁘", "adjective").but(past=True), "바빴지만"),
        (Predicate("만들").before_noun(), "만드는"),
        (Predicate("읽").and_(), "읽고"),
    ],
)
def test_compound_forms(found: str, expected: str) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (hangul.topic("학생"), "학생은"),
        (hangul.topic("의사"), "의사는"),
        (hangul.subject("음악"), "음악이"),
        (hangul.subject("영화"), "영화가"),
        (hangul.object_("책"), "책을"),
        (hangul.object_("차"), "차를"),
        (hangul.towards("시장"), "시장으로"),
        (hangul.towards("서울"), "서울로"),
        (hangul.towards("학교"), "학교로"),
        (hangul.towards("트럭"), "트럭으로"),
        (hangul.towards("지하철"), "지하철로"),
    ],
)
def test_particles_follow_the_final_consonant(found: str, expected: str) -> None:
    assert found == expected


def test_every_syllable_survives_being_taken_apart() -> None:
    syllables = [chr(code) for code in range(ord("가"), ord("힣") + 1)]
    assert len(syllables) == 11172 and all(hangul.put_together(*hangul.take_apart(s)) == s for s in syllables)


@pytest.mark.parametrize(
    ("english", "noun", "expected"),
    [
        ("wear", "shirt", "입는다"),
        ("wear", "hat", "쓴다"),
        ("wear", "glove", "낀다"),
        ("wear", "sock", "신는다"),
        ("wear", "scarf", "두른다"),
        ("cook", "rice", "짓는다"),
        ("cook", "fish", "요리한다"),
        ("wash", "blanket", "빤다"),
        ("wash", "cup", "씻는다"),
    ],
)
def test_korean_chooses_the_verb_by_its_object(english: str, noun: str, expected: str) -> None:
    verb = next(verb for verb in lexicon.VERBS if verb.english == english)
    thing = next(thing for kind in verb.takes for thing in lexicon.NOUNS[kind] if thing.english == noun)
    assert verb.said_of(thing).plain("present") == expected
