import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.command_line import crosstune

from crosstune.errors import BadInputError
from crosstune.recipe import Languages
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.compare import Texts, compare
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.folder import configuration_of, write_folder
from crosstune.tokenizer.learn import NewPieces, Wish, learn_new_pieces

LANGUAGES = Languages(source="en", target="ko")


def save(folder: Path, tokenizer: BpeTokenizer) -> Path:
    folder.mkdir()
    write_folder(folder, tokenizer.content, configuration_of({"eos_token": "</s>"}))
    return folder


@pytest.fixture
def base(tmp_path: Path, small_base: BpeTokenizer) -> Path:
    return save(tmp_path / "base", small_base)


@pytest.fixture
def good(tmp_path: Path, small_base: BpeTokenizer, korean: list[str]) -> Path:
    new = learn_new_pieces(small_base, korean, Wish("ko", 256, "seen"))
    return save(tmp_path / "good", extend(small_base, new, 256))


@pytest.fixture
def bad(tmp_path: Path, small_base: BpeTokenizer) -> Path:
    return save(tmp_path / "bad", extend(small_base, NewPieces(["▁theb"], [("▁the", "b")]), 1))


@pytest.fixture
def sides(tmp_path: Path, english: list[str], korean: list[str]) -> tuple[Path, Path]:
    paths = tmp_path / "news.en", tmp_path / "news.ko"
    for path, lines in zip(paths, (english, korean), strict=True):
        path.write_text("\n".join(line.strip().replace("\n", " ") for line in lines), encoding="utf-8")
    return paths


def test_lengths_are_measured_per_file_before_and_after(good: Path, base: Path, sides: tuple[Path, Path]) -> None:
    report = compare(good, base, Texts(list(sides), sides, LANGUAGES))
    assert report["holds"]
    found = {(Path(row["text"]).name, row["language"], row["tokenizer"]): row for row in report["fertility"]}
    assert found["news.en", "en", "base"]["tokens"] == found["news.en", "en", "extended"]["tokens"]
    assert found["news.ko", "ko", "extended"]["tokens_per_word"] < found["news.ko", "ko", "base"]["tokens_per_word"] / 3
    parity = {row["tokenizer"]: row["parity"] for row in report["parity"]}
    for name in ("base", "extended"):
        korean, english = (found["parallel", language, name]["tokens"] for language in ("ko", "en"))
        assert parity[name] == round(korean / english, 4)


def test_the_command_prints_a_table_and_succeeds(good: Path, base: Path, sides: tuple[Path, Path]) -> None:
    done = crosstune("verify", str(good), "--base", str(base), "--text", str(sides[1]))
    assert done.returncode == 0, done.stderr
    assert "verification" in done.stdout
    assert "FAILS" not in done.stdout


def test_the_command_lists_every_differing_line_and_fails(bad: Path, base: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"thebes {number}" for number in range(20)) + "\nthe book\n", encoding="utf-8")
    done = crosstune("verify", str(bad), "--base", str(base), "--text", str(text), "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    failed = {row["name"]: row["failures"] for row in report["properties"] if row["required"] and not row["holds"]}
    assert [case["text"] for case in failed["source-language text is cut as before"]] == [
        f"thebes {number}" for number in range(20)
    ]


def test_a_sentencepiece_file_beside_the_fast_one_must_agree_with_it(
    good: Path, base: Path, tmp_path: Path, english: list[str], train_sentencepiece: Callable[..., Path]
) -> None:
    train_sentencepiece(good / "tokenizer.model", english)
    report = compare(good, base, Texts([], None, LANGUAGES))
    assert not report["holds"]
    (row,) = (row for row in report["properties"] if "SentencePiece" in row["name"])
    assert {"text", "fast", "slow"} == set(row["failures"][0])


def test_sides_of_different_length_and_unreadable_text_are_refused(
    good: Path, base: Path, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    short = tmp_path / "short.ko"
    short.write_text("책\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"--parallel: .*20 lines and .*short\.ko has 1\. Give two files"):
        compare(good, base, Texts([], (sides[0], short), LANGUAGES))
    with pytest.raises(BadInputError, match=r"nowhere\.txt was asked as text .*Give files of UTF-8"):
        compare(good, base, Texts([tmp_path / "nowhere.txt"], None, LANGUAGES))
