"""What becomes of the hours: tasks get the items that fit, training the rest, and both follow from one speed."""

import json
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest
import torch

from crosstune.doctor.subject import Subject, find_subject
from crosstune.errors import BadInputError
from crosstune.init import machine
from crosstune.init.budget import Budget, minutes
from crosstune.init.corpus import Mixture
from crosstune.init.found import FoundFile
from crosstune.init.held_out import hold_out
from crosstune.init.length import length_of
from crosstune.init.machine import plan_for
from crosstune.init.pieces import PieceChoice
from crosstune.init.rows import DrawnRows, TokenCounter, draw
from crosstune.init.scoring import ItemCost, ScoringPlan, cost_of_items, fit
from crosstune.init.sources import Sources
from crosstune.init.speed import Pace, speed_of
from crosstune.languages.parallel_sample import sample_of
from crosstune.plan.here import Measured, Stopwatch
from crosstune.plan.machines import Gpu
from crosstune.prompts.templates import TEMPLATES, translation_instructions
from crosstune.recipe import Languages
from crosstune.train.rows import Rows, Segment
from tests.doctor.conftest import MakeModel
from tests.init.conftest import lines, write_pairs, write_text
from tests.tokenizer.conftest import byte_level

# A thousand operations a second: a row of training takes a second, a token that is read a millisecond.
SPEED = Pace(1000.0, 1000.0, flops_per_row=1000.0, optimizer_seconds=0.0, inner=1.0, head=1.0, how="measured")
KOREAN = Languages(source="en", target="ko")
CHOICE = {"task": "kobest_copa", "paths": ["a.tsv"]}
TRANSLATION = {
    "task": "translation",
    "paths": ["pairs.tsv"],
    "directions": ["en-ko", "ko-en"],
    "instruction_languages": ["en", "ko"],
    "max_new_tokens": 128,
}


def budget(hours: float, scored: float = 0.0, speed: Pace = SPEED) -> Budget:
    return Budget(hours, speed, 0.0, ScoringPlan({}, {}, scored))


def drawn(num_rows: float) -> DrawnRows:
    return DrawnRows(Rows.of([(Segment((1, 2, 3), 1, 8, "ko", "a"),)]), num_rows)


def counter(saved: float = 0.0) -> TokenCounter:
    return TokenCounter(byte_level(sample_of("en") or [], 400, ignore_merges=False), "ko", saved, 500, 100)


def test_training_gets_what_preparing_and_scoring_leave() -> None:
    assert budget(1.0).for_training == pytest.approx(0.9 * 3600)
    assert budget(1.0, scored=1600.0).for_training == pytest.approx(0.9 * 2000)
    assert budget(0.1, scored=1600.0).for_training == 0.0


def test_steps_that_fit_are_taken_and_few_steps_are_of_fewer_rows() -> None:
    long = length_of(drawn(1_000_000), budget(10.0))
    assert (long.setting, long.batch, long.is_short) == ({"num_steps": 506}, 64, False)
    short = length_of(drawn(1_000_000), budget(0.5))
    assert (short.setting, short.batch, short.is_short) == ({"num_steps": 101}, 16, False)
    assert 0.9 * 1800 - 16 < short.seconds <= 0.9 * 1800
    least = length_of(drawn(1_000_000), budget(0.001))
    assert (least.setting, least.is_short) == ({"num_steps": 1}, True)


def test_a_corpus_that_is_seen_whole_is_seen_in_epochs_and_three_times_at_most() -> None:
    once = length_of(drawn(30_000), budget(10.0))
    assert (once.setting, once.batch) == ({"num_epochs": 1.0}, 64)
    often = length_of(drawn(3_000), budget(100.0))
    assert (often.setting, often.batch, often.num_steps) == ({"num_epochs": 3.0}, 32, 281)


def test_every_task_gets_its_fewest_items_first_and_then_an_equal_share_of_the_others() -> None:
    tasks = {"a": CHOICE, "b": TRANSLATION}
    costs = {"a": ItemCost(1.0, 500), "b": ItemCost(10.0, 200)}
    assert fit(tasks, costs, 1e6).max_items == {"a": 500, "b": 200}
    few = fit(tasks, costs, 475.0)
    assert few.max_items == {"a": 95, "b": 38} and few.seconds == pytest.approx(475)
    assert few.too_long == {}


def test_the_dearest_task_that_another_stands_for_is_left_out_first() -> None:
    tasks = {"a": CHOICE, "dear": CHOICE, "b": TRANSLATION}
    costs = {"a": ItemCost(1.0, 500), "dear": ItemCost(2.0, 500), "b": ItemCost(10.0, 200)}
    found = fit(tasks, costs, 300.0)
    assert [*found.max_items] == ["a", "b"]
    assert found.too_long == {"dear": pytest.approx(100 / 60)}
    # One is scored, however few the hours.
    assert len(fit(tasks, costs, 0.0).max_items) == 1


def test_of_two_tasks_on_the_same_items_one_goes_where_both_cannot_have_enough() -> None:
    written = {"task": "nsmc_generate", "paths": ["ratings.txt"]}
    tasks = {"written": written, "likelier": {**written, "task": "nsmc_likelihood"}, "a": CHOICE}
    costs = {"written": ItemCost(2.0, 500), "likelier": ItemCost(1.0, 500), "a": ItemCost(3.0, 500)}
    assert [*fit(tasks, costs, 2000.0).max_items] == [*tasks]
    few = fit(tasks, costs, 1000.0)
    assert few.max_items == {"likelier": 250, "a": 250} and [*few.too_long] == ["written"]
    assert few.why_left_out("written") == "likelier stands for it"


def test_translation_is_scored_as_long_as_one_thing_is() -> None:
    tasks = {"a": CHOICE, "b": TRANSLATION}
    costs = {"a": ItemCost(1.0, 500), "b": ItemCost(10.0, 200)}
    found = fit(tasks, costs, 100.0)
    assert [*found.max_items] == ["b"] and found.why_left_out("a") == "too long"


def test_what_an_item_costs_follows_from_its_texts_and_from_what_is_written(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.tsv", "ko", 20)
    write_text(tmp_path / "text.txt", "ko", 20)
    tasks = {
        "translate": TRANSLATION,
        "text": {"task": "bits_per_byte", "language": "ko", "paths": ["text.txt"]},
        "lost": {**TRANSLATION, "paths": ["nowhere.tsv"]},
    }
    base, shorter = (cost_of_items(tasks, tmp_path, KOREAN, counter(saved), SPEED) for saved in (0.0, 0.5))
    assert [*base] == ["translate", "text"]
    assert base["translate"].num_items == base["text"].num_items == 20
    # Two systems, two languages that ask, two directions, at least half of the limit for each: no less than if read.
    assert base["translate"].seconds > 2 * 2 * 2 * 64 * (2 / 1000)
    # One of both systems has pieces that halve the text; what is around it stays.
    assert 0.7 * base["text"].seconds < shorter["text"].seconds < 0.85 * base["text"].seconds


def test_rows_are_as_long_as_the_texts_and_documents_fill_them() -> None:
    pairs = tuple({"en": first, "ko": second} for first, second in zip(lines("en", 30), lines("ko", 30), strict=True))
    text = tuple({"text": line} for line in lines("ko", 30))
    chosen = Sources(
        settings={"pairs": {"kind": "parallel"}, "text": {"kind": "text", "language": "ko"}},
        files={
            "pairs": FoundFile("pairs", "parallel", "", 300, sample=pairs),
            "text": FoundFile("text", "text", "ko", 100, characters=50_000, sample=text),
        },
    )
    asked = {"directions": ["en-ko", "ko-en"], "instruction_languages": ["en", "ko"]}
    mixture = Mixture(({"source": "pairs", **asked}, {"source": "text"}), 400, {"pairs": 0.75, "text": 0.25}, "")
    found = draw(chosen, mixture, KOREAN, counter(), 300)
    shorter = draw(chosen, mixture, KOREAN, counter(0.5), 300)
    lengths = found.rows.lengths()
    assert max(lengths) == 300 and min(lengths) < 250
    assert 300 < shorter.num_rows < found.num_rows
    assert shorter.tokens_per_row < found.tokens_per_row
    # A document is all Korean; of a pair one side is, beside the other and what asks for it.
    assert 0.3 * found.tokens_per_row < found.target_tokens_per_row < found.tokens_per_row - 40 * 0.75
    assert all(0 <= token < 500 for row in found.rows for segment in row for token in segment.tokens)


def test_a_row_of_a_translation_is_as_long_as_the_prompt_that_asks_for_it() -> None:
    pairs = tuple({"en": first, "ko": second} for first, second in zip(lines("en", 30), lines("ko", 30), strict=True))
    chosen = Sources(
        settings={"a": {"kind": "parallel"}}, files={"a": FoundFile("a", "parallel", "", 30, sample=pairs)}
    )
    # The one in Korean: bytes of an English tokenizer, several for each syllable.
    part = {"source": "a", "directions": ["en-ko"], "instruction_languages": ["ko"]}
    base, template = counter().base, TEMPLATES["alpaca"]
    found = draw(chosen, Mixture((part,), 30, {"a": 1.0}, ""), KOREAN, counter(), 5000)
    wordings = translation_instructions("en-ko", "ko", "train")
    written = [
        template.prompt(wording, pair["en"]) + pair["ko"] for wording, pair in zip(cycle(wordings), pairs, strict=False)
    ]
    really = sum(1 + len(ids) for ids in base.encode_lines(written)) / len(written)
    assert found.tokens_per_row == pytest.approx(really, rel=0.03)


def test_a_language_whose_code_has_a_region_or_script_is_counted_as_any_other(tmp_path: Path) -> None:
    languages = Languages(source="en", target="zh-TW")
    pairs = tuple({"en": line, "zh-TW": line[::-1]} for line in lines("en", 20))
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), "utf-8")
    new = replace(counter(), target="zh-TW")
    asked = {"directions": ["en-zh-TW", "zh-TW-en"], "instruction_languages": ["en"]}
    chosen = Sources(
        settings={"a": {"kind": "parallel"}}, files={"a": FoundFile("a", "parallel", "", 20, sample=pairs)}
    )
    found = draw(chosen, Mixture(({"source": "a", **asked},), 20, {"a": 1.0}, ""), languages, new, 5000)
    assert 0 < found.target_tokens_per_row < found.tokens_per_row
    tasks = {"translate": {**TRANSLATION, **asked, "paths": ["pairs.jsonl"]}}
    assert cost_of_items(tasks, tmp_path, languages, new, SPEED)["translate"].seconds > 0


def test_times_are_told_in_words() -> None:
    assert [minutes(seconds) for seconds in (45, 600, 36_000)] == ["45 seconds", "10 minutes", "10.0 hours"]


@pytest.mark.parametrize("gpu", ["", "rtx4090"])
def test_a_machine_is_measured_and_a_gpu_by_name_is_counted(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, gpu: str
) -> None:
    measured = Measured(flops_per_second=1e6, optimizer_seconds=2.0, num_layers=1, share_of_cores=0.25)
    monkeypatch.setattr(Stopwatch, "measure", lambda *_: measured)
    subject, new = find_subject(str(make_model()), None), TokenCounter(counter().base, "ko", 0.5, 420, 20)
    row = (Segment(tuple(range(30)), 10, 80, "ko", "a"),)
    pace = speed_of(subject, plan_for(subject, gpu), DrawnRows(Rows.of([row] * 40), 40), new)
    assert pace.flops_per_row > 0 and pace.inner > 0 and pace.head == 2 * 32 * 420
    if gpu:
        assert "assumed" in pace.how and pace.share_of_cores == 1
        # It trains in bfloat16 and recomputes layers, which are three passes of four; it scores in float32.
        assert pace.flops_per_second == pytest.approx(0.4 * 165e12 * 3 / 4)
        assert pace.scoring_flops_per_second == pytest.approx(0.4 * 82.6e12)
    else:
        assert pace.measured is measured and pace.measured.is_shared
        assert "25% of its cores" in measured.told_share
        assert pace.step_seconds(2) == pytest.approx(2 * pace.flops_per_row / 1e6 + 2.0)


def processor(bf16_tflops: float) -> Gpu:
    return Gpu("this machine", 64.0, bf16_tflops, 1.0)


@pytest.mark.parametrize(("bf16_tflops", "precision"), [(2.0, "bf16"), (1.1, "float32"), (0.3, "float32")])
def test_a_processor_trains_in_bfloat16_where_that_is_faster_and_scores_in_float32(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, bf16_tflops: float, precision: str
) -> None:
    rates = {"bf16": 3e6, "float32": 2e6}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "this_device", lambda: processor(bf16_tflops))
    monkeypatch.setattr(Stopwatch, "measure", lambda _, case, *__: Measured(rates[case.settings.precision], 0.0, 1))
    subject, row = find_subject(str(make_model()), None), (Segment(tuple(range(30)), 10, 80, "ko", "a"),)
    planned = plan_for(subject, "")
    assert (planned.cost.settings.precision, planned.scoring_precision) == (precision, "float32")
    assert plan_for(subject, "", only_float32=True).cost.settings.precision == "float32"
    pace = speed_of(subject, planned, DrawnRows(Rows.of([row] * 40), 40), TokenCounter(counter().base, "ko", 0, 400, 0))
    assert (pace.flops_per_second, pace.scoring_flops_per_second) == (rates[precision], 2e6)
    assert ("in bfloat16" in pace.how) == (precision == "bf16")
    assert pace.gain == rates[precision] / 2e6


def test_other_work_on_the_cores_makes_neither_precision_the_faster_one() -> None:
    busy, free = Measured(3e6, 0.0, 1, share_of_cores=0.5), Measured(4e6, 0.0, 1)
    pace = replace(SPEED, measured=busy, measured_as_scored=free)
    assert pace.gain == pytest.approx(1.5)
    assert pace.trained_as_scored().gain == 1


def test_memory_is_counted_with_the_rows_of_new_pieces(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    subject, room = find_subject(str(make_model()), None), Gpu("this machine", 64.0, 1.0, 1.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "this_device", lambda: room)
    needed = plan_for(subject, "").cost.memory.total / 1e9
    many = plan_for(subject, "", sizes=(400, 1_000_000)).cost
    # Weights, gradients and both moments of a row in float32; logits of each piece beside that.
    assert many.method.name == "full" and many.memory.total / 1e9 > needed + 1_000_000 * 32 * 16 / 1e9
    room = replace(room, memory_gb=needed + 0.01)
    assert plan_for(subject, "").cost.method.name == "full"
    with pytest.raises(BadInputError, match="does not fit on this machine"):
        plan_for(subject, "", sizes=(400, 1_000_000))


def test_without_room_for_the_rows_of_many_pieces_there_are_fewer() -> None:
    choice = PieceChoice(8000, "they pay", {2000: 0.2, 4000: 0.3, 8000: 0.4, 16_000: 0.41})
    assert [one.number for one in choice.and_fewer()] == [8000, 4000, 2000, 0]
    assert [one.saved for one in choice.and_fewer()] == [0.4, 0.3, 0.2, 0.0]
    assert [*PieceChoice(0, "too few").and_fewer()] == [PieceChoice(0, "too few")]


@pytest.mark.parametrize(("num_weights", "precision"), [(4_000_000_000, "float32"), (7_000_000_000, "bf16")])
def test_a_model_whose_weights_do_not_fit_in_float32_is_scored_in_bfloat16(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, num_weights: int, precision: str
) -> None:
    monkeypatch.setattr(Subject, "num_weights", num_weights)
    assert plan_for(find_subject(str(make_model()), None), "rtx4090").scoring_precision == precision


def test_where_the_model_cannot_be_tried_a_share_of_a_matrix_product_is_assumed(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Measured:
        raise TypeError("forward() missing a picture")

    monkeypatch.setattr(Stopwatch, "measure", fail)
    subject = find_subject(str(make_model()), None)
    planned, row = plan_for(subject, ""), (Segment(tuple(range(30)), 10, 80, "ko", "a"),)
    pace = speed_of(subject, planned, DrawnRows(Rows.of([row] * 40), 40), TokenCounter(counter().base, "ko", 0, 400, 0))
    assert "a guess" in pace.how
    gpu = planned.machine.gpu
    assert pace.flops_per_second == pytest.approx(0.4 * gpu.tflops(planned.cost.settings.precision) * 1e12)
    assert pace.scoring_flops_per_second == pytest.approx(0.4 * gpu.float32_tflops * 1e12)


def test_of_a_long_text_the_beginning_is_held_out(tmp_path: Path) -> None:
    book = {"text": " ".join(f"{line}." for line in lines("ko", 200))}
    (tmp_path / "book.jsonl").write_text(json.dumps(book, ensure_ascii=False), "utf-8")
    chosen = Sources(
        settings={"book": {"kind": "text", "language": "ko", "paths": ["book.jsonl"]}},
        files={"book": FoundFile("book.jsonl", "text", "ko", 20)},
    )
    hold_out(chosen, tmp_path, tmp_path / "tests", KOREAN)
    (row,) = (tmp_path / "tests" / "test_text_ko.jsonl").read_text("utf-8").splitlines()
    kept = json.loads(row)["text"]
    assert 500 < len(kept) <= 1000 and kept.endswith(".") and book["text"].startswith(kept)
