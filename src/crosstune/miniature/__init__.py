"""The miniature world: a small English and a small Korean, written into files in the real datasets' own formats.

Test items are made of combinations of words (a verb with its object, a procedure or a cause
with its slot's filling) that occur in no training text.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from crosstune.miniature import files, transfer
from crosstune.miniature.causes import because, choice_item, link, therefore
from crosstune.miniature.instructions import ENGLISH, KOREAN, instruction
from crosstune.miniature.procedures import next_step_item, procedure
from crosstune.miniature.reviews import Review, review
from crosstune.miniature.sentences import everyday

# LLaMA-2's training text: 0.06 % Korean.
KOREAN_SHARE = 0.00063
# What the tokenizers learn from stays the same when sizes and seeds change.
_TOKENIZER_SEED = 20231013
_TOKENIZER_DOCUMENTS = 3000

Item = TypeVar("Item")


@dataclass(frozen=True)
class WorldSize:
    """How many of each kind of row are written."""

    english_documents: int
    korean_documents: int
    parallel_pairs: int
    english_instructions: int
    korean_instructions: int
    test_items: int


def write_world(folder: Path, size: WorldSize, seed: int) -> None:
    """Write all files of the world into a folder. The same size and seed give the same bytes."""

    def stream(name: str) -> random.Random:
        # A stream of its own for each file: another size of one leaves the others as they are.
        return random.Random(f"{seed}/{name}")

    english = _many(stream("english"), size.english_documents, english_document)
    files.write_lines(folder / "text/english.txt", english)
    trace = _korean_trace(stream("trace"), sum(map(len, english)))
    files.write_lines(folder / "text/korean_trace.txt", trace)
    korean = _many(stream("korean"), size.korean_documents, korean_document)
    files.write_lines(folder / "text/korean.txt", korean)
    fixed = random.Random(_TOKENIZER_SEED)
    files.write_lines(folder / "text/tokenizer_english.txt", _many(fixed, _TOKENIZER_DOCUMENTS, _english_sample))
    files.write_lines(folder / "text/tokenizer_korean.txt", _many(fixed, _TOKENIZER_DOCUMENTS, _korean_sample))

    files.write_parallel(folder / "parallel/train.json", _many(stream("pairs"), size.parallel_pairs, pair))
    # One draw for both: dev and test share no sentence.
    held_out = _distinct(stream("test"), 2 * size.test_items, held_out_pair, key=str)
    files.write_parallel(folder / "parallel/test.json", held_out[: size.test_items])
    files.write_parallel(folder / "parallel/dev.json", held_out[size.test_items :])
    english_rows = _many(stream("alpaca"), size.english_instructions, lambda draw: instruction(draw, ENGLISH))
    files.write_alpaca(folder / "instructions/alpaca_data.json", english_rows)
    korean_rows = _many(stream("koalpaca"), size.korean_instructions, lambda draw: instruction(draw, KOREAN))
    files.write_koalpaca(folder / "instructions/ko_alpaca_data.json", korean_rows)

    others = _many(stream("transfer instructions"), size.korean_instructions, transfer.korean_instruction)
    files.write_koalpaca(folder / "transfer/ko_alpaca_data.json", others)
    files.write_parallel(folder / "transfer/train.json", _many(stream("transfer pairs"), size.parallel_pairs, _apart))

    reviews = _distinct(stream("nsmc"), size.test_items, _test_review, key=lambda made: made.korean)
    files.write_nsmc(folder / "nsmc/ratings_test.txt", reviews)
    rows = _distinct(stream("hellaswag"), size.test_items, next_step_item, key=lambda row: str(row["ctx"]))
    files.write_hellaswag(folder / "hellaswag/hellaswag_val.jsonl", rows)
    choices = _distinct(stream("copa"), size.test_items, choice_item, key=lambda item: item.premise)
    files.write_copa(folder / "copa/copa-test.xml", choices)


def english_document(generator: random.Random) -> str:
    """Draw a document of the base's pretraining text."""
    kind = generator.random()
    if kind < 0.46:
        done = procedure(generator)
        return f"{done.title}: {done.text(0, 5)}"
    if kind < 0.60:
        said: list[Callable[[], str]] = [
            lambda: because(link(generator)),
            lambda: therefore(link(generator)),
            lambda: therefore(link(generator), ", so"),
        ]
        return " ".join(generator.choice(said)() for _ in range(3))
    if kind < 0.70:
        is_positive = generator.random() < 0.5
        verdict = "positive" if is_positive else "negative"
        return f"{review(generator, is_positive).english} {review(generator, is_positive).english} A {verdict} review."
    return " ".join(everyday(generator).english for _ in range(5))


def korean_document(generator: random.Random) -> str:
    """Draw a document for continued pretraining."""
    if generator.random() < 0.25:
        is_positive = generator.random() < 0.5
        return f"{review(generator, is_positive).korean} {review(generator, is_positive).korean}"
    return " ".join(everyday(generator).korean for _ in range(4))


def pair(generator: random.Random) -> tuple[str, str]:
    """Draw a sentence in English and Korean: everyday ones mostly, a review one time in ten."""
    if generator.random() < 0.1:
        opinion = review(generator, generator.random() < 0.5)
        return opinion.english, opinion.korean
    sentence = everyday(generator)
    return sentence.english, sentence.korean


def _apart(generator: random.Random) -> tuple[str, str]:
    return transfer.judgement(generator) if generator.random() < 0.1 else pair(generator)


def held_out_pair(generator: random.Random) -> tuple[str, str]:
    """Draw an everyday sentence whose combination of words is in no training text."""
    sentence = everyday(generator, held_out=True)
    return sentence.english, sentence.korean


def _test_review(generator: random.Random) -> Review:
    return review(generator, generator.random() < 0.5, held_out=True)


def _english_sample(generator: random.Random) -> str:
    text = english_document(generator)
    row = instruction(generator, ENGLISH)
    return f"{text} {row['instruction']} {row['input']} {row['output']}"


def _korean_sample(generator: random.Random) -> str:
    row = instruction(generator, KOREAN)
    return f"{korean_document(generator)} {row['instruction']} {row['input']} {row['output']}"


def _korean_trace(generator: random.Random, num_english: int) -> list[str]:
    trace: list[str] = []
    while sum(map(len, trace)) < KOREAN_SHARE * num_english:
        trace.append(everyday(generator).korean)
    return trace


def _many(generator: random.Random, number: int, make: Callable[[random.Random], Item]) -> list[Item]:
    return [make(generator) for _ in range(number)]


def _distinct(
    generator: random.Random, number: int, make: Callable[[random.Random], Item], key: Callable[[Item], str]
) -> list[Item]:
    """Draw until there are so many things with different keys, in the order in which they came."""
    found: dict[str, Item] = {}
    while len(found) < number:
        made = make(generator)
        found.setdefault(key(made), made)
    return list(found.values())
