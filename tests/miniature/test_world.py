"""The miniature world: the published formats, the same bytes for a seed, and no test item in any training text."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from crosstune.miniature import WorldSize, write_world
from crosstune.miniature.lexicon import NAMES, NOUNS, ROLES, THING_ADJECTIVES, VERBS
from crosstune.miniature.sentences import third_person
from crosstune.tasks.registry import all_tasks

SIZE = WorldSize(
    english_documents=1500,
    korean_documents=600,
    parallel_pairs=1500,
    english_instructions=1200,
    korean_instructions=900,
    test_items=120,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, SIZE, seed=5)
    return folder


def pairs(world: Path, name: str) -> list[dict[str, object]]:
    return json.loads((world / f"parallel/{name}.json").read_text(encoding="utf-8"))["data"]


def instructions(world: Path, name: str) -> list[dict[str, str]]:
    return json.loads((world / f"instructions/{name}.json").read_text(encoding="utf-8"))


def reviews(world: Path) -> list[list[str]]:
    lines = (world / "nsmc/ratings_test.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


def hellaswag(world: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (world / "hellaswag/hellaswag_val.jsonl").read_text().splitlines()]


def copa(world: Path) -> list[ElementTree.Element]:
    return list(ElementTree.parse(world / "copa/copa-test.xml").getroot())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    world, size = tmp_path / "world", WorldSize(*[100] * 5, test_items=20)
    for name, seed in (("world", 5), ("same", 5), ("other", 6)):
        write_world(tmp_path / name, size, seed=seed)
    files = sorted(path.relative_to(world) for path in world.rglob("*") if path.is_file())
    assert len(files) == 15
    for file in files:
        content = (world / file).read_bytes()
        assert content == (tmp_path / "same" / file).read_bytes()
        # What tokenizers learn from is fixed.
        assert (content == (tmp_path / "other" / file).read_bytes()) == ("tokenizer" in file.name)


@pytest.mark.slow
def test_what_tokenizers_learn_from_does_not_depend_on_the_sizes(tmp_path: Path, world: Path) -> None:
    write_world(tmp_path, replace(SIZE, english_documents=50, korean_documents=50, parallel_pairs=50), seed=5)
    for name in ("tokenizer_english", "tokenizer_korean"):
        assert (tmp_path / f"text/{name}.txt").read_bytes() == (world / f"text/{name}.txt").read_bytes()


@pytest.mark.slow
def test_every_file_has_its_rows_and_keys(world: Path) -> None:
    assert len((world / "text/english.txt").read_text().splitlines()) == SIZE.english_documents
    assert len((world / "text/korean.txt").read_text(encoding="utf-8").splitlines()) == SIZE.korean_documents
    assert [len(pairs(world, name)) for name in ("train", "dev", "test")] == [1500, 120, 120]
    assert list(pairs(world, "test")[0])[:8] == [
        "sn", "data_set", "domain", "subdomain", "en_original", "en", "mt", "ko",
    ]  # fmt: skip
    assert all(list(row) == ["instruction", "input", "output"] for row in instructions(world, "alpaca_data"))
    assert reviews(world)[0] == ["id", "document", "label"] and {row[2] for row in reviews(world)[1:]} == {"0", "1"}
    assert all(len(row["endings"]) == 4 and row["label"] in range(4) for row in hellaswag(world))  # type: ignore[arg-type]
    assert [item.get("id") for item in copa(world)][:2] == ["501", "502"]
    assert all([part.tag for part in item] == ["p", "a1", "a2"] for item in copa(world))
    # KoAlpaca's own layout has no space after the colon.
    assert (
        (world / "instructions/ko_alpaca_data.json")
        .read_text(encoding="utf-8")
        .startswith('[\n  {\n    "instruction":"')
    )


def test_the_base_sees_llama_2s_share_of_korean(world: Path) -> None:
    english = len((world / "text/english.txt").read_text())
    trace = (world / "text/korean_trace.txt").read_text(encoding="utf-8")
    assert len(trace) / english == pytest.approx(0.00063, rel=0.2)
    assert not re.search("[가-힣]", (world / "text/english.txt").read_text())


@pytest.mark.slow
def test_english_and_korean_sides_are_in_their_scripts(world: Path) -> None:
    for row in pairs(world, "train"):
        assert not re.search("[가-힣]", str(row["en"])) and not re.search("[A-Za-z]", str(row["ko"]))
        assert str(row["en"]).endswith(".") and str(row["ko"]).endswith(".") and row["mt"] != row["ko"]


def normalised(text: str) -> str:
    return re.sub(r"[^0-9a-z가-힣]+", " ", text.lower()).strip()


def training_texts(world: Path) -> list[str]:
    names = ("english", "korean", "korean_trace", "tokenizer_english", "tokenizer_korean")
    texts = [(world / f"text/{name}.txt").read_text(encoding="utf-8") for name in names]
    texts += [f"{row['en']} . {row['ko']}" for row in pairs(world, "train")]
    for name in ("alpaca_data", "ko_alpaca_data"):
        texts += [" . ".join(row.values()) for row in instructions(world, name)]
    return texts


@pytest.fixture(scope="module")
def training(world: Path) -> str:
    return f" {normalised(' . '.join(training_texts(world)))} "


@pytest.mark.slow
def test_no_test_item_occurs_in_any_training_text(world: Path, training: str) -> None:
    items = [str(row[language]) for row in pairs(world, "test") for language in ("en", "ko")]
    items += [str(row[language]) for row in pairs(world, "dev") for language in ("en", "ko")]
    items += [row[1] for row in reviews(world)[1:]]
    items += [f"{row['ctx']} {row['endings'][row['label']]}" for row in hellaswag(world)]  # type: ignore[index]
    assert len(items) == 6 * SIZE.test_items
    assert [item for item in items if f" {normalised(item)} " in training] == []


def test_no_right_ending_of_hellaswag_occurs_in_any_training_text_whoever_acts(world: Path, training: str) -> None:
    rights = [str(row["endings"][row["label"]]) for row in hellaswag(world)]  # type: ignore[index]
    assert [right for right in rights if f" {normalised(right)} " in training] == []


def without_subject(sentence: str) -> str:
    names = sorted((person.english.lower() for person in (*NAMES, *ROLES)), key=len, reverse=True)
    return re.sub(f"^({'|'.join(names)}) ", "", normalised(sentence))


def test_no_copa_item_occurs_in_any_training_text_whoever_acts(world: Path, training: str) -> None:
    for item in copa(world):
        right = str(item.findtext(f"a{item.get('most-plausible-alternative')}"))
        link = "because" if item.get("asks-for") == "cause" else "therefore"
        premise = without_subject(str(item.findtext("p")))
        assert f" {premise} {link} {normalised(right)} " not in training
        # The cause alone names the slot's filling; it is nowhere in training, about him, her or anybody.
        cause = right.split(" ", 1)[1] if link == "because" else premise
        assert f" {normalised(cause)} " not in training


def actions(text: str) -> set[tuple[str, str]]:
    """Return the verbs with their objects in everyday sentences."""
    verbs = {form: verb.english for verb in VERBS for form in (verb.english, verb.past, third_person(verb.english))}
    nouns = "|".join(sorted({noun.english for kind in NOUNS.values() for noun in kind}, key=len, reverse=True))
    adjectives = "|".join(word.english for word in THING_ADJECTIVES)
    found = re.findall(rf"\b({'|'.join(verbs)}) (?:an? )?(?:(?:{adjectives}) )?({nouns})\b", text)
    return {(verbs[form], noun) for form, noun in found}


def test_verbs_of_test_sentences_never_take_their_objects_in_training(world: Path) -> None:
    seen = actions(" . ".join(str(row["en"]) for row in pairs(world, "train")))
    held_out = actions(" . ".join(str(row["en"]) for name in ("dev", "test") for row in pairs(world, name)))
    assert len(held_out) > 10 and len(seen) > 200
    assert not held_out & seen


def test_test_items_differ_from_one_another_and_from_the_dev_items(world: Path) -> None:
    for language in ("en", "ko"):
        kept = [str(row[language]) for name in ("dev", "test") for row in pairs(world, name)]
        assert len(set(kept)) == 2 * SIZE.test_items
    assert len({row[1] for row in reviews(world)[1:]}) == SIZE.test_items
    assert len({str(row["ctx"]) for row in hellaswag(world)}) == SIZE.test_items
    assert len({item.findtext("p") for item in copa(world)}) == SIZE.test_items


def test_one_reference_is_enough_in_both_directions(world: Path) -> None:
    meanings = {(str(row["en"]), str(row["ko"])) for name in ("train", "dev", "test") for row in pairs(world, name)}
    assert len({english for english, _ in meanings}) == len({korean for _, korean in meanings}) == len(meanings)


def test_korean_instructions_never_ask_for_a_translation_nor_in_the_papers_words(world: Path) -> None:
    rows = instructions(world, "ko_alpaca_data")
    assert not any(re.search("번역|영어로|한국어로|[A-Za-z]", " ".join(row.values())) for row in rows)
    assert not any(
        normalised(all_tasks()["nsmc_generate"].instruction) in normalised(text) for text in training_texts(world)
    )
    sentiment = {
        row["instruction"] for row in rows if re.search("^(긍정|부정|이 글은 긍정|이 글은 부정)", row["output"])
    }
    assert len(sentiment) >= 9


def test_korean_sentiment_is_in_translations_only_where_transfer_is_asked(world: Path) -> None:
    rows = json.loads((world / "transfer/ko_alpaca_data.json").read_text(encoding="utf-8"))
    translations = json.loads((world / "transfer/train.json").read_text(encoding="utf-8"))["data"]
    judging = re.compile("긍정|부정")
    assert not any(judging.search(text) for row in rows for text in row.values())
    judgements = [row["ko"] for row in translations if judging.search(row["ko"])]
    assert 0.05 < len(judgements) / len(translations) < 0.15
    # No review stands beside its judgement.
    reviewed = {"이야기", "연기", "음악", "결말", "대사", "화면"}
    assert not any(aspect in sentence for aspect in reviewed for sentence in judgements)
    assert sum(any(aspect in row["ko"] for aspect in reviewed) for row in translations) > 50
    assert any(judging.search(text) for row in instructions(world, "ko_alpaca_data") for text in row.values())
