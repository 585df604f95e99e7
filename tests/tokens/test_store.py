"""A mixture's tokens are made once, in the mixture's order, and counted by source."""

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crosstune.errors import BadInputError, RunFolderError
from crosstune.prompts.examples import SCHEMA as EXAMPLES
from crosstune.runs.files import read_json, write_json
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.tokens import store
from crosstune.tokens.shard_files import name_of_shard
from crosstune.tokens.store import SCHEMA, mixture_tokens, tokenize, watch_tokens
from tests.learnt_tokenizers import sentencepiece_style
from tests.train.conftest import documents, fill, instructions, pairs

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
    written = (run.tokens("paper", "base") / name_of_shard(0)).stat().st_mtime_ns
    mixture_tokens(run, "paper", "base")
    assert (run.tokens("paper", "base") / name_of_shard(0)).stat().st_mtime_ns == written
    for folder in (run.mixture("paper"), run.tokenizer("base")):
        write_json(folder / "manifest.json", {"fingerprint": f"other {folder.name}", "files": {}})
        mixture_tokens(run, "paper", "base")
        again = (run.tokens("paper", "base") / name_of_shard(0)).stat().st_mtime_ns
        assert again != written
        written = again


def test_plain_text_is_marked_and_all_but_its_first_token_is_learnt(run: RunFolder) -> None:
    tokens = mixture_tokens(run, "korean", "base")
    assert set(tokens["is_text"].to_pylist()) == {True} and set(tokens["num_prompt"].to_pylist()) == {1}


@pytest.mark.parametrize("prompt", ["", "Say nothing."])
def test_an_example_with_nothing_to_learn_stops_with_its_origin(prompt: str) -> None:
    row = {"prompt": prompt, "completion": "", "language": "en", "source": "s", "origin": "f:7"}
    with pytest.raises(BadInputError, match="f:7 has no supervised token"):
        tokenize(pa.Table.from_pylist([row], schema=EXAMPLES), TOKENIZER)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A mixture of five row groups, which two to a shard make three shards."""
    run = RunFolder(tmp_path)
    fill(run, {"base": TOKENIZER, "extended": TOKENIZER})
    table = pa.Table.from_pylist([example._asdict() for example in documents()], schema=EXAMPLES)
    with whole_folder(run.mixture("korean"), "mixture-korean", {"total": table.num_rows}) as folder:
        pq.write_table(table, folder / "examples.parquet", row_group_size=17)
    metadata = pq.read_metadata(run.mixture("korean") / "examples.parquet")
    largest = max(metadata.row_group(index).total_byte_size for index in range(5))
    monkeypatch.setattr(store, "BYTES_PER_SHARD", largest + 1)
    monkeypatch.setattr(store, "num_cores", lambda: 1)
    return run


def test_text_is_tokenized_shard_by_shard_in_several_processes(
    text: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    monkeypatch.setattr(store, "num_cores", lambda: 2)
    # Threads stand for processes here, which would load their libraries for half a minute.
    monkeypatch.setattr(store, "pool_of", lambda number, *_, **__: started.append(number) or ThreadPoolExecutor(number))
    found = mixture_tokens(text, "korean", "base")
    assert started == [2]
    names = sorted(path.name for path in text.tokens("korean", "base").glob("*.arrow"))
    assert names == [name_of_shard(number) for number in range(3)]
    whole = tokenize(pa.Table.from_pylist([example._asdict() for example in documents()], schema=EXAMPLES), TOKENIZER)
    assert found.to_pylist() == whole.to_pylist()


def test_less_text_than_a_shard_holds_is_parted_for_the_cores_but_not_into_crumbs(
    text: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BYTES_PER_SHARD", 2**40)
    examples = text.mixture("korean") / "examples.parquet"
    assert [len(shard.row_groups) for shard in store.shards_for(examples)] == [5]
    monkeypatch.setattr(store, "BYTES_OF_SMALL_SHARD", 1)
    assert [shard.row_groups for shard in store.shards_for(examples)] == [(0,), (1,), (2,), (3,), (4,)]


@pytest.mark.slow
def test_processes_write_what_one_process_writes(text: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    one = mixture_tokens(text, "korean", "base").to_pylist()
    shutil.rmtree(text.tokens("korean", "base"))
    monkeypatch.setattr(store, "num_cores", lambda: 2)
    assert mixture_tokens(text, "korean", "base").to_pylist() == one


def test_tokenising_goes_on_behind_the_shards_that_are_there(text: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = store.write_shard
    written: list[str] = []

    def breaks(work: Any, *arguments: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        real(work, *arguments)
        written.append(work.path.name)

    monkeypatch.setattr(store, "write_shard", breaks)
    with pytest.raises(KeyboardInterrupt):
        mixture_tokens(text, "korean", "base")
    monkeypatch.setattr(store, "write_shard", lambda work, *rest: written.append(work.path.name) or real(work, *rest))
    tokens = mixture_tokens(text, "korean", "base")
    assert written == [name_of_shard(number) for number in range(3)]
    assert tokens["origin"].to_pylist() == [example.origin for example in documents()]
    assert [path.name for path in text.tokens("korean", "base").parent.iterdir()] == ["base"]


def test_shards_of_other_tokens_are_not_taken_up(text: RunFolder) -> None:
    unfinished = text.tokens("korean", "base").with_name(".base.0123456789abcdef.unfinished")
    unfinished.mkdir(parents=True)
    (unfinished / name_of_shard(0)).write_bytes(b"other tokens")
    assert len(mixture_tokens(text, "korean", "base")) == len(documents())
    assert not unfinished.exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "is missing"),
        (cut, "has [0-9,]+ bytes instead of"),
        (change, "has other content than was written"),
    ],
)
def test_a_shard_that_is_not_what_was_written_is_named_and_alone_made_again_before_anything_reads_it(
    text: RunFolder,
    damage: Callable[[Path], None],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = mixture_tokens(text, "korean", "base").to_pylist()
    folder = text.tokens("korean", "base")
    damage(folder / name_of_shard(1))
    real, written = store.write_shard, list[str]()
    monkeypatch.setattr(store, "write_shard", lambda work, *rest: written.append(work.path.name) or real(work, *rest))
    assert mixture_tokens(text, "korean", "base").to_pylist() == before
    assert written == [name_of_shard(1)]
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(rf"base is damaged and will be rebuilt: tokens-00001\.arrow {message}", said)


def test_a_copied_run_folder_is_read_though_its_times_differ(text: RunFolder, tmp_path: Path) -> None:
    before = mixture_tokens(text, "korean", "base").to_pylist()
    for path in text.tokens("korean", "base").glob("*.arrow"):
        os.utime(path, (1, 1))
    assert mixture_tokens(text, "korean", "base").to_pylist() == before


@pytest.mark.parametrize(("damage", "what"), [(cut, "[0-9,]+ bytes, [0-9,]+ when"), (change, "it was written to")])
def test_a_shard_that_is_cut_or_changed_while_it_is_read_is_found(
    text: RunFolder, damage: Callable[[Path], None], what: str
) -> None:
    mixture_tokens(text, "korean", "base")
    check = watch_tokens(text, "korean", "base")
    check()
    damage(text.tokens("korean", "base") / name_of_shard(2))
    message = rf"tokens-00002.arrow was changed while training read it: {what}.*last checkpoint"
    with pytest.raises(RunFolderError, match=message):
        check()


def test_a_shard_that_is_removed_or_replaced_while_it_is_mapped_does_no_harm(text: RunFolder) -> None:
    tokens = mixture_tokens(text, "korean", "base")
    check = watch_tokens(text, "korean", "base")
    (text.tokens("korean", "base") / name_of_shard(0)).unlink()
    check()
    assert tokens["origin"].to_pylist() == [example.origin for example in documents()]
