"""LLaMA-2's own tokenizer, where the environment says that its files are."""

import json
import os
from pathlib import Path

import pytest

from crosstune.recipe import Languages
from crosstune.tokenizer import given, verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.learn import LearnRequest, learn_new_pieces
from crosstune.tokenizer.line_kinds import part_lines
from crosstune.tokenizer.sentencepiece.writer import with_all_merges, write_model
from crosstune.tokenizer.subwords import subwords

ROOT = Path(os.environ.get("CROSSTUNE_DATA_ROOT", "nowhere"))
MODEL = ROOT / "tokenizers" / "llama2" / "tokenizer.model"

pytestmark = pytest.mark.skipif(
    not MODEL.is_file(), reason="CROSSTUNE_DATA_ROOT holds no tokenizers/llama2/tokenizer.model"
)


@pytest.fixture(scope="module")
def llama2() -> BpeTokenizer:
    return BpeTokenizer(given.load(MODEL, "tokenizer.base.path")[0])


def test_it_cuts_the_golden_texts_as_published(llama2: BpeTokenizer) -> None:
    golden = json.loads((ROOT / "tokenizers" / "golden_tokenization.json").read_text(encoding="utf-8"))
    assert golden
    for case in golden:
        encoding = llama2.tokenizer.encode(case["text"], add_special_tokens=False)
        assert (encoding.ids, encoding.tokens) == (case["llama2_ids"], case["llama2_tokens"])


def test_extended_to_46336_it_halves_korean_and_leaves_english_alone(llama2: BpeTokenizer) -> None:
    rows = json.loads((ROOT / "parallel" / "translation_dev_1000.json").read_text(encoding="utf-8"))["data"]
    new = learn_new_pieces(llama2, [row["ko"] for row in rows], LearnRequest("ko", 14_336, "ks_x_1001"))
    extended = extend(llama2, new, 14_336)
    assert extended.size == 46_336
    english = (ROOT / "ntrex" / "newstest2019-src.eng.txt").read_text(encoding="utf-8").splitlines()
    korean = (ROOT / "ntrex" / "newstest2019-ref.kor.txt").read_text(encoding="utf-8").splitlines()
    assert extended.encode_lines(english) == llama2.encode_lines(english)
    assert extended.decode_lines(extended.encode_lines(korean)) == korean
    before, after = (sum(map(len, tokenizer.encode_lines(korean))) for tokenizer in (llama2, extended))
    assert after < before / 2
    assert len(subwords(llama2, extended)["subwords"]) == 14_336


def test_its_extended_sentencepiece_model_agrees_with_the_fast_tokenizer(llama2: BpeTokenizer, tmp_path: Path) -> None:
    english, korean = (
        (ROOT / "ntrex" / name).read_text(encoding="utf-8").splitlines()
        for name in ("newstest2019-src.eng.txt", "newstest2019-ref.kor.txt")
    )
    new = with_all_merges(llama2, learn_new_pieces(llama2, korean, LearnRequest("ko", 4096, "ks_x_1001")))
    extended = extend(llama2, new, 4096)
    write_model(MODEL, tmp_path / "tokenizer.model", llama2, extended)
    parted = part_lines([*english, *korean], Languages(source="en", target="ko"))
    samples = verify.Samples(parted["source"], parted["other"], parted["target"], new.promised)
    properties = [
        *verify.verify(llama2, extended, samples),
        verify.equals_slow(extended, tmp_path / "tokenizer.model", samples),
    ]
    assert {item.name: item.failures[:3] for item in properties if item.failures} == {}
