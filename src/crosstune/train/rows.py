"""From a mixture's examples to the token rows that training draws its batches from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from crosstune.encoding import check_join, encode_completions, encode_prompts
from crosstune.errors import BadInputError
from crosstune.examples import Example
from crosstune.recipe import Stage
from crosstune.terminal import note

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


def make_rows(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, stage: Stage) -> list[Row]:
    """Tokenise a mixture in its order: instructions one to a row, documents packed into rows of the maximum length.

    Raises:
        BadInputError: when an example is too long and the recipe does not say what then, or nothing is left.
    """
    rows: list[Row] = [(segment,) for segment in _fit(_instructions(examples, tokenizer), stage)]
    rows += _pack(_documents(examples, tokenizer, stage.max_length_tokens), stage.max_length_tokens)
    if not rows:
        raise BadInputError(
            f"mixture {stage.mixture!r} has no row to learn from: its manifest.json says what was dropped"
        )
    return rows


def _instructions(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase) -> Iterator[Segment]:
    asked = [example for example in examples if example.prompt]
    for first in range(0, len(asked), _CHUNK):
        chunk = asked[first : first + _CHUNK]
        prompts = encode_prompts(tokenizer, [example.prompt for example in chunk])
        completions = encode_completions(tokenizer, [example.completion for example in chunk])
        check_join(tokenizer, [(example.prompt, example.completion) for example in chunk], prompts, completions)
        for example, prompt, completion in zip(chunk, prompts, completions, strict=True):
            size = len(example.completion.encode())
            yield Segment((*prompt, *completion), len(prompt), size, example.source, example.origin)


def _documents(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Segment]:
    """Yield plain text with BOS and EOS; a document that is too long goes on in further segments, no token lost."""
    texts = [example for example in examples if not example.prompt]
    start = encode_prompts(tokenizer, [""])[0]
    end = [int(tokenizer.eos_token_id)]
    for first in range(0, len(texts), _CHUNK):
        chunk = texts[first : first + _CHUNK]
        for example, encoded in zip(chunk, encode_prompts(tokenizer, [e.completion for e in chunk]), strict=True):
            tokens = encoded + end
            bytes_per_token = len(example.completion.encode()) / max(1, len(tokens) - len(start))
            for begin in range(0, len(tokens), max_length):
                piece = tokens[begin : begin + max_length]
                size = round(bytes_per_token * (len(piece) - 1))
                yield Segment(tuple(piece), 1, size, example.source, example.origin)


def _fit(segments: Iterator[Segment], stage: Stage) -> Iterator[Segment]:
    """Treat instructions that are longer than the maximum as the recipe says."""
    limit = stage.max_length_tokens
    too_long = 0
    for segment in segments:
        if len(segment.tokens) <= limit:
            yield segment
            continue
        if stage.on_too_long == "stop":
            raise BadInputError(
                f"mixture {stage.mixture!r}: {segment.origin} has {len(segment.tokens)} tokens, but max_length_tokens "
                f"is {limit}: raise it, or set on_too_long to drop or truncate"
            )
        too_long += 1
        if stage.on_too_long == "truncate" and segment.num_prompt < limit:
            yield Segment(segment.tokens[:limit], segment.num_prompt, segment.num_bytes, segment.source, segment.origin)
    if too_long:
        done = "cut (those whose prompt alone is too long: left out)" if stage.on_too_long == "truncate" else "left out"
        note(f"{stage.mixture}: {too_long} examples longer than {limit} tokens were {done}")


def _pack(segments: Iterator[Segment], max_length: int) -> list[Row]:
    """Fill rows with documents in their order; a document that does not fit begins the next row."""
    rows: list[Row] = []
    row: list[Segment] = []
    length = 0
    for segment in segments:
        if len(segment.tokens) < 2:  # nothing before its only token predicts it
            continue
        if row and length + len(segment.tokens) > max_length:
            rows.append(tuple(row))
            row, length = [], 0
        row.append(segment)
        length += len(segment.tokens)
    return [*rows, tuple(row)] if row else rows
