"""From examples to token rows: nothing lost, nothing learnt that is given, nothing left out in silence."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from crosstune.errors import BadInputError
from crosstune.prompts.examples import SCHEMA as EXAMPLES
from crosstune.prompts.examples import Example
from crosstune.recipe import Phase
from crosstune.tokens.store import SCHEMA, tokenize
from crosstune.train.rows import Row, Rows, Segment, make_rows
from crosstune.train.too_long import TooLong
from tests.train.conftest import documents, instructions, pairs
from tests.train.conftest import phase as phase_content


def rows_of(examples: list[Example], tokenizer: PreTrainedTokenizerFast, **changes: Any) -> Rows:
    table = pa.Table.from_pylist([example._asdict() for example in examples], schema=EXAMPLES)
    rows, _ = make_rows(tokenize(table, tokenizer), Phase.model_validate_json(json.dumps(phase_content(**changes))))
    return rows


def test_exactly_the_completion_and_eos_are_supervised(base_tokenizer: PreTrainedTokenizerFast) -> None:
    for example, row in zip(pairs(), rows_of(pairs(), base_tokenizer), strict=True):
        (segment,) = row
        assert segment.tokens[0] == base_tokenizer.bos_token_id and segment.tokens[-1] == base_tokenizer.eos_token_id
        assert base_tokenizer.decode(segment.tokens[1 : segment.num_prompt]) == example.prompt
        assert base_tokenizer.decode(segment.tokens[1:-1]) == example.prompt + example.completion
        assert segment.num_bytes == len(example.completion.encode())
        assert segment.num_supervised == len(segment.tokens) - segment.num_prompt


@pytest.mark.parametrize("max_length", [2, 7, 30, 200])
def test_packed_text_loses_no_token_and_supervises_each_once(
    base_tokenizer: PreTrainedTokenizerFast, max_length: int
) -> None:
    rows = rows_of(documents(), base_tokenizer, max_length_tokens=max_length)
    assert all(sum(len(segment.tokens) for segment in row) <= max_length for row in rows)
    learnt: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}
    everything = range(len(rows))
    for segment, origin in zip(rows.segments(everything), rows.origins(everything), strict=True):
        learnt.setdefault(origin, []).extend(segment.tokens[segment.num_prompt :])
        sizes[origin] = sizes.get(origin, 0) + segment.num_bytes
    expected: dict[str, list[int]] = {}
    expected_sizes: dict[str, int] = {}
    for document in documents():
        tokens = base_tokenizer(document.completion, add_special_tokens=False)["input_ids"]
        expected.setdefault(document.origin, []).extend([*tokens, base_tokenizer.eos_token_id])
        size = len(document.completion.encode())
        expected_sizes[document.origin] = expected_sizes.get(document.origin, 0) + size
    assert learnt == expected and sizes == expected_sizes


def test_short_documents_fill_rows_and_begin_anew_in_each(base_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = rows_of(documents(), base_tokenizer, max_length_tokens=100)
    assert len(rows) < len(documents()) / 2
    assert all(segment.tokens[0] == base_tokenizer.bos_token_id for row in rows for segment in row)
    used = [sum(len(segment.tokens) for segment in row) for row in rows]
    assert sum(used) / (100 * len(used)) > 0.7


def test_text_replayed_among_instructions_is_learnt_from_its_first_token(
    base_tokenizer: PreTrainedTokenizerFast,
) -> None:
    replayed = [Example("", f"the cat {verb}. " * 3, "en", "english", f"e:{verb}") for verb in ("sleeps", "runs")]
    rows = rows_of([*pairs(), *replayed], base_tokenizer)
    segments = rows.segments(range(len(rows)))
    assert rows.origins(range(len(rows))) == [example.origin for example in [*pairs(), *replayed]]
    for example, segment in zip([*pairs(), *replayed], segments, strict=True):
        assert (segment.num_supervised == len(segment.tokens) - 1) == (example in replayed)
        assert segment.language == example.language and segment.num_bytes == len(example.completion.encode())


def test_a_too_long_example_stops_with_its_origin(base_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(BadInputError, match=r"mixture 'paper': p:0 has \d+ tokens, but max_length_tokens is 10.*drop"):
        rows_of(pairs(), base_tokenizer, max_length_tokens=10)


def test_too_long_examples_are_dropped_and_counted(
    base_tokenizer: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]
) -> None:
    lengths = [len(row[0].tokens) for row in rows_of(instructions(), base_tokenizer)]
    limit = sorted(lengths)[4]
    rows = rows_of(instructions(), base_tokenizer, max_length_tokens=limit, on_too_long="drop")
    long = [index for index, length in enumerate(lengths) if length > limit]
    assert len(rows) == len(lengths) - len(long) and long
    said = " ".join(capsys.readouterr().err.split())
    assert f"paper: longer than {limit} tokens, dropped: {len(long)} (first: a:{long[0] + 1})" in said


def test_too_long_examples_are_cut_and_their_bytes_with_them(base_tokenizer: PreTrainedTokenizerFast) -> None:
    whole = rows_of(instructions(), base_tokenizer)
    limit = sorted(len(row[0].tokens) for row in whole)[4]
    cut = rows_of(instructions(), base_tokenizer, max_length_tokens=limit, on_too_long="truncate")
    assert len(cut) == len(whole) and max(len(row[0].tokens) for row in cut) == limit
    for (long,), (short,) in zip(whole, cut, strict=True):
        assert short.tokens == long.tokens[:limit]
        assert short.num_bytes / long.num_bytes == pytest.approx(short.num_supervised / long.num_supervised, abs=0.05)


def test_a_mixture_that_leaves_no_row_is_an_error(base_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(
        BadInputError,
        match=r"mixture 'paper' has no usable row.*20 examples were longer than max_length_tokens=10",
    ):
        rows_of(pairs(), base_tokenizer, max_length_tokens=10, on_too_long="drop")


def test_a_document_without_a_token_to_learn_is_an_error(base_tokenizer: PreTrainedTokenizerFast) -> None:
    without_bos = PreTrainedTokenizerFast(tokenizer_object=base_tokenizer.backend_tokenizer, eos_token="</s>")
    with pytest.raises(BadInputError, match="k:1 has no supervised token: its completion is empty"):
        rows_of([Example("", "", "ko", "korean", "k:1")], without_bos)


RowWithOrigins = list[tuple[Segment, str]]


def by_hand(tokens: pa.Table, limit: int, on_too_long: str) -> tuple[list[RowWithOrigins], list[TooLong]]:
    """Lay rows out one after the other, as one would write it down."""
    rows: list[RowWithOrigins] = []
    texts: RowWithOrigins = []
    too_long: list[TooLong] = []
    for found in tokens.to_pylist():
        names, origin = ("num_prompt", "num_bytes", "language", "source"), found["origin"]
        segment = Segment(tuple(found["tokens"]), *(found[name] for name in names))
        if found["is_text"]:
            num_learnt = len(segment.tokens) - 1
            for first in range(0, num_learnt, limit - 1):
                last = min(first + limit, len(segment.tokens))
                ends = [round(segment.num_bytes * place / num_learnt) for place in (first, last - 1)]
                part = replace(segment, tokens=segment.tokens[first:last], num_bytes=ends[1] - ends[0])
                texts.append((part, origin))
        elif len(segment.tokens) <= limit:
            rows.append([(segment, origin)])
        else:
            is_cut = on_too_long == "truncate" and segment.num_prompt < limit
            too_long.append(TooLong(origin, len(segment.tokens), "cut" if is_cut else "dropped"))
            if is_cut:
                size = segment.num_bytes * (limit - segment.num_prompt) // segment.num_supervised
                rows.append([(replace(segment, tokens=segment.tokens[:limit], num_bytes=size), origin)])
    filled: RowWithOrigins = []
    for text in texts:
        if filled and sum(len(one.tokens) for one, _ in [*filled, text]) > limit:
            rows.append(filled)
            filled = []
        filled.append(text)
    return [*rows, *([filled] if filled else [])], too_long


@st.composite
def token_tables(draw: st.DrawFn) -> pa.Table:
    """Draw examples in several chunks, as a file of several batches has them, some of them a slice of a longer one."""
    chunks = []
    for _ in range(draw(st.integers(1, 4))):
        rows = []
        for place in range(draw(st.integers(1, 6))):
            size, is_text = draw(st.integers(2, 25)), draw(st.booleans())
            num_prompt = 1 if is_text else draw(st.integers(1, size - 1))
            row = {"tokens": draw(st.lists(st.integers(0, 99), min_size=size, max_size=size)), "crosses": False}
            row |= {"num_prompt": num_prompt, "num_bytes": draw(st.integers(1, 300)), "is_text": is_text}
            language, source = draw(st.sampled_from(["en", "ko"])), draw(st.sampled_from("abc"))
            rows.append(row | {"language": language, "source": source, "origin": f"{source}:{place}"})
        chunks.append(pa.Table.from_pylist(rows, schema=SCHEMA).slice(draw(st.integers(0, 1))))
    return pa.concat_tables(chunks)


@pytest.mark.slow
@given(token_tables(), st.integers(2, 30), st.sampled_from(["drop", "truncate"]))
@settings(max_examples=150)
def test_rows_on_the_disk_are_those_laid_out_one_after_the_other(table: pa.Table, limit: int, on_too_long: str) -> None:
    laid_out, expected_too_long = by_hand(table, limit, on_too_long)
    expected: list[Row] = [tuple(segment for segment, _ in row) for row in laid_out]
    content = phase_content(max_length_tokens=limit, on_too_long=on_too_long)
    assume(expected)
    rows, too_long = make_rows(table, Phase.model_validate_json(json.dumps(content)))
    assert list(rows) == expected and list(too_long) == expected_too_long
    assert rows.corpora == sorted({segment.corpus for row in expected for segment in row})
    places = np.arange(len(rows))[::-1]
    assert rows.segments(places) == [segment for row in reversed(expected) for segment in row]
    assert rows.lengths(places).tolist() == [sum(len(one.tokens) for one in row) for row in reversed(expected)]
    assert rows.supervised().tolist() == [sum(one.num_supervised for one in row) for row in expected]
    origins = [origin for row in laid_out for _, origin in row]
    assert rows.origins(range(len(rows))) == origins
    assert list(Rows.of(expected)) == expected and Rows.of(expected, origins).origins(range(len(rows))) == origins
