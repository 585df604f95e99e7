"""COMET is a program of its own: called as its documentation says, and refused early where it is not there."""

import stat
import sys
from pathlib import Path

import pytest

from crosstune.errors import BadInputError
from crosstune.evaluate.comet import Comet

# Stands for unbabel-comet's command, with its arguments and its file of results: a text's score is its length.
COMMAND = f"""#!{sys.executable}
import argparse, json, sys
parser = argparse.ArgumentParser()
for name in ("sources", "translations", "references", "model", "gpus", "to_json"):
    parser.add_argument("--" + name, required=True)
parser.add_argument("--quiet", action="store_true", required=True)
given = parser.parse_args()
if "broken" in given.model:
    sys.exit("RuntimeError: not a checkpoint")
paths = (given.sources, given.translations, given.references)
sides = [open(path, encoding="utf-8").read().splitlines() for path in paths]
rows = [
    {{"src": s, "mt": t, "ref": r, "COMET": len(s) + 100 * len(t) + 10000 * len(r)}}
    for s, t, r in zip(*sides, strict=True)
]
json.dump({{given.translations: rows}}, open(given.to_json, "w"))
"""


@pytest.fixture
def command(tmp_path: Path) -> str:
    path = tmp_path / "comet-score"
    path.write_text(COMMAND, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"weights")
    return path


@pytest.mark.whole
def test_each_translation_gets_its_score_even_where_it_holds_line_breaks(checkpoint: Path, command: str) -> None:
    comet = Comet(checkpoint, command)
    assert comet.scores(["a", "b"], ["", "c\r\nd\n\ne"], ["ff", "가나다"]) == [1 + 20000, 1 + 500 + 30000]
    assert comet.signature == "comet:model.ckpt|sha256:9a129038d9a0|refs:first"


@pytest.mark.whole
def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path, command: str) -> None:
    path = tmp_path / "broken.ckpt"
    path.touch()
    with pytest.raises(BadInputError, match=r"comet-score --sources .* ended with status 1: RuntimeError: not a check"):
        Comet(path, command).scores(["a"], ["b"], ["c"])


def test_what_is_not_there_is_refused_at_once(tmp_path: Path, checkpoint: Path, command: str) -> None:
    with pytest.raises(BadInputError, match=r"comet_checkpoint: .*nothing\.ckpt is not a \.ckpt file\. Give that"):
        Comet(tmp_path / "nothing.ckpt", command)
    with pytest.raises(
        BadInputError, match=r"needs the command 'comet-scorr', which was not found\. Install it in its own environment"
    ):
        Comet(checkpoint, "comet-scorr")


def test_another_checkpoint_has_another_fingerprint(checkpoint: Path, command: str) -> None:
    first = Comet(checkpoint, command).fingerprint
    checkpoint.write_bytes(b"other weights")
    assert Comet(checkpoint, command).fingerprint != first
