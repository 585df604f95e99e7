"""An instruction set is translated there and back: what fails is dropped with its reason, nothing is asked twice."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crosstune.cli.instruct import instruct
from crosstune.data.rows import Row
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.instruct import command, translators
from crosstune.instruct.command import ROWS, InstructionSet, make
from crosstune.instruct.translators import EndpointTranslator, ModelTranslator, Translation
from crosstune.recipe import Languages, Source
from crosstune.runs.files import read_json, read_jsonl
from tests.judge.test_judge import endpoint

ALPACA = [
    {"instruction": "Name three colors of the rainbow.", "input": "", "output": "Red, yellow and blue."},
    {"instruction": "How many legs does a spider have?", "input": "", "output": "8"},
    {"instruction": "Translate into French.", "input": "good morning", "output": "bonjour"},
    {"instruction": "Write about the sea.", "input": "", "output": "The sea is wide and deep and blue."},
    {"instruction": "Say something about dogs.", "input": "", "output": "Dogs are loyal animals."},
    {"instruction": "1 + 1", "input": "", "output": "2"},
]
KOREAN = {
    "Name three colors of the rainbow.": "무지개의 세 가지 색을 말해 보세요.",
    "Red, yellow and blue.": "빨강, 노랑, 파랑입니다.",
    "How many legs does a spider have?": "거미는 다리가 몇 개인가요?",
    "Translate into French.": "프랑스어로 번역하세요.",
    "good morning": "좋은 아침입니다",
    "bonjour": "봉주르",
    "Write about the sea.": "바다에 대해 쓰세요.",
    # Not translated.
    "The sea is wide and deep and blue.": "The sea is wide and deep and blue.",
    "Say something about dogs.": "개에 대해 말해 보세요.",
    "Dogs are loyal animals.": "고양이는 밤에 돌아다닌다.",
}
BACK = {korean: english for english, korean in KOREAN.items()} | {"고양이는 밤에 돌아다닌다.": "Cats wander at night."}


class Dictionary:
    """A translator that knows these texts, and may be interrupted."""

    def __init__(self, fail_after: int = 10**6) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fail_after = fail_after

    @property
    def facts(self) -> dict[str, Any]:
        return {"model": "dictionary"}

    def translate(self, texts: Sequence[str], direction: str) -> list[Translation]:
        if len(self.asked) >= self.fail_after:
            raise KeyboardInterrupt
        self.asked += [(direction, text) for text in texts]
        known = KOREAN if direction == "en-ko" else BACK
        return [Translation(known[text], text != "Translate into French.") for text in texts]


@pytest.fixture
def wanted(tmp_path: Path) -> InstructionSet:
    file = tmp_path / "alpaca.json"
    file.write_text(json.dumps(ALPACA), encoding="utf-8")
    return InstructionSet(file, ("en", "ko"), None, 40.0)


def test_rows_that_hold_are_kept_and_others_dropped_with_their_reason(wanted: InstructionSet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    translator = Dictionary()
    make(wanted, translator, out)
    kept = read_jsonl(out / ROWS)
    assert [(row["instruction"], row["output"]) for row in kept] == [
        ("무지개의 세 가지 색을 말해 보세요.", "빨강, 노랑, 파랑입니다."),
        ("거미는 다리가 몇 개인가요?", "8"),
    ]
    assert kept[0]["round_trip_chrf"] == 100.0 and "alpaca.json" in kept[0]["origin"]
    dropped = {row["original"]["instruction"]: row["reason"] for row in read_jsonl(out / "dropped.jsonl")}
    assert dropped == {
        "Translate into French.": "instruction: no stop",
        "Write about the sea.": "output: source copied",
        "Say something about dogs.": "output: round trip below chrF 40",
        "1 + 1": "nothing to translate",
    }
    manifest = read_json(out / "manifest.json")
    assert (manifest["rows"], manifest["kept"], sum(manifest["dropped"].values())) == (6, 2, 4)
    assert manifest["made_from"]["translator"] == {"model": "dictionary"} and len(manifest["made_from"]["sha256"]) == 64
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "2 of 6 rows of `alpaca.json`" in card and "| output: source copied | 1 |" in card and "- ko\n" in card
    source, languages = Source(kind="instructions", language="ko", paths=(ROWS,)), Languages(source="en", target="ko")
    read = [row.texts for row in read_source(source, [out / ROWS], out, languages) if isinstance(row, Row)]
    assert read == [{field: row[field] for field in ("instruction", "input", "output")} for row in kept]
    asked = len(translator.asked)
    make(wanted, translator, out)
    assert len(translator.asked) == asked


def test_answers_after_a_system_prompt_or_earlier_turns_are_dropped_and_not_glued(tmp_path: Path) -> None:
    asked, colors, legs = (
        "Name three colors of the rainbow.",
        "Red, yellow and blue.",
        "How many legs does a spider have?",
    )
    turns = [("user", asked), ("assistant", colors), ("user", legs), ("assistant", "8")]
    rows: list[dict[str, Any]] = [{"messages": [{"role": role, "content": text} for role, text in turns]}]
    rows.append({"system": "Be brief.", "instruction": asked, "output": colors})
    file, out, translator = tmp_path / "chat.jsonl", tmp_path / "out", Dictionary()
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    facts = make(InstructionSet(file, ("en", "ko"), None, 40.0), translator, out)
    assert (facts["kept"], facts["dropped"]) == (1, {"system prompt or earlier turns": 2})
    assert [row["instruction"] for row in read_jsonl(out / ROWS)] == [KOREAN[asked]]
    # What is dropped anyway costs nothing.
    assert [text for direction, text in translator.asked if direction == "en-ko"] == [asked, colors]


def test_an_interrupted_call_goes_on_and_another_threshold_asks_nothing_again(
    wanted: InstructionSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "ROWS_AT_A_TIME", 1)
    out, broken = tmp_path / "out", Dictionary(fail_after=6)
    with pytest.raises(KeyboardInterrupt):
        make(wanted, broken, out)
    assert not out.exists()
    again = Dictionary()
    make(wanted, again, out)
    assert {text for _, text in broken.asked}.isdisjoint({text for _, text in again.asked})
    # Nothing passes: what was translated stays for the next call.
    strict = InstructionSet(wanted.file, ("en", "ko"), 4, 100.0)
    with pytest.raises(BadInputError, match=r"none of 1 rows .* passes: nothing to translate: 1"):
        file = tmp_path / "sums.json"
        file.write_text(json.dumps(ALPACA[-1:]), encoding="utf-8")
        make(InstructionSet(file, ("en", "ko"), None, 40.0), Dictionary(), tmp_path / "other")
    assert make(strict, Dictionary(), tmp_path / "strict")["kept"] == 2


def test_another_threshold_filters_the_same_translations_again(wanted: InstructionSet, tmp_path: Path) -> None:
    out, other, nobody = tmp_path / "out", tmp_path / "other", Dictionary(fail_after=0)
    make(wanted, Dictionary(), out)
    make(replace(wanted, min_chrf=10.0), Dictionary(), other)
    before = (other / ROWS).read_text(encoding="utf-8")
    assert make(replace(wanted, min_chrf=10.0), nobody, out)["kept"] == 3
    assert (out / ROWS).read_text(encoding="utf-8") == before
    assert make(wanted, nobody, out)["kept"] == 2 and read_json(out / "manifest.json")["min_chrf"] == 40.0
    # Of other files, or with a file of somebody else's in it, nothing is replaced.
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BadInputError, match="or changed since, and is not overwritten"):
        make(replace(wanted, min_chrf=10.0), nobody, out)


def test_a_folder_of_something_else_is_not_overwritten(wanted: InstructionSet, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(BadInputError, match="holds something else, and is not overwritten: give another OUT"):
        make(wanted, Dictionary(), tmp_path / "mine")


def test_a_finished_folder_stays_as_it_is_corrected_by_hand_or_asked_for_otherwise(
    wanted: InstructionSet, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    make(wanted, Dictionary(), out)
    (out / ROWS).write_text("corrected\n", encoding="utf-8")
    assert make(wanted, Dictionary(), out) == {}
    with pytest.raises(BadInputError, match=r"otherwise \(min_chrf: 40\.0, now 10\.0\) or changed since, and is not"):
        make(replace(wanted, min_chrf=10.0), Dictionary(), out)
    assert (out / ROWS).read_text(encoding="utf-8") == "corrected\n"


def test_what_is_asked_of_nobody_or_into_the_same_language_is_refused(wanted: InstructionSet, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="--model says who translates"):
        instruct(wanted.file, tmp_path / "out")
    with pytest.raises(BadInputError, match="--from and --to are both en"):
        instruct(wanted.file, tmp_path / "out", to="eng", model="m")
    # Before a model is loaded.
    with pytest.raises(BadInputError, match=r"Give --from and --to, and --instruction-language"):
        instruct(wanted.file, tmp_path / "out", model="nowhere", instruction_language="sw")
    wanted.file.write_text("[]")
    with pytest.raises(BadInputError, match=r"alpaca\.json"):
        instruct(wanted.file, tmp_path / "out", model="nowhere")
    for idle in ({"prompt": "alpaca"}, {"precision": "bf16"}, {"instruction_language": "ko"}):
        with pytest.raises(BadInputError, match="not with --url, where the endpoint decides"):
            instruct(wanted.file, tmp_path / "out", model="m", url="http://127.0.0.1:9/v1", **idle)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="--parallel: only with --url"):
        instruct(wanted.file, tmp_path / "out", model="m", parallel=8)


@pytest.mark.slow
def test_an_endpoint_translates_whole_texts(tmp_path: Path) -> None:
    with endpoint(lambda: "빨강\n노랑") as (stub, asked):
        translator = EndpointTranslator(stub, 2)
        found = translator.translate(["Red\nyellow"], "en-ko")
        assert found == [Translation("빨강\n노랑", True)]
        assert "from English to Korean" in asked[0] and asked[0].endswith("\n\nRed\nyellow")
    assert translator.facts["model"] == "stub"


def test_a_trained_model_translates_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Echo:
        def __init__(self) -> None:
            self.instructions: dict[str, dict[str, str]] = {}

        def encode(self, instruction: str, text: str) -> str:
            assert "Korean" in instruction
            return text

        precision = "float32"

        def answers(self, prompts: Sequence[str], _: Any) -> list[tuple[str, bool]]:
            return [(text.upper(), text != "b") for text in prompts]

    monkeypatch.setattr(translators, "Assistant", lambda *_, **__: Echo())
    found = ModelTranslator("model", None, "en", 8, ("en", "ko")).translate(["a\n\nc", "b"], "en-ko")
    assert found == [Translation("A\n\nC", True), Translation("B", False)]
