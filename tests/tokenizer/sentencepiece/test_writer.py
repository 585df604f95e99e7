from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given as for_all
from hypothesis import strategies as st

from crosstune.tokenizer import given, verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend, padding_ids
from crosstune.tokenizer.learn import LearnRequest, learn_new_pieces
from crosstune.tokenizer.sentencepiece.writer import with_all_merges, write_model

PAIR: list[tuple[BpeTokenizer, BpeTokenizer, sentencepiece.SentencePieceProcessor]] = []


@pytest.fixture(autouse=True, scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
    english: list[str],
    korean: list[str],
    train_sentencepiece: Callable[..., Path],
) -> None:
    folder = tmp_path_factory.mktemp("models")
    model = train_sentencepiece(folder / "base.model", english)
    base = BpeTokenizer(given.load(model, "tokenizer.base.path")[0])
    new = with_all_merges(base, learn_new_pieces(base, korean, LearnRequest("ko", 300, "seen")))
    extended = extend(base, new, 300)
    assert padding_ids(extended)
    write_model(model, folder / "extended.model", base, extended)
    slow = sentencepiece.SentencePieceProcessor(model_file=str(folder / "extended.model"))
    PAIR[:] = [(base, extended, slow)]


def test_every_id_means_the_same_piece() -> None:
    _, extended, slow = PAIR[0]
    assert {slow.id_to_piece(index): index for index in range(slow.get_piece_size())} == extended.pieces


@for_all(st.text(alphabet="학생은 도서관에서책을읽는선님주었다ㅋ\nread the book 1."))
def test_sentencepiece_cuts_as_the_fast_tokenizer(text: str) -> None:
    _, extended, slow = PAIR[0]
    assert slow.encode(text) == extended.encode_lines([text])[0]


def test_every_property_holds_with_all_merges(english: list[str], korean: list[str]) -> None:
    base, extended, _ = PAIR[0]
    report = verify.as_json(verify.verify(base, extended, verify.Samples(english, [], korean, [])))
    assert report["holds"], report
