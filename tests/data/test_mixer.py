"""A mixture out of rows on disk: nothing depends on how it is cut into buckets."""

import json
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.data import external_shuffle, mixer
from crosstune.data.external_shuffle import Buckets, Spool, mixed
from crosstune.data.mixer import Mixer
from crosstune.data.mixture import Renderer
from crosstune.data.parts import Part
from crosstune.data.rows import Drops
from crosstune.prompts.examples import Example, read_examples
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import MixturePart, Quality, Source

SENTENCE = "나는 오늘 아침에 학교에 가는 길에 오래된 친구를 만나서 함께 커피를 마셨다."
TEXT = Source(kind="text", paths=("f",), language="ko")
PAIRS = Source(kind="parallel", paths=("f",))


class Mixed:
    """A mixture of some parts: (settings, source, rows of texts)."""

    def __init__(
        self,
        folder: Path,
        parts: list[tuple[dict[str, Any], Source, list[dict[str, str]]]],
        seed: int = 1,
        **quality: Any,
    ):
        folder.mkdir(parents=True)
        self.parts = [self._part(folder, index, *part) for index, part in enumerate(parts)]
        made = Mixer(self.parts, Quality.model_validate(quality), seed, folder / "making")
        self.num_steps = made.num_steps
        assert len(list(made.steps(folder / "examples.parquet"))) == made.num_steps
        self.examples: list[Example] = read_examples(folder / "examples.parquet")
        self.drops = [drop for part in self.parts for drop in part.drops.records]

    def _part(
        self, folder: Path, index: int, settings: dict[str, Any], source: Source, rows: list[dict[str, str]]
    ) -> Part:
        part = MixturePart(**{"source": f"s{index}", **settings})
        schema = pa.schema([(name, pa.string()) for name in ("origin", *(rows[0] if rows else ("text",)))])
        written = Spool(folder / f"{index}.arrows", schema)
        for number, texts in enumerate(rows, start=1):
            written.add((f"f:{number}", *texts.values()), 10)
        written.close()
        return Part(part, source, written.path, Renderer(part, source, TEMPLATES["paper-v1"], 1), Drops())


def texts(*values: str) -> list[dict[str, str]]:
    return [{"text": value} for value in values]


def test_duplicates_are_dropped_with_the_place_of_the_first(tmp_path: Path) -> None:
    found = Mixed(tmp_path / "m", [({}, TEXT, texts("가 나", "\u1100\u1161  나", "다"))])
    assert {example.completion for example in found.examples} == {"가 나", "다"}
    (drop,) = found.drops
    assert (drop["reason"], drop["origin"], drop["row"]["same_as"]) == ("duplicate", "f:2", "s0 f:1")
    assert len(Mixed(tmp_path / "all", [({}, TEXT, texts("가", "가"))], drop_duplicates=False).examples) == 2


def test_rows_that_are_equal_only_without_the_border_of_their_texts_are_two(tmp_path: Path) -> None:
    rows = [{"en": "ab", "ko": "c"}, {"en": "a", "ko": "bc"}, {"en": "a", "ko": "bc"}]
    settings = {"directions": ("en-ko",), "instruction_languages": ("en",)}
    found = Mixed(tmp_path / "m", [(settings, PAIRS, rows)])
    assert {example.completion.strip() for example in found.examples} == {"c", "bc"}
    assert [drop["row"]["same_as"] for drop in found.drops] == ["s0 f:2"]


def test_another_source_s_twin_is_a_duplicate_and_the_same_row_in_another_part_is_none(tmp_path: Path) -> None:
    found = Mixed(
        tmp_path / "m", [({}, TEXT, texts("가")), ({}, TEXT, texts("가")), ({"source": "s0"}, TEXT, texts("가"))]
    )
    assert [part.num_used for part in found.parts] == [1, 0, 1]
    assert [drop["row"]["same_as"] for drop in found.drops] == ["s0 f:1"]


def test_near_duplicates_are_dropped_with_the_place_of_the_first(tmp_path: Path) -> None:
    others = ["전혀 다른 문장이 여기에 하나 있고 관계도 없다.", SENTENCE.replace("커피", "홍차"), f"{SENTENCE} 정말."]
    found = Mixed(tmp_path / "m", [({}, TEXT, texts(SENTENCE, *others))], near_duplicate_threshold=0.7)
    assert {example.origin for example in found.examples} == {"f:1", "f:2"}
    assert [(drop["origin"], drop["reason"], drop["row"]["same_as"]) for drop in found.drops] == [
        ("f:3", "near duplicate", "s0 f:1"),
        ("f:4", "near duplicate", "s0 f:1"),
    ]
    strict = Mixed(tmp_path / "strict", [({}, TEXT, texts(SENTENCE, *others))], near_duplicate_threshold=1.0)
    assert len(strict.examples) == 4


@pytest.mark.slow
def test_neither_buckets_nor_the_order_of_the_file_change_a_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [{"en": f"Word {number % 190}.", "ko": f"낱말 {number % 190}."} for number in range(200)]
    both = {"directions": ("en-ko", "ko-en"), "instruction_languages": ("en", "ko"), "wordings": "train"}
    parts: list[tuple[dict[str, Any], Source, list[dict[str, str]]]] = [
        ({**both, "combinations_per_pair": 3, "repeats": 2, "weight": 2.0}, PAIRS, pairs),
        ({"max_rows": 50, "weight": 1.0}, TEXT, texts(*(f"글 {number}" for number in range(120)))),
    ]
    whole = Mixed(tmp_path / "whole", parts)
    monkeypatch.setattr(external_shuffle, "BUCKET_BYTES", 1500)
    cut = Mixed(tmp_path / "cut", parts)
    assert cut.num_steps > whole.num_steps + 30
    assert cut.examples == whole.examples
    assert sorted(drop["origin"] for drop in cut.drops) == sorted(drop["origin"] for drop in whole.drops)
    turned = Mixed(tmp_path / "turned", [(settings, source, rows[::-1]) for settings, source, rows in parts])
    assert [example.completion for example in turned.examples] == [example.completion for example in whole.examples]
    other = Mixed(tmp_path / "other", parts, seed=2)
    assert other.examples != whole.examples
    assert [part.num_examples for part in whole.parts] == [100, 50]


def test_repeats_are_apart_and_each_row_occurs_as_often(tmp_path: Path) -> None:
    found = Mixed(tmp_path / "m", [({"repeats": 3}, TEXT, texts(*map(str, range(50))))])
    assert set(Counter(example.completion for example in found.examples).values()) == {3}
    order = [example.completion for example in found.examples]
    assert order[:50] != order[50:100]


def test_long_documents_lie_in_groups_of_few_that_are_tokenized_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = texts(*(f"{number} {SENTENCE * 20}" for number in range(30)))
    whole = Mixed(tmp_path / "whole", [({}, TEXT, rows)])
    monkeypatch.setattr(mixer, "BYTES_PER_GROUP", 10_000)
    assert Mixed(tmp_path / "parted", [({}, TEXT, rows)]).examples == whole.examples
    sizes = [pq.read_metadata(tmp_path / name / "examples.parquet") for name in ("whole", "parted")]
    assert sizes[0].num_row_groups == 1 and sizes[1].num_row_groups > 5


def test_a_part_without_rows_gives_nothing(tmp_path: Path) -> None:
    found = Mixed(tmp_path / "m", [({}, TEXT, []), ({}, TEXT, texts("가"))])
    assert [example.source for example in found.examples] == ["s1"]


@pytest.mark.slow
@given(st.lists(st.integers(0, 2**64 - 1), max_size=60), st.sampled_from([1, 2, 8]))
def test_buckets_part_by_the_first_bits_and_lose_nothing(values: list[int], number: int) -> None:
    import tempfile

    schema = pa.schema([("key", pa.uint64())])
    with tempfile.TemporaryDirectory() as name:
        buckets = Buckets(Path(name) / "b", schema, number)
        with buckets:
            for first in range(0, len(values), 7):
                keys = np.array(values[first : first + 7], np.uint64)
                buckets.add(pa.RecordBatch.from_arrays([pa.array(keys)], schema=schema), keys)
        parts = [buckets.read(index).column("key").to_pylist() for index in range(number)]
    assert list(chain.from_iterable(map(sorted, parts))) == sorted(values)


def test_stirred_keys_differ_by_salt_and_are_spread_evenly() -> None:
    keys = np.arange(20_000, dtype=np.uint64)
    stirred = mixed(keys, 1, "a")
    assert len(np.unique(stirred)) == len(keys) and not (stirred == mixed(keys, 1, "b")).any()
    counts = np.bincount((stirred >> np.uint64(60)).astype(int), minlength=16)
    # 1,250 in each of sixteen parts; the standard deviation of a fair draw is 34.
    assert abs(counts - 1250).max() < 5 * 34


def test_drops_go_to_a_file_where_they_may_be_many(tmp_path: Path) -> None:
    drops = Drops(tmp_path / "dropped.jsonl")
    drops.add("empty", "s", "f:1", {"text": "\u2028"}, problem="none")
    drops.close()
    assert drops.counts() == {"empty": 1} and drops.records == []
    (line,) = (tmp_path / "dropped.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert json.loads(line) == {
        "reason": "empty",
        "source": "s",
        "origin": "f:1",
        "row": {"text": "\u2028"},
        "problem": "none",
    }
    assert mixer.DUPLICATE == "duplicate"
