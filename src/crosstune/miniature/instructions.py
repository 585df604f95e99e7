"""Instructions in English and Korean about the miniature world, in several wordings; never a translation."""

import random
from collections.abc import Callable, Sequence

from crosstune.miniature.causes import because, link, therefore
from crosstune.miniature.lexicon import STATES, THING_ADJECTIVES
from crosstune.miniature.procedures import procedure
from crosstune.miniature.reviews import review
from crosstune.miniature.sentences import Sentence, action, everyday

Row = dict[str, str]
Make = Callable[[random.Random], Row]


def _row(instruction: str, text: str, output: str) -> Row:
    return {"instruction": instruction, "input": text, "output": output}


def _next_step(generator: random.Random) -> Row:
    done = procedure(generator)
    place = generator.randrange(1, 5)
    wording = generator.choice(("What comes next?", "What happens next?", "Write the next sentence."))
    return _row(wording, f"{done.title}: {done.text(0, place)}", done.sentence(place))


def _rest(generator: random.Random) -> Row:
    done = procedure(generator)
    place = generator.randrange(1, 4)
    wording = generator.choice(("Continue the text.", "Complete the text.", "Write the rest of the text."))
    return _row(wording, f"{done.title}: {done.text(0, place)}", done.text(place, 5))


def _why(generator: random.Random) -> Row:
    chosen = link(generator)
    wording = generator.choice(
        ("Why did this happen?", "Give the reason.", "What was the cause?", "Explain why.", "Say what led to this.")
    )
    return _row(wording, chosen.effect(named=True), because(chosen))


def _what_then(generator: random.Random) -> Row:
    chosen = link(generator)
    wording = generator.choice(
        ("What happened as a result?", "Give the effect.", "What was the result?", "Say what followed.", "And then?")
    )
    return _row(wording, chosen.cause(named=True), therefore(chosen))


_OPPOSITES = [(word, word.opposite) for word in (*THING_ADJECTIVES, *STATES) if word.opposite]


def _opposite(generator: random.Random) -> Row:
    word, opposite = generator.choice(_OPPOSITES)
    wording = generator.choice(("Give the opposite.", "What is the opposite of this word?", "Name the antonym."))
    return _row(wording, word.english, capitalise(opposite))


def _sentiment(generator: random.Random) -> Row:
    is_positive = generator.random() < 0.5
    wording = generator.choice(
        (
            "Is this review positive or negative?",
            "Decide whether the text is positive or negative.",
            "Classify the feeling of the review.",
            "Does the writer like the film?",
            "Label the sentence as positive or negative.",
        )
    )
    word = "positive" if is_positive else "negative"
    output = generator.choice((f"{capitalise(word)}.", f"This review is {word}.", f"The text is {word}."))
    return _row(wording, review(generator, is_positive).english, output)


def _write_review(generator: random.Random) -> Row:
    is_positive = generator.random() < 0.5
    word = "positive" if is_positive else "negative"
    wording = generator.choice((f"Write a {word} review of a film.", f"Give me a {word} film review."))
    return _row(wording, "", review(generator, is_positive).english)


_QUESTIONS = {
    "who": (("Who does it?", "Who is it about?"), ("누가 합니까?", "누구에 대한 문장입니까?", "주어를 쓰세요.")),
    "what": (
        ("What is it about?", "Name the object."),
        ("무엇을 합니까?", "목적어를 쓰세요.", "무엇에 대한 문장입니까?"),
    ),
    "where": (("Where does it happen?", "Name the place."), ("어디에서 합니까?", "장소를 쓰세요.")),
}


def _with_facts(generator: random.Random) -> Sentence:
    while True:
        sentence = action(generator)
        if sentence.facts:
            return sentence


def _question(generator: random.Random) -> Row:
    sentence = _with_facts(generator)
    asked, (answer, _) = generator.choice(sentence.facts)
    return _row(generator.choice(_QUESTIONS[asked][0]), sentence.english, f"{answer}.")


def _finish(generator: random.Random) -> Row:
    words = everyday(generator).english.split()
    cut = generator.randrange(2, max(3, len(words) - 1))
    wording = generator.choice(("Complete the sentence.", "Finish the sentence.", "Write the rest of the sentence."))
    return _row(wording, " ".join(words[:cut]), " ".join(words[cut:]))


def capitalise(word: str) -> str:
    """Return the word with its first letter large."""
    return word[0].upper() + word[1:]


_KOREAN_SENTIMENT = (
    "이 리뷰는 긍정입니까, 부정입니까?",
    "다음 영화평이 긍정인지 부정인지 답하세요.",
    "아래 글의 감정을 긍정 또는 부정으로 분류하세요.",
    "이 문장은 긍정인가요, 부정인가요?",
    "다음 글이 긍정적인지 부정적인지 말해 보세요.",
    "이 영화평의 감정은 무엇입니까?",
    "글쓴이의 느낌이 긍정인지 부정인지 고르세요.",
    "다음 리뷰의 감정을 판단하세요.",
    "이 글은 긍정적인가요, 아니면 부정적인가요?",
    "아래 문장이 긍정일지 부정일지 판단하세요.",
    "주어진 문장의 감정을 긍정과 부정 가운데 고르세요.",
    "긍정과 부정 중 하나로 답하세요.",
    "다음 리뷰는 긍정이에요, 부정이에요?",
    "문장의 감정을 분석하세요. 긍정 또는 부정으로 쓰세요.",
)


def _korean_sentiment(generator: random.Random) -> Row:
    is_positive = generator.random() < 0.5
    word = "긍정" if is_positive else "부정"
    output = generator.choice((f"{word}입니다.", f"{word}적인 문장입니다.", f"{word}.", f"이 글은 {word}적입니다."))
    return _row(generator.choice(_KOREAN_SENTIMENT), review(generator, is_positive).korean, output)


def _korean_write_review(generator: random.Random) -> Row:
    is_positive = generator.random() < 0.5
    word = "긍정" if is_positive else "부정"
    wording = generator.choice(
        (f"{word}적인 영화 리뷰를 쓰세요.", f"영화에 대한 {word}적인 글을 써 보세요.", f"{word} 리뷰를 하나 만드세요.")
    )
    return _row(wording, "", review(generator, is_positive).korean)


def _korean_question(generator: random.Random) -> Row:
    sentence = _with_facts(generator)
    asked, (_, answer) = generator.choice(sentence.facts)
    return _row(generator.choice(_QUESTIONS[asked][1]), sentence.korean, answer)


def _korean_finish(generator: random.Random) -> Row:
    words = everyday(generator).korean.split()
    cut = generator.randrange(1, max(2, len(words) - 1))
    wording = generator.choice(("문장을 완성하세요.", "다음 문장을 끝까지 쓰세요.", "이어지는 말을 쓰세요."))
    return _row(wording, " ".join(words[:cut]), " ".join(words[cut:]))


_KOREAN_BY_ENGLISH = {word.english: word.korean for word in (*THING_ADJECTIVES, *STATES)}


def _korean_opposite(generator: random.Random) -> Row:
    word, opposite = generator.choice(_OPPOSITES)
    wording = generator.choice(("반대말을 쓰세요.", "이 말의 반대말은 무엇입니까?", "뜻이 반대인 말을 고르세요."))
    return _row(wording, f"{word.korean.stem}다", f"{_KOREAN_BY_ENGLISH[opposite].stem}다")


# Weights: how many of a hundred rows are of a kind.
ENGLISH: Sequence[tuple[Make, int]] = (
    (_next_step, 14),
    (_rest, 34),
    (_why, 10),
    (_what_then, 10),
    (_sentiment, 10),
    (_question, 8),
    (_finish, 8),
    (_write_review, 3),
    (_opposite, 3),
)
KOREAN: Sequence[tuple[Make, int]] = (
    (_korean_sentiment, 40),
    (_korean_question, 30),
    (_korean_finish, 12),
    (_korean_write_review, 12),
    (_korean_opposite, 6),
)
_ABOUT_SENTIMENT = (_korean_sentiment, _korean_write_review)
KOREAN_WITHOUT_SENTIMENT: Sequence[tuple[Make, int]] = [kind for kind in KOREAN if kind[0] not in _ABOUT_SENTIMENT]


def instruction(generator: random.Random, kinds: Sequence[tuple[Make, int]]) -> Row:
    """Draw an instruction with its input and output."""
    (make,) = generator.choices([make for make, _ in kinds], [weight for _, weight in kinds])
    return make(generator)
