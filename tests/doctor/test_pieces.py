"""What a tokenizer makes of a language, with a bundled or given sample, and with a corpus."""

import json
from pathlib import Path

import pytest

from crosstune.doctor.findings import Finding
from crosstune.doctor.pieces import Texts, look_at_pieces
from crosstune.doctor.subject import Subject
from crosstune.languages.parallel_sample import sample_of
from crosstune.recipe import Languages
from tests.doctor.conftest import MakeModel


def looked_at(folder: Path, language: str, **texts: object) -> dict[str, Finding]:
    languages = Languages(source="en", target=language)
    found = look_at_pieces(Subject(str(folder), folder), languages, Texts(**texts))  # type: ignore[arg-type]
    return {finding.name: finding for finding in found}


def written(path: Path, language: str, repeats: int = 20) -> Path:
    path.write_text("\n".join((sample_of(language) or []) * repeats), encoding="utf-8")
    return path


def test_text_is_measured_in_tokens_for_one_of_the_source(make_model: MakeModel) -> None:
    finding = looked_at(make_model(weights=False), "ko")["length of text"]
    assert finding.values["sentences"] == 30
    assert finding.values["tokens_per_source_token"] > 2
    assert (finding.verdict, "Korean tokens per English token" in finding.says) == ("attention", True)


def test_a_language_without_a_sample_is_told_so_and_takes_one(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(weights=False)
    without = looked_at(folder, "hy")["length of text"]
    assert "no bundled sentences in Armenian (there are some in ar, bn, de, en" in without.says
    assert "Give translations with --sample" in without.says and "tokens_per_source_token" not in without.values
    sample = tmp_path / "sample.tsv"
    sample.write_text("en\thy\nGood morning.\tԲարի լույս։\nI read.\tԵս կարդում եմ։\n", encoding="utf-8")
    assert looked_at(folder, "hy", sample=sample)["length of text"].values["sentences"] == 2


def test_borders_of_the_pre_tokenizer_are_told_without_a_sample_too(make_model: MakeModel) -> None:
    folder = make_model(weights=False)
    found = looked_at(folder, "ta")["dead pieces"]
    assert (found.verdict, found.setting) == ("attention", "tokenizer: {extension: {keep_words_whole: true}}")
    assert "of the words in its names of countries" in found.says
    # Their marks are for scripture and dictionaries: no everyday word has one.
    assert [looked_at(folder, code)["dead pieces"].verdict for code in ("hy", "he", "uk")] == ["ok"] * 3
    unknown = looked_at(folder, "qaa-Mymr")["dead pieces"]
    assert "of the words of three letters, one for each letter of its script" in unknown.says


@pytest.mark.parametrize(("language", "is_parted"), [("ka", False), ("bn", True), ("hi", True), ("vi", None)])
def test_languages_of_several_scripts_are_measured_on_bundled_sentences(
    make_model: MakeModel, language: str, is_parted: bool | None
) -> None:
    found = looked_at(make_model(weights=False), language)
    assert found["length of text"].values["sentences"] == 30
    if is_parted is not None:
        assert (found["dead pieces"].verdict == "attention") == is_parted


def test_a_sample_of_other_languages_stops(make_model: MakeModel, tmp_path: Path) -> None:
    sample = tmp_path / "sample.tsv"
    sample.write_text("fr\tde\nBonjour.\tGuten Tag.\n", encoding="utf-8")
    assert looked_at(make_model(weights=False), "ka", sample=sample)["tokenizer"].verdict == "stop"


def test_words_that_the_pre_tokenizer_parts_are_told_with_the_setting(make_model: MakeModel) -> None:
    finding = looked_at(make_model(weights=False), "hi")["dead pieces"]
    assert finding.values["parted_share"] > 0.5
    assert finding.setting == "tokenizer: {extension: {keep_words_whole: true}}"
    korean = looked_at(make_model("other", weights=False), "ko")["dead pieces"]
    assert (korean.verdict, korean.setting) == ("ok", "")


def test_new_pieces_are_not_estimated_from_a_sample(make_model: MakeModel) -> None:
    assert "Give --text FILE" in looked_at(make_model(weights=False), "ko")["new pieces"].says
    german = looked_at(make_model("other", weights=False), "de")["new pieces"]
    assert "--source-text FILE" in german.says


def test_with_a_corpus_sizes_are_tried_and_one_is_advised(make_model: MakeModel, tmp_path: Path) -> None:
    found = looked_at(make_model(weights=False), "ko", target=(written(tmp_path / "ko.txt", "ko"),))
    sizes = [finding for name, finding in found.items() if name.endswith("new pieces") and finding.values]
    assert sizes and sizes[-1].values["saved"] > 0.3
    assert sizes[-1].values["tokens_per_source_token"] < found["length of text"].values["tokens_per_source_token"]
    advice = found["how many pieces"]
    number = advice.values["num_new_pieces"]
    assert f"num_new_pieces: {number}" in advice.setting
    # What is advised is what few of are unused, and was measured itself.
    assert found[f"{number:,} new pieces"].verdict == "ok" and found[f"{number:,} new pieces"].values["saved"] > 0.3
    assert (advice.verdict, "leaves too many unused" in advice.says) == ("attention", True)
    assert sizes[0].verdict == "attention"


def test_lines_that_were_learned_from_measure_nothing(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(weights=False)
    lines = (sample_of("ko") or []) * 7
    new = ["바람이 불고 나뭇잎이 흩날린다", "고양이는 따뜻한 창가에서 잠들었다"]
    saved = []
    for name, held_out in (("old", lines[:2]), ("new", new)):
        mixed = [line for index in range(0, 40, 20) for line in (held_out[index // 20], *lines[index : index + 19])]
        (tmp_path / f"{name}.txt").write_text("\n".join([*mixed, *lines[40:59]]), encoding="utf-8")
        found = looked_at(folder, "ko", target=(tmp_path / f"{name}.txt",))
        saved.append(max(one.values["saved"] for one in found.values() if "saved" in one.values))
    assert saved[1] < saved[0]


def test_what_is_not_known_is_no_number(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(weights=False)
    (folder / "config.json").unlink()
    (tmp_path / "km.txt").write_text("ខ្ញុំទៅផ្សារនៅព្រឹកនេះ ដើម្បីទិញបន្លែ និងត្រី។\n" * 40, encoding="utf-8")
    found = looked_at(folder, "km", target=(tmp_path / "km.txt",))
    assert "num_rows" not in found["vocabulary"].values
    assert all(value is not None for finding in found.values() for value in finding.values.values())
    assert any("saved" in finding.values for finding in found.values())


def test_a_language_with_the_same_letters_learns_beside_source_text(make_model: MakeModel, tmp_path: Path) -> None:
    texts = (written(tmp_path / "de.txt", "de"),), (written(tmp_path / "en.txt", "en"),)
    found = looked_at(make_model(weights=False), "de", target=texts[0], source=texts[1])
    assert "how many pieces" in found


def test_a_text_that_is_not_there_is_said_and_nothing_else_is_lost(make_model: MakeModel, tmp_path: Path) -> None:
    found = looked_at(make_model(weights=False), "ko", target=(tmp_path / "nowhere.txt",))
    assert "was not found" in found["new pieces"].says
    assert "length of text" in found


def test_a_tokenizer_that_cannot_be_extended_says_which_systems_can(make_model: MakeModel) -> None:
    folder = make_model(weights=False)
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    pieces = [[piece, -1.0] for piece in content["model"]["vocab"]]
    content["model"] = {"type": "Unigram", "unk_id": 0, "vocab": pieces}
    (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    finding = looked_at(folder, "ko")["extension"]
    assert ("Unigram" in finding.says, finding.setting) == (True, "systems: {ours: {tokenizer: base}}")


def test_a_folder_without_a_tokenizer_stops(make_model: MakeModel) -> None:
    folder = make_model(weights=False)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert looked_at(folder, "ko")["tokenizer"].verdict == "stop"


@pytest.mark.parametrize("size", [255, 700])
def test_rows_beyond_the_pieces_and_pieces_beyond_the_rows_are_told(make_model: MakeModel, size: int) -> None:
    finding = looked_at(make_model(weights=False, vocab_size=size), "ko")["vocabulary"]
    assert finding.values["num_rows"] == size
    assert (finding.verdict == "attention") == (size == 255)
