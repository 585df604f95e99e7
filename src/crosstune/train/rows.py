"""From a mixture's examples to the token rows that training draws its batches from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from transformers import PreTrainedTokenizerBase

from crosstune.encoding import check_join, encode_completions, encode_prompts
from crosstune.errors import BadInputError
from crosstune.examples import Example
from crosstune.recipe import Stage
from crosstune.terminal import Advance, note, progress

_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that attend to themselves only.

    Attributes:
        tokens: BOS, prompt, completion, EOS.
        num_prompt: how many leading tokens are given, not learnt; at least one, since nothing predicts the first.
        num_bytes: UTF-8 bytes of the supervised text, for bits per byte.
        source: the recipe's name of the corpus.
        origin: file and line of the raw row.
    """

    tokens: tuple[int, ...]
    num_prompt: int
    num_bytes: int
    source: str
    origin: str

    @property
    def num_supervised(self) -> int:
        """Return the number of tokens that the loss counts."""
        return len(self.tokens) - self.num_prompt


# One of the global batch: one instruction, or several short documents up to the maximum length.
Row = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class TooLong:
    """An instruction that was longer than the maximum: how long, and whether it was cut or left out."""

    origin: str
    num_tokens: int
    treatment: Literal["cut", "left out"]


def make_rows(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, stage: Stage
) -> tuple[list[Row], list[TooLong]]:
    """Tokenise a mixture in its order: instructions one to a row, documents packed into rows of the maximum length.

    Raises:
        BadInputError: when an example is too long and the recipe does not say what then, or nothing is left.
    """
    too_long: list[TooLong] = []
    with progress(f"tokenise {stage.mixture}", len(examples)) as advance:
        instructions = _instructions([example for example in examples if example.prompt], tokenizer, advance)
        rows: list[Row] = [(segment,) for segment in _fit(instructions, stage, too_long)]
        documents = [example for example in examples if not example.prompt]
        rows += _pack(_documents(documents, tokenizer, stage, advance), stage.max_length_tokens)
    _say(too_long, stage)
    if not rows:
        raise BadInputError(
            f"mixture {stage.mixture!r} has no row to learn from: its manifest.json says what was dropped, and "
            f"{len(too_long)} examples were longer than max_length_tokens={stage.max_length_tokens}"
        )
    return rows, too_long


def _instructions(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, advance: Advance
) -> Iterator[Segment]:
    for chunk in _chunks(examples):
        prompts = encode_prompts(tokenizer, [example.prompt for example in chunk])
        completions = encode_completions(tokenizer, [example.completion for example in chunk])
        check_join(tokenizer, [(example.prompt, example.completion) for example in chunk], prompts, completions)
        for example, prompt, completion in zip(chunk, prompts, completions, strict=True):
            size = len(example.completion.encode())
            yield Segment((*prompt, *completion), len(prompt), size, example.source, example.origin)
        advance(len(chunk))


def _documents(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, stage: Stage, advance: Advance
) -> Iterator[Segment]:
    """Yield plain text with BOS and EOS; a document that is too long goes on in further segments.

    A further segment begins with the last token of the one before, which predicts its first: every token is supervised
    once, but for the very first.
    """
    end = [int(tokenizer.eos_token_id)]
    stride = stage.max_length_tokens - 1
    for chunk in _chunks(examples):
        for example, encoded in zip(chunk, encode_prompts(tokenizer, [e.completion for e in chunk]), strict=True):
            tokens = (*encoded, *end)
            if len(tokens) < 2:
                raise BadInputError(
                    f"mixture {stage.mixture!r}: {example.origin} has no token to learn: it is empty. Remove the row"
                )
            for first in range(0, len(tokens) - 1, stride):
                last = min(first + stage.max_length_tokens, len(tokens))
                size = _bytes_between(example, (first, last - 1), len(tokens) - 1)
                yield Segment(tokens[first:last], 1, size, example.source, example.origin)
        advance(len(chunk))


def _bytes_between(example: Example, place: tuple[int, int], num_tokens: int) -> int:
    """Return a part's share of a text's bytes, by tokens; the parts of a text add up to the whole."""
    size = len(example.completion.encode())
    return round(size * place[1] / num_tokens) - round(size * place[0] / num_tokens)


def _chunks(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for first in range(0, len(examples), _CHUNK):
        yield examples[first : first + _CHUNK]


def _fit(segments: Iterator[Segment], stage: Stage, too_long: list[TooLong]) -> Iterator[Segment]:
    """Treat instructions that are longer than the maximum as the recipe says, and add them to ``too_long``."""
    limit = stage.max_length_tokens
    for segment in segments:
        if len(segment.tokens) <= limit:
            yield segment
            continue
        if stage.on_too_long == "stop":
            raise BadInputError(
                f"mixture {stage.mixture!r}: {segment.origin} has {len(segment.tokens)} tokens, but max_length_tokens "
                f"is {limit}: raise it, or set on_too_long to drop or truncate"
            )
        # A prompt that fills the row alone leaves nothing to learn.
        is_cut = stage.on_too_long == "truncate" and segment.num_prompt < limit
        too_long.append(TooLong(segment.origin, len(segment.tokens), "cut" if is_cut else "left out"))
        if is_cut:
            num_bytes = segment.num_bytes * (limit - segment.num_prompt) // segment.num_supervised
            yield replace(segment, tokens=segment.tokens[:limit], num_bytes=num_bytes)


def _say(too_long: Sequence[TooLong], stage: Stage) -> None:
    for treatment in ("cut", "left out"):
        origins = [row.origin for row in too_long if row.treatment == treatment]
        if origins:
            limit = stage.max_length_tokens
            note(f"{stage.mixture}: longer than {limit} tokens, {treatment}: {len(origins)} (first: {origins[0]})")


def _pack(segments: Iterator[Segment], max_length: int) -> list[Row]:
    """Fill rows with documents in their order; a document that does not fit begins the next row."""
    rows: list[Row] = []
    row: list[Segment] = []
    length = 0
    for segment in segments:
        if row and length + len(segment.tokens) > max_length:
            rows.append(tuple(row))
            row, length = [], 0
        row.append(segment)
        length += len(segment.tokens)
    return [*rows, tuple(row)] if row else rows
