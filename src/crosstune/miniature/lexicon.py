"""The words of the miniature world, in English and Korean."""

from dataclasses import dataclass
from typing import Literal

from crosstune.miniature.conjugate import Predicate


@dataclass(frozen=True)
class Person:
    """Someone who does things. The English subject decides the Korean register, so one reference is enough."""

    english: str
    korean: str
    pronoun: str
    register: Literal["plain", "polite", "honorific"] = "plain"


@dataclass(frozen=True)
class Noun:
    """A thing; ``article`` is empty for what is not counted."""

    english: str
    korean: str
    article: str

    def phrase(self, adjective: str = "") -> str:
        """Return the English noun phrase with its indefinite article, an adjective between them."""
        words = f"{adjective} {self.english}".strip()
        if not self.article:
            return words
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@dataclass(frozen=True)
class Verb:
    """A transitive verb and the classes of nouns that it takes.

    Attributes:
        own: nouns for which Korean has a verb of its own: a shirt is 입다, but a hat 쓰다 and a glove 끼다.
    """

    english: str
    past: str
    korean: Predicate
    takes: tuple[str, ...]
    own: tuple[tuple[str, Predicate], ...] = ()

    def said_of(self, noun: "Noun") -> Predicate:
        """Return the Korean verb for this noun."""
        return dict(self.own).get(noun.english, self.korean)


@dataclass(frozen=True)
class Adjective:
    """A property, its opposite's English name, and the classes that have it (``person`` for people)."""

    english: str
    korean: Predicate
    opposite: str


def _people(text: str, register: Literal["plain", "polite", "honorific"] = "plain") -> tuple[Person, ...]:
    rows = (entry.split("/") for entry in text.split(", "))
    return tuple(Person(english, korean, pronoun, register) for english, korean, pronoun in rows)


def _nouns(text: str) -> tuple[Noun, ...]:
    """Read ``english/korean`` entries; a leading ``~`` marks what is not counted."""
    rows = (entry.split("/") for entry in text.split(", "))
    return tuple(Noun(english.removeprefix("~"), korean, "" if english[0] == "~" else "a") for english, korean in rows)


I = Person("I", "저", "I", "polite")  # noqa: E741 - the word itself
NAMES = _people(
    "Tom/톰/he, Anna/안나/she, Mina/미나/she, Jiho/지호/he, Paul/폴/he, Sara/사라/she, Minsu/민수/he, Yuna/유나/she, "
    "Leo/레오/he, Emma/엠마/she, Sujin/수진/she, Dan/댄/he"
)
ROLES = _people(
    "the student/학생/he, the doctor/의사/she, the cook/요리사/he, the driver/운전사/he, the farmer/농부/he, "
    "the singer/가수/she, the painter/화가/she, the nurse/간호사/she, the soldier/군인/he, the child/아이/he, "
    "the neighbor/이웃/she, the baker/제빵사/he, the writer/작가/she, the carpenter/목수/he"
)
ELDERS = _people(
    "my grandmother/할머니/she, my grandfather/할아버지/he, my teacher/선생님/she, my mother/어머니/she, "
    "my father/아버지/he, the president/사장님/he",
    "honorific",
)

NOUNS = {
    "food": _nouns(
        "apple/사과, ~bread/빵, ~rice/밥, ~fish/생선, ~meat/고기, egg/달걀, carrot/당근, potato/감자, onion/양파, "
        "cake/케이크, ~soup/수프, banana/바나나, tomato/토마토, ~cheese/치즈, pumpkin/호박, pear/배"
    ),
    "drink": _nouns("~water/물, ~milk/우유, ~coffee/커피, ~tea/차, ~juice/주스"),
    "reading": _nouns("book/책, letter/편지, newspaper/신문, poem/시, magazine/잡지, novel/소설, diary/일기"),
    "clothes": _nouns("shirt/셔츠, hat/모자, coat/외투, skirt/치마, glove/장갑, sock/양말, scarf/목도리"),
    "thing": _nouns(
        "car/자동차, bicycle/자전거, chair/의자, table/탁자, lamp/등, clock/시계, bag/가방, knife/칼, cup/컵, "
        "dish/접시, key/열쇠, umbrella/우산, box/상자, mirror/거울, pencil/연필, camera/카메라, phone/전화기, "
        "computer/컴퓨터, toy/장난감, ball/공, rope/밧줄, blanket/담요, hat/모자"
    ),
    "opening": _nouns("window/창문, door/문, drawer/서랍, gate/대문"),
    "animal": _nouns("dog/개, cat/고양이, bird/새, horse/말, cow/소, rabbit/토끼, duck/오리"),
    "sound": _nouns("song/노래, story/이야기, ~music/음악, ~news/소식"),
    "picture": _nouns("picture/그림, map/지도, flower/꽃, tree/나무, mountain/산, house/집"),
    "skill": _nouns("~English/영어, ~dance/춤, ~swimming/수영, ~piano/피아노, ~chess/체스"),
}
GOODS = ("food", "drink", "reading", "clothes", "thing")
PLACES = _nouns(
    "library/도서관, kitchen/부엌, park/공원, school/학교, market/시장, hospital/병원, office/사무실, garden/정원, "
    "station/역, restaurant/식당, museum/박물관, bank/은행, beach/해변, village/마을"
)
# Means of travel: their particle is (으)로, before which ㄹ counts as no final consonant: 트럭으로, 지하철로, 버스로.
VEHICLES = _nouns(
    "bus/버스, train/기차, truck/트럭, subway/지하철, taxi/택시, bicycle/자전거, boat/보트, plane/비행기, car/자동차, "
    "sled/썰매"
)

VERBS = (
    Verb("eat", "ate", Predicate("먹", honorific="드시"), ("food",)),
    Verb("cook", "cooked", Predicate("요리하"), ("food",), (("rice", Predicate("짓", irregular="ㅅ")),)),
    Verb("drink", "drank", Predicate("마시", honorific="드시"), ("drink",)),
    Verb("buy", "bought", Predicate("사"), GOODS),
    Verb("sell", "sold", Predicate("팔"), GOODS),
    Verb("read", "read", Predicate("읽"), ("reading",)),
    Verb("write", "wrote", Predicate("쓰"), ("reading",)),
    Verb(
        "wear",
        "wore",
        Predicate("입"),
        ("clothes",),
        (
            ("hat", Predicate("쓰")),
            ("glove", Predicate("끼")),
            ("sock", Predicate("신")),
            ("scarf", Predicate("두르")),
        ),
    ),
    Verb(
        "wash",
        "washed",
        Predicate("씻"),
        ("food", "thing"),
        (("blanket", Predicate("빨")), ("hat", Predicate("빨")), ("car", Predicate("세차하"))),
    ),
    Verb("see", "saw", Predicate("보"), ("thing", "animal", "picture")),
    Verb("like", "liked", Predicate("좋아하"), ("food", "drink", "animal", "sound", "picture", "skill")),
    Verb("find", "found", Predicate("찾"), ("thing", "clothes", "reading", "animal")),
    Verb("make", "made", Predicate("만들"), ("food", "thing", "clothes")),
    Verb("open", "opened", Predicate("열"), ("opening",)),
    Verb("close", "closed", Predicate("닫"), ("opening",)),
    Verb("carry", "carried", Predicate("나르"), ("food", "thing")),
    Verb("choose", "chose", Predicate("고르"), GOODS),
    Verb("draw", "drew", Predicate("그리"), ("animal", "picture")),
    Verb("hear", "heard", Predicate("듣", irregular="ㄷ"), ("sound",)),
    Verb("learn", "learned", Predicate("배우"), ("skill",)),
    Verb("cut", "cut", Predicate("자르"), ("food",)),
    Verb("throw", "threw", Predicate("던지"), ("thing",)),
    Verb("borrow", "borrowed", Predicate("빌리"), ("thing", "reading", "clothes")),
    Verb("repair", "repaired", Predicate("고치"), ("thing", "opening")),
    Verb("hide", "hid", Predicate("숨기"), ("thing", "reading", "food")),
)
GIVE = (Predicate("주"), Predicate("드리"))

THING_ADJECTIVES = tuple(
    Adjective(english, Predicate(stem, "adjective", "ㅂ" if flag else ""), opposite)
    for english, stem, flag, opposite in (
        ("big", "크", "", "small"),
        ("small", "작", "", "big"),
        ("hot", "뜨겁", "ㅂ", "cold"),
        ("cold", "차갑", "ㅂ", "hot"),
        ("heavy", "무겁", "ㅂ", "light"),
        ("light", "가볍", "ㅂ", "heavy"),
        ("long", "길", "", "short"),
        ("short", "짧", "", "long"),
        ("fast", "빠르", "", "slow"),
        ("slow", "느리", "", "fast"),
        ("new", "새롭", "ㅂ", "old"),
        ("old", "오래되", "", "new"),
        ("clean", "깨끗하", "", "dirty"),
        ("dirty", "더럽", "ㅂ", "clean"),
        ("expensive", "비싸", "", "cheap"),
        ("cheap", "싸", "", "expensive"),
        ("difficult", "어렵", "ㅂ", "easy"),
        ("easy", "쉽", "ㅂ", "difficult"),
        ("strong", "강하", "", "weak"),
        ("weak", "약하", "", "strong"),
        ("bright", "밝", "", "dark"),
        ("dark", "어둡", "ㅂ", "bright"),
    )
)
# Which adjectives a class of nouns may have.
FITTING = {
    "food": ("big", "small", "hot", "cold", "expensive", "cheap", "heavy", "light"),
    "drink": ("hot", "cold", "expensive", "cheap"),
    "reading": ("long", "short", "new", "old", "difficult", "easy", "expensive", "cheap"),
    "clothes": ("big", "small", "new", "old", "clean", "dirty", "expensive", "cheap", "bright", "dark"),
    "thing": ("big", "small", "heavy", "light", "new", "old", "clean", "dirty", "expensive", "cheap", "strong", "weak"),
    "opening": ("big", "small", "heavy", "light", "new", "old", "clean", "dirty"),
    "animal": ("big", "small", "fast", "slow", "strong", "weak", "clean", "dirty"),
    "sound": ("long", "short", "new", "old", "difficult", "easy"),
    "picture": ("big", "small", "new", "old", "bright", "dark"),
    "skill": ("difficult", "easy"),
}
STATES = tuple(
    Adjective(english, Predicate(stem, "adjective"), opposite)
    for english, stem, opposite in (
        ("happy", "기쁘", "sad"),
        ("sad", "슬프", "happy"),
        ("tired", "피곤하", ""),
        ("hungry", "배고프", ""),
        ("busy", "바쁘", ""),
        ("sick", "아프", "healthy"),
        ("healthy", "건강하", "sick"),
        ("thirsty", "목마르", ""),
    )
)
TIMES = {
    "present": (("every day", "매일"), ("in the morning", "아침에"), ("in the evening", "저녁에")),
    "past": (("yesterday", "어제"), ("last week", "지난주에"), ("last night", "어젯밤에")),
    "future": (("tomorrow", "내일"), ("next week", "다음 주에"), ("tonight", "오늘 밤에")),
}
