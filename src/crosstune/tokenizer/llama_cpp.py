"""What llama.cpp makes of a tokenizer: said before training, and held to when a GGUF file is written.

https://github.com/ggml-org/llama.cpp/blob/master/conversion/base.py: it knows pre-tokenizers by name, and finds the
name from how the tokenizer cuts one text, with words in English, Khmer, Chinese and Bulgarian.
"""

from pathlib import Path
from typing import Any

from crosstune.runs.files import read_json, write_json
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.folder import CONFIGURATION, TOKENIZER
from crosstune.tokenizer.sentencepiece.writer import MODEL
from crosstune.tokenizer.word_branch import has_branch

_PIECES, _MERGES = "num_base_pieces", "num_base_merges"
BRANCH = (
    "llama.cpp knows pre-tokenizers by name, and none with the branch that tokenizer.extension.keep_words_whole makes"
)
NO_ORDER = "llama.cpp knows the order of a vocabulary like this from tokenizer.model only, and there is none"


def reason_against(content: dict[str, Any], has_model: bool) -> str:
    """Return why a GGUF file would cut text in other pieces than the tokenizer does; empty where nothing is known."""
    if has_branch(content):
        return BRANCH
    if content["model"].get("byte_fallback") and not has_model:
        return NO_ORDER
    return ""


def base_facts(base: BpeTokenizer, extended: BpeTokenizer) -> dict[str, int]:
    """Return what an extended tokenizer's configuration says of its base, so that it can be had again."""
    pairs = zip(base.merges, extended.merges, strict=False)
    num_merges = next((number for number, (old, new) in enumerate(pairs) if old != new), len(base.merges))
    return {_PIECES: base.size, _MERGES: num_merges}


def write_base(folder: Path, target: Path) -> bool:
    """Write the base of a folder's extended byte-level tokenizer, by which llama.cpp's converter finds its name.

    False where the folder's tokenizer says of no base, or comes with a SentencePiece model, which has no such name.
    """
    configuration = read_json(folder / CONFIGURATION) if (folder / CONFIGURATION).is_file() else {}
    if _PIECES not in configuration or (folder / MODEL).exists():
        return False
    content = read_json(folder / TOKENIZER)
    vocabulary, merges = content["model"]["vocab"], content["model"]["merges"]
    old = {piece: index for piece, index in vocabulary.items() if index < configuration[_PIECES]}
    model = content["model"] | {"vocab": old, "merges": merges[: configuration[_MERGES]]}
    target.mkdir()
    write_json(target / TOKENIZER, content | {"model": model})
    write_json(target / CONFIGURATION, configuration)
    return True
