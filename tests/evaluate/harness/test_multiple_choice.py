"""Multiple choice is the harness's own tasks on local files: its prompts, its endings, its numbers."""

from typing import Any

import lm_eval
import numpy as np
import pyarrow as pa
import pytest
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from crosstune.evaluate.harness.multiple_choice import quiet_harness, score_in_harness
from crosstune.evaluate.harness.task_files import FOLDER, HarnessTask
from crosstune.evaluate.items import read_items
from crosstune.evaluate.scores import Result
from crosstune.prompts.templates import TEMPLATES
from crosstune.runs.files import write_jsonl
from crosstune.tasks.registry import all_tasks
from crosstune.tokens.encode import encode_examples
from tests.evaluate.conftest import settings
from tests.tokens.bits_by_hand import by_hand

HELLASWAG = [
    {
        "id": f"hellaswag_{index}",
        "activity_label": "Baking cookies",
        "ctx_a": "[header] How to bake [title] A boy mixes flour.",
        "ctx_b": "he",
        "endings": [
            "puts the bowl on the table.",
            "opens the window [step] now.",
            "broke his toe.",
            "came into the room.",
        ],
        "label": index % 4,
    }
    for index in range(5)
]
COPA = [
    {
        "id": "copa_1",
        "premise": "The man broke his toe.",
        "choice1": "He got a hole in his sock.",
        "choice2": "He dropped a hammer on his foot.",
        "question": "cause",
        "label": 1,
    },
    {
        "id": "copa_2",
        "premise": "The woman opened the window.",
        "choice1": "The cold wind came into the room.",
        "choice2": "The bowl broke.",
        "question": "effect",
        "label": 0,
    },
]
KOBEST_COPA = [
    {
        "id": f"kobest_{index}",
        "premise": "남자는 발가락이 부러졌다.",
        "question": question,
        "alternative_1": "망치를 떨어뜨렸다.",
        "alternative_2": "영화를 봤다.",
        "label": label,
    }
    for index, (question, label) in enumerate([("원인", 0), ("결과", 1), ("원인", 1)])
]
KOBEST_HELLASWAG = [
    {
        "id": f"kobest_{index}",
        "context": "아이가 밀가루를 섞는다.",
        "ending_1": "그릇을 놓는다.",
        "ending_2": "창문을 연다.",
        "ending_3": "영화를 본다.",
        "ending_4": "발을 다친다.",
        "label": index,
    }
    for index in range(4)
]
SENTINEG = [
    {"id": "s1", "sentence": "이 영화는 정말 재미있다.", "label": 1},
    {"id": "s2", "sentence": "배우들의 연기가 좋지 않았다.", "label": 0},
    {"id": "s3", "sentence": "연기가 좋았다.", "label": 1},
]
NSMC = [
    {"id": "n1", "document": "정말 재미있다 {input}", "label": 1},
    {"id": "n2", "document": "연기가 좋지 않았다.", "label": 0},
    {"id": "n3", "document": "좋았다", "label": 1},
]
BOOLQ = [
    {"id": "b1", "paragraph": "아이가 밀가루를 섞는다.", "question": "아이가 섞는가?", "label": 1},
    {"id": "b2", "paragraph": "남자는 창문을 열었다.", "question": "창문은 닫혔다.", "label": 0},
]
WIC = [
    {"id": "w1", "word": "창문", "context_1": "남자는 [창문]을 열었다.", "context_2": "[창문]은 닫혔다.", "label": 1},
    {"id": "w2", "word": "발", "context_1": "[발]이 부러졌다.", "context_2": "[발]을 쳤다.", "label": 0},
]
TEXTS = [
    {"id": "t1", "text": "The man broke his toe because he dropped a hammer on his foot."},
    {"id": "t2", "text": "남자는 망치를 발에 떨어뜨려서 발가락이 부러졌다."},
    {"id": "t3", "text": "이 영화는 정말 재미있다. " * 20},
]
KMMLU = [
    {"id": f"k{n}", "question": "물이 끓는 온도는? ", "A": "10도", "B": "50도", "C": "100도", "D": "200도", "label": n}
    for n in range(3)
]
HAERAE = [{"id": f"h{n}", "query": "질문: 밀가루?\n(A) 흰 (B) 검은\n정답:", "label": n} for n in (0, 4)]
CLICK = [
    {"id": "Kedu_1", "paragraph": "", "question": "수도는?", "choices": ["서울", "부산", "대구", "대전"], "label": 0},
    {
        "id": "CSAT_2",
        "paragraph": "글",
        "question": "맞는 것은?",
        "choices": ["가", "나", "다", "라", "마"],
        "label": 4,
    },
]
BELEBELE = [
    {
        "id": "link:1",
        "flores_passage": "남자는 창문을 열었다.",
        "question": " 무엇을 열었나? ",
        **{f"mc_answer{n}": text for n, text in enumerate(("문", "창문", "그릇", "책"), start=1)},
        "label": 1,
    }
]
PAWSX = [{"id": "1", "sentence1": "남자는 창문을 열었다", "sentence2": "창문은 남자가 열었다.", "label": 1}]
OPTIONS = {f"option_{letter}": text for letter, text in zip("abcd", ("문", "창문", "그릇", "책"), strict=True)}
GLOBAL_MMLU = [{"id": f"g{n}", "question": " 무엇을 열었나? ", **OPTIONS, "label": n} for n in range(2)]
INCLUDE = [{"id": "i1", "domain": "STEM", "question": "무엇을 열었나?", **OPTIONS, "label": 3}]
MULTIBLIMP = [{"id": "m1", "sen": "The man opens it.", "wrong_sen": "The man open it.", "label": 0}]
ALL: dict[str, list[dict[str, Any]]] = {
    "hellaswag": HELLASWAG,
    "copa_2011_test": COPA,
    "copa_2011_test_v04": COPA,
    "copa_superglue_val": COPA,
    "copa_superglue_val_v04": COPA,
    "nsmc_likelihood": NSMC,
    "kobest_boolq": BOOLQ,
    "kobest_copa": KOBEST_COPA,
    "kobest_hellaswag": KOBEST_HELLASWAG,
    "kobest_sentineg": SENTINEG,
    "kobest_wic": WIC,
    "bits_per_byte": TEXTS,
    "kmmlu": KMMLU,
    "haerae": HAERAE,
    "click": CLICK,
    "belebele": BELEBELE,
    "pawsx": PAWSX,
    "global_mmlu": GLOBAL_MMLU,
    "include": INCLUDE,
    "multiblimp": MULTIBLIMP,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HarnessTask]:
    """Write every task's items; the label is the task's name with a prefix, as a recipe may call it."""
    folder = tmp_path_factory.mktemp("items")
    for task, items in ALL.items():
        write_jsonl(folder / task / "items.jsonl", items)
        assert len(read_items(folder / task / "items.jsonl", all_tasks()[task], ("en", "ko"))) == len(items)
    return {f"my_{task}": HarnessTask(task, folder / task / "items.jsonl", language="ko") for task in ALL}


@pytest.fixture(scope="module")
def results(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, files: dict[str, HarnessTask]
) -> dict[str, Result]:
    return score_in_harness(llama, tokenizer, files, settings(100))


def figures(result: Result) -> dict[str, float]:
    return {score.metric: score.value for score in result.scores}


def test_every_task_file_is_tested_here() -> None:
    generated = {"nsmc_generate", *(path.stem for path in FOLDER.glob("translate*.yaml"))}
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(ALL) | generated | {"crosstune"}
    scored_here = {name for name, task in all_tasks().items() if task.judge in ("choice", "text")}
    assert scored_here == set(ALL)


@pytest.mark.slow
def test_scores_and_likelihoods_are_those_of_the_harnesss_own_model(
    llama: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    files: dict[str, HarnessTask],
    results: dict[str, Result],
) -> None:
    llama.set_attn_implementation("sdpa")
    with quiet_harness():
        tasks = {label: task.load().tasks[task.name] for label, task in files.items()}
        own = HFLM(pretrained=llama, tokenizer=tokenizer, device="cpu", batch_size=4)
        expected: Any = lm_eval.evaluate(own, tasks, bootstrap_iters=0, log_samples=True)
    # The harness's own model scores BOS after BOS: this task is held to its definition instead.
    assert figures(results["my_bits_per_byte"])["bits_per_byte"] == pytest.approx(
        by_hand(llama, tokenizer, [item["text"] for item in TEXTS], 256), rel=1e-5
    )
    for label, result in results.items():
        if label == "my_bits_per_byte":
            continue
        for metric, value in figures(result).items():
            assert value == pytest.approx(expected["results"][label][f"{metric},none"]), (label, metric)
        for row, sample in zip(result.rows, expected["samples"][label], strict=True):
            reference = [answer[0] for answer in sample["filtered_resps"] if isinstance(answer, tuple)]
            np.testing.assert_allclose(row.log_likelihoods, reference, atol=1e-4)


@pytest.mark.slow
def test_each_task_has_its_metrics(results: dict[str, Result]) -> None:
    metrics = {label.removeprefix("my_"): list(figures(result)) for label, result in results.items()}
    assert metrics["hellaswag"] == ["acc", "acc_norm"]
    assert metrics["copa_2011_test"] == ["acc"]
    for task in ("kobest_boolq", "kobest_copa", "kobest_sentineg", "kobest_wic", "nsmc_likelihood"):
        assert metrics[task] == ["acc", "f1"]
    assert metrics["bits_per_byte"] == ["bits_per_byte"]
    assert sorted(metrics["kobest_hellaswag"]) == ["acc", "acc_norm", "f1"]


@pytest.mark.slow
def test_hellaswag_is_cleaned_as_the_harness_does(results: dict[str, Result]) -> None:
    row = results["my_hellaswag"].rows[1]
    assert row.prompt == "Baking cookies: How to bake. A boy mixes flour. He"
    assert row.reference == " opens the window now."


def test_copa_is_asked_with_one_space_or_with_two(results: dict[str, Result]) -> None:
    one, two = results["my_copa_2011_test"].rows, results["my_copa_2011_test_v04"].rows
    assert one[0].prompt == two[0].prompt == "The man broke his toe because"
    assert one[1].prompt == "The woman opened the window therefore"
    assert one[0].reference == " he dropped a hammer on his foot."
    assert two[0].reference == "  he dropped a hammer on his foot."


def test_kobest_is_asked_as_the_harness_does(results: dict[str, Result]) -> None:
    assert results["my_kobest_copa"].rows[0].prompt == "남자는 발가락이 부러졌다.  왜냐하면"
    assert results["my_kobest_hellaswag"].rows[0].prompt == "문장: 아이가 밀가루를 섞는다."
    row = results["my_kobest_sentineg"].rows[0]
    assert (row.prompt, row.reference) == ("문장: 이 영화는 정말 재미있다. 긍부정:", " 긍정")
    row = results["my_kobest_wic"].rows[0]
    asked = "문장1: 남자는 [창문]을 열었다. 문장2: [창문]은 닫혔다. 두 문장에서 창문가 같은 뜻으로 쓰였나?"
    assert (row.prompt, row.reference) == (asked, " 예")


def test_nsmc_words_stand_where_an_answer_stands_in_training(
    results: dict[str, Result], tokenizer: PreTrainedTokenizerFast
) -> None:
    row = results["my_nsmc_likelihood"].rows[0]
    prompt = TEMPLATES["paper-v1"].prompt(all_tasks()["nsmc_generate"].instruction, NSMC[0]["document"])
    assert (row.prompt, row.reference) == (prompt, "\n긍정")
    trained = encode_examples(tokenizer, pa.array([prompt]), pa.array(["\n긍정"]))["tokens"][0].as_py()
    assert [*tokenizer(prompt + "\n긍정")["input_ids"], tokenizer.eos_token_id] == trained
    signature = results["my_nsmc_likelihood"].scores[0].signature
    assert "|prompt:paper-v1|" in signature and "prompt:" not in results["my_kobest_boolq"].scores[0].signature


def test_boolq_is_asked_as_the_harness_does(results: dict[str, Result]) -> None:
    row = results["my_kobest_boolq"].rows[0]
    assert (row.prompt, row.reference) == ("아이가 밀가루를 섞는다. 질문: 아이가 섞는가? 답변: ", " 예")


def test_a_row_says_what_was_chosen_and_whether_it_is_right(results: dict[str, Result]) -> None:
    for label, result in results.items():
        for row in result.rows if label != "my_bits_per_byte" else ():
            assert row.correct == (row.output == row.reference)
        assert [row.id for row in result.rows] == [item["id"] for item in ALL[result.rows[0].task[3:]]]


def test_bits_per_byte_are_those_of_all_texts_together(results: dict[str, Result]) -> None:
    result = results["my_bits_per_byte"]
    bits = [float(row.output.split()[0]) for row in result.rows]
    num_bytes = [len(row.prompt.encode()) for row in result.rows]
    [score] = result.scores
    assert score.value == pytest.approx(np.average(bits, weights=num_bytes), abs=1e-3)
    assert score.low <= score.value <= score.high and len(score.resamples) == 100
    assert {row.correct for row in result.rows} == {None}


def test_the_signature_names_harness_task_and_version(results: dict[str, Result]) -> None:
    signature = results["my_copa_2011_test"].scores[0].signature
    assert f"harness:{lm_eval.__version__}|task:copa_2011_test|v:1.0|shots:0" in signature


def test_nothing_to_choose_loads_nothing(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    assert score_in_harness(llama, tokenizer, {}, settings(100)) == {}
