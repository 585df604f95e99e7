import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from crosstune.errors import BadInputError
from crosstune.recipe import Languages
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.folder import configuration_of, write_folder
from crosstune.tokenizer.learn import LearnRequest, NewPieces, learn_new_pieces
from crosstune.tokenizer.verify_command import ComparedTexts, compare
from tests.command_line import crosstune
from tests.tokenizer.conftest import ENGLISH, KOREAN

LANGUAGES = Languages(source="en", target="ko")


def save(folder: Path, tokenizer: BpeTokenizer, eos: str = "</s>") -> Path:
    folder.mkdir()
    write_folder(folder, tokenizer.content, configuration_of({"eos_token": eos}))
    return folder


@pytest.fixture
def base(tmp_path: Path, small_base: BpeTokenizer) -> Path:
    return save(tmp_path / "base", small_base)


@pytest.fixture
def good(tmp_path: Path, small_base: BpeTokenizer, korean: list[str]) -> Path:
    new = learn_new_pieces(small_base, korean, LearnRequest("ko", 256, "seen"))
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


@pytest.mark.slow
def test_lengths_are_measured_per_file_before_and_after(good: Path, base: Path, sides: tuple[Path, Path]) -> None:
    report = compare(good, base, ComparedTexts(list(sides), sides, LANGUAGES))
    assert report["holds"]
    found = {(Path(row["text"]).name, row["language"], row["tokenizer"]): row for row in report["fertility"]}
    assert found["news.en", "en", "base"]["tokens"] == found["news.en", "en", "extended"]["tokens"]
    assert found["news.ko", "ko", "extended"]["tokens_per_word"] < found["news.ko", "ko", "base"]["tokens_per_word"] / 3
    assert 0 < report["new_pieces"]["used"] <= report["new_pieces"]["number"]
    of_english = compare(good, base, ComparedTexts([sides[0]], None, LANGUAGES))["new_pieces"]
    assert of_english == {"number": report["new_pieces"]["number"], "used": 0}
    parity = {row["tokenizer"]: row["parity"] for row in report["parity"]}
    for name in ("base", "extended"):
        korean, english = (found["parallel", language, name]["tokens"] for language in ("ko", "en"))
        assert parity[name] == round(korean / english, 4)


@pytest.mark.slow
def test_files_have_short_names_unless_two_share_one(
    good: Path, base: Path, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    same = tmp_path / "other" / "news.ko"
    same.write_text("책", encoding="utf-8")
    report = compare(good, base, ComparedTexts([*sides, same], None, LANGUAGES))
    assert {row["text"] for row in report["fertility"]} == {"news.en", str(sides[1]), str(same)}


@pytest.mark.slow
def test_a_byte_level_tokenizer_is_proved_too(
    byte_level_base: BpeTokenizer, korean: list[str], sides: tuple[Path, Path], tmp_path: Path
) -> None:
    new = learn_new_pieces(byte_level_base, korean, LearnRequest("ko", 512, "seen"))
    tokenizers = {"base": byte_level_base, "extended": extend(byte_level_base, new, 512)}
    folders = [save(tmp_path / f"byte_level_{name}", content, "<|end|>") for name, content in tokenizers.items()]
    report = compare(folders[1], folders[0], ComparedTexts(list(sides), None, LANGUAGES))
    assert report["holds"], report
    assert all(row["share"] == 1 for row in report["properties"])


@pytest.mark.slow
def test_words_that_were_added_beside_the_model_are_seen_to_break_text(
    base: Path, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["도서관", "학생", "책"], special_tokens=True)
    tokenizer.save_pretrained(tmp_path / "added")
    report = compare(tmp_path / "added", base, ComparedTexts([sides[1]], None, LANGUAGES))
    (broken,) = (row for row in report["properties"] if row["name"] == "target text survives encoding and decoding")
    # What follows an added token begins anew, with a space.
    decoded = "선생님은 어제 도서관 에서 학생 에게 빨간 책 을 주었다."
    assert {"text": KOREAN[0], "decoded": decoded} in broken["failures"]
    assert not report["holds"]


def test_the_command_prints_a_table_and_succeeds(good: Path, base: Path, sides: tuple[Path, Path]) -> None:
    done = crosstune("verify", str(good), "--base", str(base), "--text", str(sides[1]))
    assert done.returncode == 0, done.stderr
    assert "verification" in done.stdout
    assert "FAILS" not in done.stdout
    assert "built-in lines" not in done.stdout
    without_text = crosstune("verify", str(good), "--base", str(base))
    assert "Checked on a few built-in lines only: give --text FILE" in without_text.stdout


def test_the_command_shows_the_first_failures_as_pieces_with_the_share_that_holds(
    bad: Path, base: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"thebes {number}" for number in range(20)), encoding="utf-8")
    done = crosstune("verify", str(bad), "--base", str(base), "--text", str(text))
    assert done.returncode == 1
    assert re.search(
        r"source-language text is tokenized as before: 20 of 3\d fail, 3\d\.\d\d% hold; "
        r"the first 5 of them, all with --json\n"
        r"  \{'text': 'thebes 0', 'before': \['▁the', .*'after': \['▁theb'",
        done.stdout,
    )


def test_the_command_ends_with_2_where_there_is_nothing_to_compare(good: Path, base: Path, tmp_path: Path) -> None:
    swapped = crosstune("verify", str(base), "--base", str(good))
    assert swapped.returncode == 2
    assert "the given tokenizer is not an extension of the base: 256 of 676 old pieces moved or left" in swapped.stderr
    nowhere = crosstune("verify", str(good), "--base", str(tmp_path / "nowhere"))
    assert nowhere.returncode == 2
    assert (
        "--base: " in nowhere.stderr and "was not found. Give a tokenizer folder with tokenizer.json" in nowhere.stderr
    )


def test_the_command_lists_every_differing_line_and_fails(bad: Path, base: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"thebes {number}" for number in range(20)) + "\nthe book\n", encoding="utf-8")
    done = crosstune("verify", str(bad), "--base", str(base), "--text", str(text), "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    failed = {row["name"]: row["failures"] for row in report["properties"] if row["required"] and not row["holds"]}
    assert [case["text"] for case in failed["source-language text is tokenized as before"]] == [
        f"thebes {number}" for number in range(20)
    ]


@pytest.mark.slow
def test_a_sentencepiece_file_beside_the_fast_one_must_agree_with_it(
    good: Path, base: Path, tmp_path: Path, english: list[str], train_sentencepiece: Callable[..., Path]
) -> None:
    train_sentencepiece(good / "tokenizer.model", english)
    report = compare(good, base, ComparedTexts([], None, LANGUAGES))
    assert not report["holds"]
    (row,) = (row for row in report["properties"] if "SentencePiece" in row["name"])
    assert {"text", "fast", "slow"} == set(row["failures"][0])


def test_sides_of_different_length_and_unreadable_text_are_refused(
    good: Path, base: Path, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    short = tmp_path / "short.ko"
    short.write_text("책\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"--parallel: .*20 lines and .*short\.ko has 1\. Give two files"):
        compare(good, base, ComparedTexts([], (sides[0], short), LANGUAGES))
    with pytest.raises(BadInputError, match=r"nowhere\.txt cannot be read as text .*Give files of UTF-8"):
        compare(good, base, ComparedTexts([tmp_path / "nowhere.txt"], None, LANGUAGES))


def test_languages_that_share_their_letters_are_told_apart_by_file(
    small_base: BpeTokenizer, base: Path, tmp_path: Path
) -> None:
    german = ["Die Schülerin liest am Morgen ein Buch über Vögel und andere Tiere.", "Der Lehrer gibt ihr das Buch."]
    for name, lines in (("news.en", ENGLISH), ("news.de", german)):
        (tmp_path / name).write_text("\n".join(line.replace("\n", " ") for line in lines), encoding="utf-8")
    good = save(tmp_path / "german", extend(small_base, NewPieces(["ü"]), 4))
    languages = Languages(source="en", target="de")
    report = compare(good, base, ComparedTexts([tmp_path / "news.en", tmp_path / "news.de"], None, languages))
    assert {(row["text"], row["language"]) for row in report["fertility"]} == {("news.en", "en"), ("news.de", "de")}
    assert report["holds"]


def test_languages_that_nothing_tells_apart_are_asked_for_as_translations(
    good: Path, base: Path, sides: tuple[Path, Path]
) -> None:
    with pytest.raises(BadInputError, match=r"news.en is in 'en' or 'qaa-Latn', which share their letters.*--parallel"):
        compare(good, base, ComparedTexts([sides[0]], None, Languages(source="en", target="qaa-Latn")))
