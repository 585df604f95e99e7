import json
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import BadInputError
from crosstune.languages.characters import every_letter
from crosstune.recipe import Languages
from crosstune.tokenizer import verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.learn import LearnRequest, NewPieces, learn_new_pieces
from crosstune.tokenizer.learn_base import learn_base
from crosstune.tokenizer.line_kinds import part_lines
from tests.tokenizer.conftest import byte_level

LANGUAGES = Languages(source="en", target="ko")
LETTERS = every_letter("ko", "en")


def samples(english: list[str], korean: list[str], promised: list[str]) -> verify.Samples:
    return verify.Samples(english, ["日本"], [*korean, *verify.AWKWARD], promised, letters=LETTERS)


def failed(properties: list[verify.Property]) -> dict[str, list[Any]]:
    return {item.name: item.failures for item in properties if item.failures}


@pytest.mark.slow
def test_a_learnt_extension_holds_every_property(
    byte_level_base: BpeTokenizer, any_base: BpeTokenizer, english: list[str], korean: list[str]
) -> None:
    for base in (byte_level_base, any_base):
        new = learn_new_pieces(base, korean, LearnRequest("ko", 600, "seen"))
        properties = verify.verify(base, extend(base, new, 600), samples(english, korean, new.promised))
        assert failed(properties) == {}
        assert all(item.checked > 0 for item in properties)


def test_lines_are_parted_by_the_letters_in_them() -> None:
    lines = ["Café, 3!", "책 a", "日本", "", "naïve – “x”", "привет"]
    assert part_lines(lines, LANGUAGES) == {
        "source": ["Café, 3!", "", "naïve – “x”"],
        "target": ["책 a"],
        "other": ["日本", "привет"],
    }


def test_english_with_signs_that_begin_like_target_letters_is_counted_and_not_refused(english: list[str]) -> None:
    languages = Languages(source="en", target="th")
    lines = ["It costs ฿500, page ๑๒.", "It costs €500 – “x” 👍", "ราคา"]
    parted = part_lines(lines, languages)
    assert parted == {"source": [lines[1]], "other": [lines[0]], "target": [lines[2]]}
    base = byte_level(english, 360, ignore_merges=False)
    new = learn_new_pieces(base, ["ราคา ภาษาไทย"] * 4, LearnRequest("th", 100, "seen"))
    found = verify.verify(
        base, extend(base, new, 100), verify.Samples(parted["source"], parted["other"], parted["target"], new.promised)
    )
    assert {item.name: item.required for item in found if item.failures} == {
        "text in other scripts is tokenized as before": False
    }


@pytest.mark.slow
def test_a_merge_that_touches_english_is_found_with_every_line(
    small_base: BpeTokenizer, english: list[str], korean: list[str]
) -> None:
    extended = extend(small_base, NewPieces(["▁theb"], [("▁the", "b")]), 4)
    found = failed(verify.verify(small_base, extended, samples(["thebes", "the book", "a thebe"], korean, [])))
    assert list(found) == ["source-language text is tokenized as before"]
    first, second = found["source-language text is tokenized as before"]
    assert (first["text"], second["text"]) == ("thebes", "a thebe")
    assert first["before"][0] == "▁the" and first["after"][0] == "▁theb"


def test_the_share_of_the_cases_in_which_a_property_holds_is_reported() -> None:
    properties = [verify.Property("some", 8, ["a", "b"]), verify.Property("none checked", 0)]
    assert [row["share"] for row in verify.as_json(properties)["properties"]] == [0.75, 1.0]


def test_a_promised_character_without_a_piece_is_found(small_base: BpeTokenizer, korean: list[str]) -> None:
    found = failed(
        verify.verify(small_base, extend(small_base, NewPieces(["책"]), 1), samples([], korean, ["책", "뷁"]))
    )
    assert [case["text"] for case in found["required characters are never split into bytes"]] == ["뷁", " 뷁"]


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


def with_model(tokenizer: BpeTokenizer, **changed: Any) -> BpeTokenizer:
    return BpeTokenizer(tokenizer.content | {"model": tokenizer.content["model"] | changed})


def misreading(tokenizer: BpeTokenizer, text: str, as_text: str) -> BpeTokenizer:
    """The tokenizer with a decoder that gives back another text for one."""
    replace = {"type": "Replace", "pattern": {"String": text}, "content": as_text}
    steps = [*tokenizer.content["decoder"]["decoders"], replace]
    return BpeTokenizer(tokenizer.content | {"decoder": {"type": "Sequence", "decoders": steps}})


class TestEachPropertyIsBrokenByATokenizerOfItsOwn:
    """What a check lets pass that is weakened or switched off, no other check finds."""

    @pytest.fixture
    def extended(self, small_base: BpeTokenizer) -> BpeTokenizer:
        return extend(small_base, NewPieces(["책", "을"]), 4)

    @pytest.mark.slow
    def test_old_pieces_that_change_places(self, small_base: BpeTokenizer, extended: BpeTokenizer) -> None:
        vocabulary = dict(extended.pieces)
        vocabulary["<0xFE>"], vocabulary["<0xFF>"] = vocabulary["<0xFF>"], vocabulary["<0xFE>"]
        moved = with_model(extended, vocab=vocabulary)
        found = failed(verify.verify(small_base, moved, samples(["The book."], ["책을"], [])))
        assert list(found) == ["old pieces keep their ids"]
        assert {case["piece"] for case in found["old pieces keep their ids"]} == {"<0xFE>", "<0xFF>"}

    def test_a_control_token_that_falls_apart(self, small_base: BpeTokenizer, extended: BpeTokenizer) -> None:
        kept = [token for token in extended.content["added_tokens"] if token["content"] != "</s>"]
        broken = BpeTokenizer(extended.content | {"added_tokens": kept})
        found = failed(verify.verify(small_base, broken, samples(["The"], ["책을"], [])))
        assert list(found) == ["added tokens are recognized in text as before"]
        assert found["added tokens are recognized in text as before"][0]["before"] == ["</s>"]

    def test_a_bos_that_is_gone(self, small_base: BpeTokenizer, extended: BpeTokenizer) -> None:
        broken = BpeTokenizer(extended.content | {"post_processor": None})
        found = failed(verify.verify(small_base, broken, samples(["The"], ["책을"], [])))
        assert list(found) == ["special tokens are added to a text as before"]

    def test_source_text_that_is_cut_into_as_many_other_pieces(self, english: list[str]) -> None:
        # "abc" is ab + c by the base, and a + bc where the merge of b and c goes first.
        base = BpeTokenizer(learn_base([*english, "ab ab ab bc bc abc"], 420, "ko"))
        old = base.with_pieces(["ab", "bc"], [("a", "b"), ("b", "c")])
        new = extend(old, NewPieces(["책"]), 1)
        exchanged = with_model(
            new, merges=[["b", "c"], *(m for m in new.content["model"]["merges"] if m != ["b", "c"])]
        )
        assert len(old.encode_lines(["xabc"])[0]) == len(exchanged.encode_lines(["xabc"])[0])
        found = failed(verify.verify(old, exchanged, samples(["xabc", "The"], ["책"], [])))
        assert list(found) == ["source-language text is tokenized as before"]

    def test_target_text_that_comes_back_otherwise(self, small_base: BpeTokenizer, extended: BpeTokenizer) -> None:
        broken = misreading(extended, "책을", "책 을")
        found = failed(verify.verify(small_base, broken, samples(["The"], ["책을"], [])))
        assert list(found) == ["target text survives encoding and decoding"]

    def test_a_letter_that_comes_back_otherwise(self, small_base: BpeTokenizer, extended: BpeTokenizer) -> None:
        found = failed(verify.verify(small_base, misreading(extended, "뷃", "?"), samples(["The"], ["책을"], [])))
        assert found == {"every letter of the target language survives": [{"text": "뷃", "decoded": "?"}]}

    def test_emoji_that_come_back_otherwise(self, small_base: BpeTokenizer, extended: BpeTokenizer) -> None:
        wanted = verify.Samples(["The"], [], ["책을"], [], letters=LETTERS)
        found = failed(verify.verify(small_base, misreading(extended, "👍", "?"), wanted))
        assert list(found) == ["spaces, emoji and mixed text survive"]

    @pytest.mark.slow
    def test_a_promised_character_without_a_piece(self, small_base: BpeTokenizer, extended: BpeTokenizer) -> None:
        found = failed(verify.verify(small_base, extended, samples(["The"], ["책을"], ["책", "뷁"])))
        assert list(found) == ["required characters are never split into bytes"]

    @pytest.mark.slow
    def test_a_piece_that_the_pre_tokenizer_cuts_apart(self, byte_level_base: BpeTokenizer) -> None:
        # The model alone would give the word; the base's regular expression parts it at its vowel sign.
        word, parts = byte_level_base.internal("है"), list(byte_level_base.internal("है"))
        steps = [("".join(parts[:end]), parts[end]) for end in range(1, len(parts))]
        extended = extend(byte_level_base, NewPieces([left + right for left, right in steps], steps), len(steps))
        assert extended.cut(word) == [word]
        found = failed(verify.verify(byte_level_base, extended, samples(["The"], ["책을"], [])))
        assert list(found) == ["the text of every new piece is tokenized into that piece"]
        assert word in found["the text of every new piece is tokenized into that piece"]

    def test_a_dummy_that_is_produced(self, small_base: BpeTokenizer) -> None:
        padded = extend(small_base, NewPieces(["책", "을"]), 4)
        dummy = {"id": padded.pieces["<crosstune_pad_1>"], "content": "<crosstune_pad_1>", "special": False}
        settings = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        added = [*padded.content["added_tokens"], dummy | settings]
        produced = BpeTokenizer(padded.content | {"added_tokens": added})
        found = failed(verify.verify(small_base, produced, samples(["The"], ["책을"], [])))
        assert list(found) == ["dummy pieces are never produced"]

    def test_added_tokens_that_loading_numbers_anew(self, byte_level_base: BpeTokenizer) -> None:
        # Special tokens above the vocabulary must become its entries, or new pieces take their ids.
        good = extend(byte_level_base, NewPieces(["Ġ책"]), 1)
        special = {token["content"] for token in byte_level_base.content["added_tokens"]}
        kept = {piece: index for piece, index in good.content["model"]["vocab"].items() if piece not in special}
        wanted = verify.Samples(["The"], [], [], [], dead_allowed=True, letters=[])
        properties = verify.verify(byte_level_base, with_model(good, vocab=kept), wanted)
        found = [item.name for item in properties if item.failures and item.required]
        assert found == ["saving and loading keeps the ids of texts"]


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
