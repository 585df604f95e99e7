"""Text to tokens, the same way in training, evaluation and chat: prompt and completion are tokenized apart."""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from transformers import PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.models.chat_template import control_tokens
from crosstune.prompts.controls import TEXT
from crosstune.terminal.output import note
from crosstune.tokens.added_tokens import AddedTokens, CutPairs
from crosstune.tokens.backends import encode_marked, plain
from crosstune.tokens.word_borders import SPACE, borders_of
from crosstune.tokens.word_cache import NOTHING, CachedWordTokenizer

ENCODED = pa.schema([("tokens", pa.large_list(pa.int32())), ("num_prompt", pa.int32()), ("crosses", pa.bool_())])
_TOKENS = ENCODED.field("tokens").type

# Set before a completion while it is tokenized, and taken off again: SentencePiece puts a space before every text,
# which would stand between prompt and completion. A newline is a piece of its own there and never merges.
_ANCHOR = "\n"
# Of so many rows that are tokenized word by word one is tokenized whole, too.
_ROWS_PER_COMPARED = 256


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str, with_controls: bool = False) -> list[int]:
    """Return BOS, if the tokenizer has one, and the prompt's tokens; see `encode_prompts`."""
    return encode_prompts(tokenizer, [prompt], with_controls)[0]


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], with_controls: bool = False
) -> list[list[int]]:
    """Return BOS, if the tokenizer has one, and the prompt's tokens, for each prompt; an empty prompt is BOS alone.

    What looks like a control token is text, unless a chat template wrote the prompt (``with_controls``): it writes
    control tokens by their names, and marks those that stand in its users' texts (`prompts.controls`).
    """
    start = _start(tokenizer)
    return [start + tokens for tokens in _encode(tokenizer, prompts, with_controls)]


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str, with_controls: bool = False) -> list[int]:
    """Return the tokens of a text, without BOS and EOS; see `encode_prompts`."""
    return _encode(tokenizer, [text], with_controls)[0]


def encode_examples(
    tokenizer: PreTrainedTokenizerBase, prompts: pa.Array, completions: pa.Array, with_controls: bool = False
) -> pa.Table:
    """Return the tokens of examples, one row each, whose last one is EOS; plain text has an empty prompt.

    ``with_controls``: whether a chat template wrote them, whose control tokens stand there by their names.

    Columns: ``tokens`` (BOS, prompt, completion, EOS); ``num_prompt`` (how many of them are given, not learnt: at least
    one, since nothing predicts the first); ``crosses`` (whether the whole text, tokenized at once, has a piece across
    the border of prompt and completion).

    Raises:
        BadInputError: when the tokens of prompt and completion, joined, say something else than the whole text.
    """
    prompts, completions = prompts.cast(pa.large_string()), completions.cast(pa.large_string())
    is_text = pc.equal(prompts, "")
    # A plain text begins its row as a prompt does.
    given, learnt = pc.if_else(is_text, completions, prompts), pc.if_else(is_text, NOTHING, completions)
    words, by_words = word_encoder(tokenizer, with_controls), np.zeros(len(given), bool)
    parts: list[pa.Table] = []
    if words:
        by_words, pairs = words.cut(given, learnt)
        parts = [_encode_by_words_if_equal(tokenizer, words, pairs, with_controls)]
    if not by_words.all() or not parts:
        left, right = (texts.filter(~by_words).to_pylist() for texts in (given, learnt))
        parts.append(_encode_pairs(tokenizer, left, right, with_controls))
    table = pa.concat_tables(parts)
    if len(parts) > 1:
        table = table.take(np.argsort(np.concatenate([np.flatnonzero(by_words), np.flatnonzero(~by_words)])))
    table = table.combine_chunks()
    num_prompt = pc.if_else(is_text, 1, pc.max_element_wise(table["num_prompt"], 1))
    return table.set_column(1, ENCODED.field("num_prompt"), num_prompt.cast(pa.int32()))


def _encode_pairs(
    tokenizer: PreTrainedTokenizerBase, given: Sequence[str], learnt: Sequence[str], with_controls: bool = False
) -> pa.Table:
    """Encode pairs of texts, and check that what is joined says the same as the whole text tokenized at once."""
    first, end = encode_prompts(tokenizer, given, with_controls), [int(tokenizer.eos_token_id)]
    behind = encode_behind(tokenizer, learnt, with_controls)
    rows = [left + right for left, right in zip(first, behind, strict=True)]
    joined = [left + right for left, right in zip(given, learnt, strict=True)]
    whole = encode_prompts(tokenizer, joined, with_controls)
    crosses = [left != right for left, right in zip(rows, whole, strict=True)]
    # Equal tokens say the same; only the others are decoded.
    for index in that_differ(tokenizer, rows, whole, np.flatnonzero(crosses).tolist()):
        said, meant = (str(tokenizer.decode(tokens[index])) for tokens in (rows, whole))
        if said != meant:
            raise BadInputError(
                f"prompt and completion, tokenized apart, say {said[-80:]!r}, but together they say {meant[-80:]!r}: "
                f"this tokenizer changes text at the border of {given[index][-20:]!r}. Use another prompt template."
            )
    columns = [pa.array([row + end for row in rows], _TOKENS), [len(tokens) for tokens in first], crosses]
    return pa.table(columns, schema=ENCODED)


def that_differ(
    tokenizer: PreTrainedTokenizerBase, left: Sequence[list[int]], right: Sequence[list[int]], places: Sequence[int]
) -> Iterator[int]:
    """Yield the places at which two lists of tokens say something else, before transformers tidies it up."""
    said, meant = (
        tokenizer.backend_tokenizer.decode_batch([rows[place] for place in places], skip_special_tokens=False)
        for rows in (left, right)
    )
    yield from (place for place, one, other in zip(places, said, meant, strict=True) if one != other)


def _encode_by_words_if_equal(
    tokenizer: PreTrainedTokenizerBase, words: CachedWordTokenizer, pairs: CutPairs, with_controls: bool
) -> pa.Table:
    """Encode pairs by words where a sample of them has the tokenizer's own tokens, else all of them by the tokenizer.

    That no piece crosses the border of a word follows from the tokenizer's file as we read it. This looks at what comes
    of it.
    """
    table = _encode_by_words(tokenizer, words, pairs, with_controls)
    sample = np.arange(0, len(table), _ROWS_PER_COMPARED)
    own = _encode_pairs(tokenizer, *pairs.texts(sample), with_controls)
    if table.take(sample).to_pydict() == own.to_pydict():
        return table
    note(
        "Texts are tokenized whole and not word by word, which gave other tokens than the tokenizer: right and slower."
    )
    return _encode_pairs(tokenizer, *pairs.texts(range(len(table))), with_controls)


def _encode_by_words(
    tokenizer: PreTrainedTokenizerBase, words: CachedWordTokenizer, pairs: CutPairs, with_controls: bool
) -> pa.Table:
    """Encode pairs of texts as `_encode_pairs` does, in a tenth of its time."""
    encoded = words.encode(pairs)
    unknown = [parts for parts in encoded.crossing if parts not in words.joins]
    _encode_pairs(tokenizer, [left for left, _ in unknown], [right for _, right in unknown], with_controls)
    words.joins.update(unknown)
    start = _start(tokenizer)
    values = np.insert(encoded.tokens, encoded.offsets[1:], tokenizer.eos_token_id)
    offsets = encoded.offsets + np.arange(len(encoded.offsets))
    if start:
        values = np.insert(values, offsets[:-1], start[0])
        offsets = offsets + np.arange(len(offsets))
    tokens = pa.LargeListArray.from_arrays(offsets, values)
    num_prompt = pa.array(encoded.num_first + len(start), pa.int32())
    return pa.table([tokens, num_prompt, encoded.crosses], schema=ENCODED)


@lru_cache(maxsize=4)
def word_encoder(tokenizer: PreTrainedTokenizerBase, with_controls: bool) -> CachedWordTokenizer | None:
    """Return what encodes word by word as a tokenizer does at once; None where it does not cut at words."""
    borders, puts_a_space_before = borders_of(tokenizer), _puts_a_space_before(tokenizer)
    as_text = {} if with_controls else control_tokens(tokenizer)
    tokens = {index: token for index, token in tokenizer.added_tokens_decoder.items() if token.content not in as_text}
    # Words are set apart by spaces and newlines there.
    joined = puts_a_space_before and any({" ", SPACE, "\n"}.intersection(token.content) for token in tokens.values())
    if borders is None or joined:
        return None
    added = AddedTokens(tokens, tokenizer.backend_tokenizer.normalizer is not None)
    behind = partial(encode_behind, tokenizer, with_controls=with_controls)
    return CachedWordTokenizer(borders, added, behind, puts_a_space_before)


def _start(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]


def encode_behind(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], with_controls: bool = False
) -> list[list[int]]:
    """Return the tokens of texts as they stand behind other text."""
    if not _puts_a_space_before(tokenizer):
        return _encode(tokenizer, texts, with_controls)
    anchor = _encode(tokenizer, [_ANCHOR])[0]
    anchored = _encode(tokenizer, [_ANCHOR + text for text in texts], with_controls)
    for text, tokens in zip(texts, anchored, strict=True):
        if tokens[: len(anchor)] != anchor:
            raise BadInputError(
                f"the completion {text[:60]!r} cannot be tokenized apart from its prompt: this tokenizer puts a "
                "space before every text, and merges newlines. Use a tokenizer whose newline is a piece of its own."
            )
    return [tokens[len(anchor) :] for tokens in anchored]


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], with_controls: bool = False) -> list[list[int]]:
    backend = tokenizer.backend_tokenizer if with_controls else plain(tokenizer)
    # Settings that an earlier call of the tokenizer may have left behind.
    backend.no_padding()
    backend.no_truncation()
    found = [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
    if with_controls:
        found = [
            encode_marked(tokenizer, text) if TEXT in text else ids for text, ids in zip(texts, found, strict=True)
        ]
    return found


def _puts_a_space_before(tokenizer: PreTrainedTokenizerBase) -> bool:
    pieces = tokenizer.convert_ids_to_tokens(_encode(tokenizer, ["a"])[0])
    return bool(pieces[0].startswith(SPACE))
