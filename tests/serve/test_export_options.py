"""`crosstune export`: the files of a tokenizer of any kind go along, and no option is taken that does nothing."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from crosstune.cli import app
from crosstune.errors import BadInputError
from crosstune.models.load import load_tokenizer
from crosstune.runs.files import read_json, write_json
from crosstune.serve.export import export
from tests.evaluate.conftest import SENTENCES
from tests.tokenizer.conftest import byte_level


def test_all_files_of_a_tokenizer_go_along(chat_folder: Path, tmp_path: Path) -> None:
    # As older checkpoints say which token ends a text.
    settings = read_json(chat_folder / "tokenizer_config.json")
    roles = {name: settings.pop(name) for name in ("bos_token", "eos_token", "unk_token") if name in settings}
    write_json(chat_folder / "special_tokens_map.json", roles)
    write_json(chat_folder / "tokenizer_config.json", settings)
    export(str(chat_folder), tmp_path / "mapped", "bf16", "5GB")
    assert load_tokenizer(str(tmp_path / "mapped")).eos_token == load_tokenizer(str(chat_folder)).eos_token
    # As GPT-2 and its kin are published: pieces and merges, no tokenizer.json.
    pieces = byte_level(SENTENCES, 300, ignore_merges=False).content["model"]
    write_json(chat_folder / "vocab.json", {**pieces["vocab"], "<|end|>": len(pieces["vocab"])})
    merges = [" ".join(pair) for pair in pieces["merges"]]
    (chat_folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    for name in ("tokenizer.json", "special_tokens_map.json"):
        (chat_folder / name).unlink()
    write_json(chat_folder / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|end|>"})
    export(str(chat_folder), tmp_path / "pieces", "bf16", "5GB")
    got, wanted = (load_tokenizer(str(folder)) for folder in (tmp_path / "pieces", chat_folder))
    assert got.get_vocab() == wanted.get_vocab() and len(wanted) > 256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--converter", "convert_hf_to_gguf.py"], "add --gguf, or leave --converter out"),
        (["--gguf", "--prompt", "alpaca"], "leave out --prompt and --max-shard-size"),
        (["--gguf", "--max-shard-size", "1GB"], "leave out --prompt and --max-shard-size"),
        (["--max-shard-size", "5G"], "'5G' is no size: write a number and MB or GB, as 5GB"),
        (["--max-shard-size", "0GB"], "'0GB' is no size"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options: list[str], message: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app.app, ["export", "model", str(tmp_path / "out"), *options])
    assert isinstance(done.exception, BadInputError) and message in str(done.exception)
