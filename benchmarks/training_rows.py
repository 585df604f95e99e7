"""The rows and batches that the training benchmarks learn."""

import random

WARMUP_STEPS, TIMED_STEPS = 1, 5

Row = tuple[list[int], int]
"""Tokens, and how many of them are the prompt."""


def make_rows(vocab_size: int, number: int, seed: int) -> list[Row]:
    """Draw rows of assumed lengths: two thirds translations under one instruction of 13 tokens."""
    generator = random.Random(seed)
    instruction = [generator.randrange(3, vocab_size) for _ in range(13)]

    def tokens(length: float) -> list[int]:
        return [generator.randrange(3, vocab_size) for _ in range(max(2, round(length)))]

    rows: list[Row] = []
    for _ in range(number):
        if generator.random() < 0.66:
            source = tokens(generator.lognormvariate(3.0, 0.45))
            prompt = [1, *instruction, *source, *tokens(4)]
            completion = tokens(1.15 * len(source))
        else:
            prompt = [1, *tokens(generator.lognormvariate(3.2, 0.5)), *tokens(4)]
            completion = tokens(min(400, generator.lognormvariate(4.0, 0.9)))
        rows.append(([*prompt, *completion, 2], len(prompt)))
    return rows


def make_batches(rows: list[Row], seed: int, grouped: bool, batch_rows: int) -> list[list[Row]]:
    """Return some batches, in random order: of rows of similar length as HF's grouping makes them, or of any rows."""
    if not grouped:
        return random_batches(rows, seed, WARMUP_STEPS + TIMED_STEPS, batch_rows)
    ordered = sorted(rows, key=lambda row: len(row[0]))
    batches = [ordered[first : first + batch_rows] for first in range(0, len(ordered), batch_rows)]
    random.Random(seed).shuffle(batches)
    # A few batches stand for all: one from each part of the range of lengths.
    wanted = WARMUP_STEPS + TIMED_STEPS
    by_length = sorted(batches, key=lambda batch: len(batch[0][0]))
    chosen = [by_length[(2 * index + 1) * len(by_length) // (2 * wanted)] for index in range(wanted)]
    random.Random(seed).shuffle(chosen)
    # The warm-up takes the longest: what follows finds the memory that it needs, as it does in all but the first steps
    # of a long training.
    longest = max(chosen, key=lambda batch: len(batch[0][0]))
    return [longest, *(batch for batch in chosen if batch is not longest)]


def random_batches(rows: list[Row], seed: int, number: int, batch_rows: int) -> list[list[Row]]:
    """Return batches of rows as they come in training, no row in two of them."""
    drawn = random.Random(seed).sample(rows, number * batch_rows)
    return [drawn[first : first + batch_rows] for first in range(0, len(drawn), batch_rows)]
