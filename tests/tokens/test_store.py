"""A mixture's tokens are made once, in the mixture's order, and counted by source."""

from pathlib import Path

import pyarrow as pa
import pytest

from crosstune.errors import BadInputError
from crosstune.prompts.examples import SCHEMA as EXAMPLES
from crosstune.runs.files import read_json, write_json
from crosstune.runs.folder import RunFolder
from crosstune.tokens.store import SCHEMA, mixture_tokens, tokenize
from tests.train.conftest import fill, instructions, pairs, sentencepiece_style

TOKENIZER = sentencepiece_style([example.prompt + example.completion for example in pairs()], 400)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    fill(run, {"base": TOKENIZER, "extended": TOKENIZER})
    return run


def test_tokens_stand_in_the_mixture_s_order_and_are_counted(run: RunFolder) -> None:
    tokens = mixture_tokens(run, "paper", "base")
    examples = pairs() + instructions()
    assert tokens.schema == SCHEMA
    assert tokens["origin"].to_pylist() == [example.origin for example in examples]
    assert tokens["num_bytes"].to_pylist() == [len(example.completion.encode()) for example in examples]
    sizes = [len(row) for row in tokens["tokens"].to_pylist()]
    num_prompt = tokens["num_prompt"].to_pylist()
    assert read_json(run.tokens("paper", "base") / "manifest.json")["sources"]["alpaca"] == {
        "examples": 8,
        "tokens": sum(sizes[20:]),
        "supervised": sum(sizes[20:]) - sum(num_prompt[20:]),
    }


def test_tokens_are_made_again_only_for_another_mixture_or_tokenizer(run: RunFolder) -> None:
    mixture_tokens(run, "paper", "base")
    written = (run.tokens("paper", "base") / "tokens.arrow").stat().st_mtime_ns
    mixture_tokens(run, "paper", "base")
    assert (run.tokens("paper", "base") / "tokens.arrow").stat().st_mtime_ns == written
    for folder in (run.mixture("paper"), run.tokenizer("base")):
        write_json(folder / "manifest.json", {"fingerprint": f"other {folder.name}"})
        mixture_tokens(run, "paper", "base")
        again = (run.tokens("paper", "base") / "tokens.arrow").stat().st_mtime_ns
        assert again != written
        written = again


def test_plain_text_is_marked_and_all_but_its_first_token_is_learnt(run: RunFolder) -> None:
    tokens = mixture_tokens(run, "korean", "base")
    assert set(tokens["is_text"].to_pylist()) == {True} and set(tokens["num_prompt"].to_pylist()) == {1}


@pytest.mark.parametrize("prompt", ["", "Say nothing."])
def test_an_example_with_nothing_to_learn_stops_with_its_origin(prompt: str) -> None:
    row = {"prompt": prompt, "completion": "", "language": "en", "source": "s", "origin": "f:7"}
    with pytest.raises(BadInputError, match="f:7 has no token to learn"):
        tokenize(pa.Table.from_pylist([row], schema=EXAMPLES), TOKENIZER)
