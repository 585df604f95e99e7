import json
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import BadInputError
from crosstune.recipe import Languages
from crosstune.tokenizer import verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.learn import NewPieces, Wish, learn_new_pieces

LANGUAGES = Languages(source="en", target="ko")


def samples(english: list[str], korean: list[str], promised: list[str]) -> verify.Samples:
    return verify.Samples(english, ["日本"], [*korean, *verify.AWKWARD], promised)


def failed(properties: list[verify.Property]) -> dict[str, list[Any]]:
    return {item.name: item.failures for item in properties if item.failures}


def test_a_learnt_extension_holds_every_property(
    byte_level_base: BpeTokenizer, any_base: BpeTokenizer, english: list[str], korean: list[str]
) -> None:
    for base in (byte_level_base, any_base):
        new = learn_new_pieces(base, korean, Wish("ko", 600, "seen"))
        properties = verify.verify(base, extend(base, new, 600), samples(english, korean, new.promised))
        assert failed(properties) == {}
        assert all(item.checked > 0 for item in properties)


def test_lines_are_parted_by_the_letters_in_them() -> None:
    lines = ["Café, 3!", "책 a", "日本", "", "naïve – “x”", "привет"]
    assert verify.part_lines(lines, LANGUAGES) == {
        "source": ["Café, 3!", "", "naïve – “x”"],
        "target": ["책 a"],
        "other": ["日本", "привет"],
    }


def test_a_merge_that_touches_english_is_found_with_every_line(
    small_base: BpeTokenizer, english: list[str], korean: list[str]
) -> None:
    extended = extend(small_base, NewPieces(["▁theb"], [("▁the", "b")]), 4)
    found = failed(verify.verify(small_base, extended, samples(["thebes", "the book", "a thebe"], korean, [])))
    assert list(found) == ["source-language text is cut as before"]
    first, second = found["source-language text is cut as before"]
    assert (first["text"], second["text"]) == ("thebes", "a thebe")
    assert first["before"][0] == "▁the" and first["after"][0] == "▁theb"


def test_the_share_of_the_cases_in_which_a_property_holds_is_reported() -> None:
    properties = [verify.Property("some", 8, ["a", "b"]), verify.Property("none checked", 0)]
    assert [row["share"] for row in verify.as_json(properties)["properties"]] == [0.75, 1.0]


def test_a_promised_character_without_a_piece_is_found(small_base: BpeTokenizer, korean: list[str]) -> None:
    found = failed(
        verify.verify(small_base, extend(small_base, NewPieces(["책"]), 1), samples([], korean, ["책", "뷁"]))
    )
    assert [case["text"] for case in found["promised characters never fall apart into bytes"]] == ["뷁", " 뷁"]


def test_a_dead_piece_is_found_and_only_counted_where_others_made_the_tokenizer(
    small_base: BpeTokenizer, korean: list[str]
) -> None:
    extended = extend(small_base, NewPieces(["책을"]), 1)
    wanted = samples([], korean, [])
    learnt = verify.as_json(verify.verify(small_base, extended, wanted))
    assert not learnt["holds"]
    allowed = verify.Samples([], [], korean, [], dead_allowed=True)
    taken = verify.as_json(verify.verify(small_base, extended, allowed))
    assert taken["holds"]
    assert [row["failures"] for row in taken["properties"] if not row["holds"]] == [["책을"]]


def test_a_moved_piece_is_found(small_base: BpeTokenizer, korean: list[str]) -> None:
    extended = extend(small_base, NewPieces(["책"]), 1)
    vocabulary = dict(extended.pieces)
    vocabulary["he"], vocabulary["in"] = vocabulary["in"], vocabulary["he"]
    moved = BpeTokenizer(extended.content | {"model": extended.content["model"] | {"vocab": vocabulary}})
    with pytest.raises(BadInputError):
        verify.verify(small_base, moved, samples([], korean, []))


def test_text_that_does_not_survive_is_found(small_base: BpeTokenizer, korean: list[str]) -> None:
    extended = extend(small_base, NewPieces(["책"]), 1)
    broken = BpeTokenizer(extended.content | {"decoder": {"type": "Fuse"}})
    found = failed(verify.verify(small_base, broken, samples([], korean, [])))
    assert len(found["all 11,172 Hangul syllables survive"]) == 11172
    assert found["target text survives encoding and decoding"]
    assert found["spaces, emoji and mixed text survive"]


def test_a_failure_stops_the_stage_and_leaves_every_case_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "failed_verification.json"
    report = verify.as_json([verify.Property("it is so", 9, ["a", "b"]), verify.Property("counted", 9, ["c"], False)])
    with pytest.raises(
        BadInputError, match=r"it is so: fails in 2 of 9 cases, first a\nEvery case is in .*kind: learned"
    ):
        verify.refuse_failures(report, path)
    assert json.loads(path.read_text())["properties"][0]["failures"] == ["a", "b"]
    verify.refuse_failures(verify.as_json([verify.Property("it is so", 9)]), path)
    assert not path.exists()
