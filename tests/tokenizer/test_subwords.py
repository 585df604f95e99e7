from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.learn import LearnRequest, learn_new_pieces
from crosstune.tokenizer.subwords import subwords


def test_the_old_pieces_of_a_new_piece_spell_it_and_nothing_else(any_base: BpeTokenizer, korean: list[str]) -> None:
    extended = extend(any_base, learn_new_pieces(any_base, korean, LearnRequest("ko", 600, "seen")), 600)
    found = subwords(any_base, extended)
    assert (found["old_size"], found["new_size"]) == (any_base.size, any_base.size + 600)
    assert len(found["subwords"]) == 600
    piece_of = {index: piece for piece, index in extended.pieces.items()}
    for offset, old_ids in enumerate(found["subwords"]):
        index = found["old_size"] + offset
        if index in found["padding"]:
            assert old_ids == []
        else:
            assert max(old_ids) < found["old_size"]
            text = extended.surface(piece_of[index])
            if text is not None:
                assert _spell(any_base, old_ids) == text


def test_a_piece_inside_a_word_starts_without_a_space(small_base: BpeTokenizer, korean: list[str]) -> None:
    extended = extend(small_base, learn_new_pieces(small_base, korean, LearnRequest("ko", 400, "seen")), 400)
    rows = subwords(small_base, extended)["subwords"]
    space = small_base.pieces["▁"]
    inside = rows[extended.pieces["책"] - small_base.size]
    after_space = rows[extended.pieces["▁책을"] - small_base.size]
    assert inside == [small_base.pieces[f"<0x{byte:02X}>"] for byte in "책".encode()]
    assert after_space == [space, *(small_base.pieces[f"<0x{byte:02X}>"] for byte in "책을".encode())]


def _spell(base: BpeTokenizer, ids: list[int]) -> str:
    piece_of = {index: piece for piece, index in base.pieces.items()}
    if base.style == "byte_level":
        return base.surface("".join(piece_of[index] for index in ids)) or ""
    spelt = b""
    for piece in (piece_of[index] for index in ids):
        spelt += bytes([int(piece[3:5], 16)]) if piece.startswith("<0x") else piece.replace("▁", " ").encode()
    return spelt.decode()
