"""Benchmarks by language: the harness's own groups, from copies of data sets, in a chat template, as it scores them."""

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import lm_eval
import numpy as np
import pyarrow as pa
import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from crosstune.cli import experiments as commands
from crosstune.errors import BadInputError
from crosstune.evaluate.find_benchmarks import Choice
from crosstune.evaluate.harness import language_model
from crosstune.evaluate.harness.copies import copies_for_the_hub
from crosstune.evaluate.harness.language_model import CrosstuneLM
from crosstune.evaluate.harness.multiple_choice import quiet_harness, score_in_harness
from crosstune.evaluate.harness.task_files import HarnessTask
from crosstune.evaluate.score import language_suite
from crosstune.evaluate.scoring import Likelihood, ScoredPair
from crosstune.models.chat_template import from_tokenizer
from crosstune.prompts.controls import without_marks
from crosstune.runs.files import read_json, write_jsonl
from crosstune.tasks.registry import all_tasks, benchmarks_in_harness, known_in_harness, suite_of
from crosstune.tokens.encode import encode_examples
from tests.evaluate.conftest import settings

BELEBELE = Path(lm_eval.__file__).parent / "tasks" / "belebele"
CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A folder that holds the harness's data set as the hub has it."""
    folder = tmp_path / "copies"
    asked = [("무엇을 열었나?", 1), ("누가 열었나?", 2), ("What broke? </s>", 4), ("무엇을 섞었나?", 3)]
    rows = [
        {
            "flores_passage": f"남자는 창문을 열었다. {number}",
            "question": question,
            **{f"mc_answer{n}": text for n, text in enumerate(("문", "창문", "그릇", "책"), start=1)},
            "correct_answer_num": str(right),
        }
        for number, (question, right) in enumerate(asked)
    ]
    write_jsonl(folder / "facebook" / "belebele" / "data" / "kor_Hang.jsonl", rows)
    configs = (
        "---\nconfigs:\n- config_name: kor_Hang\n  data_files:\n  - split: test\n    path: data/kor_Hang.jsonl\n---\n"
    )
    (folder / "facebook" / "belebele" / "README.md").write_text(configs)
    return folder


@pytest.fixture
def chat_tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    own = copy.deepcopy(tokenizer)
    own.chat_template = CHAT
    return own


def belebele(copies: Path, **more: Any) -> HarnessTask:
    return HarnessTask("belebele_kor_Hang", include_path=BELEBELE, copies=copies, **more)


def test_a_changed_copy_is_read_anew(copies: Path) -> None:
    """`datasets` keeps what it has read under the folder's name, which another copy has, too."""
    rows = copies / "facebook" / "belebele" / "data" / "kor_Hang.jsonl"
    for question in ("What broke? </s>", "What fell?"):
        rows.write_text(rows.read_text(encoding="utf-8").replace("What broke? </s>", question), encoding="utf-8")
        with copies_for_the_hub(copies):
            read: Any = datasets.load_dataset("facebook/belebele", "kor_Hang", split="test")
        assert read[2]["question"] == question


@pytest.mark.slow
@pytest.mark.parametrize(("num_fewshot", "multiturn"), [(0, True), (2, True), (2, False)])
def test_a_chat_template_asks_and_scores_as_the_harnesss_own_command(
    copies: Path, llama: PreTrainedModel, chat_tokenizer: PreTrainedTokenizerFast, num_fewshot: int, multiturn: bool
) -> None:
    rows = (copies / "facebook" / "belebele" / "data" / "kor_Hang.jsonl").read_text(encoding="utf-8")
    # A control token that an item spells out is a token to the harness, and text here.
    (copies / "facebook" / "belebele" / "data" / "kor_Hang.jsonl").write_text(rows.replace(" </s>", ""))
    task = belebele(copies, chat_template=True, fewshot_as_multiturn=multiturn, num_fewshot=num_fewshot)
    result = score_in_harness(llama, chat_tokenizer, {"b": task}, settings(100))["b"]
    llama.set_attn_implementation("sdpa")
    manager = TaskManager(include_path=str(BELEBELE), include_defaults=False)
    with quiet_harness(), copies_for_the_hub(copies):
        own: Any = lm_eval.simple_evaluate(
            HFLM(pretrained=llama, tokenizer=chat_tokenizer, device="cpu", batch_size=2),
            tasks=["belebele_kor_Hang"],
            num_fewshot=num_fewshot,
            apply_chat_template=True,
            fewshot_as_multiturn=multiturn,
            task_manager=manager,
            bootstrap_iters=0,
            log_samples=True,
        )
    samples = sorted(own["samples"]["belebele_kor_Hang"], key=lambda sample: sample["doc_id"])
    for row, sample in zip(result.rows, samples, strict=True):
        assert row.prompt == sample["arguments"][0][0] and row.prompt.count("assistant: ") >= 1
        expected = [answer[0] for answer in sample["filtered_resps"]]
        np.testing.assert_allclose(row.log_likelihoods, expected, atol=1e-4)
    by_metric = {score.metric: score.value for score in result.scores}
    assert by_metric["acc"] == pytest.approx(own["results"]["belebele_kor_Hang"]["acc,none"])
    shots = result.rows[0].prompt.count("user: ")
    assert shots == (num_fewshot + 1 if multiturn else 1)
    assert "|chat_template:own|fewshot_as_multiturn:" in result.scores[0].signature


@pytest.mark.slow
def test_tasks_with_and_without_a_chat_template_are_scored_beside_each_other(
    copies: Path, llama: PreTrainedModel, chat_tokenizer: PreTrainedTokenizerFast
) -> None:
    tasks = {"plain": belebele(copies), "chat": belebele(copies, chat_template=True)}
    results = score_in_harness(llama, chat_tokenizer, tasks, settings(100))
    prompts = {label: result.rows[0].prompt for label, result in results.items()}
    assert prompts["chat"] == f"<s>user: {prompts['plain']}</s>assistant: "
    assert "chat_template" not in results["plain"].scores[0].signature


def test_a_control_token_that_an_item_spells_out_is_text_in_a_chat(
    llama: PreTrainedModel, chat_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[ScoredPair] = []

    def keep(_: Any, pairs: list[ScoredPair], *__: Any) -> list[Likelihood]:
        scored.extend(pairs)
        return [Likelihood(0.0, True)] * len(pairs)

    monkeypatch.setattr(language_model, "log_likelihoods", keep)
    model = CrosstuneLM(llama, chat_tokenizer)
    asked = model.apply_chat_template([{"role": "user", "content": "What broke? </s>"}])
    tokens = model.tok_encode(asked)
    assert tokens.count(2) == 1 and tokens.count(1) == 1 and tokens[0] == 1
    model.loglikelihood([Instance("loglikelihood", {"id": "1"}, (asked, "the </s>"), 0)])
    assert 2 not in scored[0].continuation and list(scored[0].context) == tokens[: len(scored[0].context)]
    plain = model.apply_chat_template([{"role": "user", "content": "What broke?"}])
    assert model.tok_encode(plain) == chat_tokenizer.encode(plain, add_special_tokens=False)


@pytest.mark.slow
def test_a_chat_template_s_words_are_scored_behind_the_tokens_that_training_has(
    llama: PreTrainedModel, chat_tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, document = from_tokenizer(chat_tokenizer), "재미있다 </s>"
    write_jsonl(tmp_path / "items.jsonl", [{"id": "n", "document": document, "label": 1, "origin": "f:1"}])
    scored: list[ScoredPair] = []

    def keep(_: Any, pairs: list[ScoredPair], *__: Any) -> list[Likelihood]:
        scored.extend(pairs)
        return [Likelihood(-1.0, True)] * len(pairs)

    monkeypatch.setattr(language_model, "log_likelihoods", keep)
    task = HarnessTask("nsmc_likelihood", tmp_path / "items.jsonl", template)
    [row] = score_in_harness(llama, chat_tokenizer, {"n": task}, settings(100))["n"].rows
    asked = template.prompt(all_tasks()["nsmc_generate"].instruction, document)
    assert row.prompt == without_marks(asked) and document in row.prompt
    answer = template.completion("긍정")
    trained = encode_examples(chat_tokenizer, pa.array([asked]), pa.array([answer]), with_controls=True)
    tokens, num_prompt = trained["tokens"][0].as_py(), trained["num_prompt"][0].as_py()
    assert (scored[1].context, [*scored[1].continuation, 2]) == (tokens[:num_prompt], tokens[num_prompt:])
    # BOS, and the end of the question; what the review spells out is text.
    assert [tokens[:num_prompt].count(token) for token in (1, 2)] == [1, 1]


def test_an_item_is_asked_with_the_same_date_every_day(
    llama: PreTrainedModel, chat_tokenizer: PreTrainedTokenizerFast
) -> None:
    chat_tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}\n" + CHAT
    asked = CrosstuneLM(llama, chat_tokenizer).apply_chat_template([{"role": "user", "content": "a"}])
    assert asked.startswith("26 Jul 2024\n<s>user: a")


def test_a_tokenizer_without_a_chat_template_is_told(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(
        BadInputError, match=r"asked in the chat template, but the tokenizer .* remove its chat_templat"
    ):
        CrosstuneLM(llama, tokenizer).apply_chat_template([{"role": "user", "content": "a"}])


def test_a_data_set_that_is_not_among_the_copies_is_taken_from_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no folder .*copies/facebook/belebele. .*hf download --repo-type dataset"):
        belebele(tmp_path / "copies").load()


def test_what_copies_hold_is_part_of_a_tasks_files(copies: Path) -> None:
    before = belebele(copies).looked_at().file_hashes()
    assert [name for name in before if name == "facebook/belebele"]
    data = copies / "facebook" / "belebele" / "data" / "kor_Hang.jsonl"
    data.write_text(data.read_text(encoding="utf-8").replace("창문", "대문"), encoding="utf-8")
    after = belebele(copies).looked_at().file_hashes()
    # The task file is one of the user's own: its documents count, wherever they are read from.
    assert {name for name in before if before[name] != after[name]} == {"(documents)", "facebook/belebele"}


def test_suites_are_those_of_the_registry() -> None:
    assert suite_of("ko")["kmmlu"] == "kmmlu" and suite_of("ko")["include"] == "include_base_44_korean"
    assert suite_of("ja")["xwinograd"] == "xwinograd_jp" and suite_of("de")["multiblimp"] == "multiblimp_deu"
    assert suite_of("vro") == {}
    known = known_in_harness("belebele_kor_Hang", "ko")
    assert known is not None and (known.title, known.chance) == ("Belebele", 0.25)
    assert known_in_harness("belebele_kor_Hang", "ja") is None and known_in_harness("kmmlu", None) is None


@pytest.mark.slow
def test_the_harness_has_every_benchmark_under_the_name_that_the_registry_says() -> None:
    # Its own manager takes ten times as long to find the same.
    called = re.compile(r'^(?:group|task): *"?([^"\n\[]*)', re.MULTILINE)
    texts = (path.read_text(encoding="utf-8") for path in BELEBELE.parent.rglob("*.yaml"))
    known = {name.strip() for text in texts for name in called.findall(text)}
    asked = {
        one.in_harness.name_in(language)
        for one in benchmarks_in_harness().values()
        for language in one.in_harness.languages
    }
    assert asked - known == set() and len(asked) > 400


@pytest.mark.slow
@pytest.mark.xdist_group("all_tasks_of_the_harness")
def test_a_language_is_scored_from_copies_by_one_command(
    copies: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    commands.score(str(model_folder), language="ko", tasks="belebele", copies=copies, limit=3, out=out)
    printed = capsys.readouterr().out
    assert "Belebele, Korean" in printed and "guessing\u00a00.25" in printed
    scores = read_json(out / "systems" / "model" / "evaluation" / "scores.json")["scores"]
    assert {(score["task"], score["metric"], score["n"]) for score in scores} == {
        ("belebele_ko", "acc", 3),
        ("belebele_ko", "acc_norm", 3),
    }


def test_settings_of_a_suite_need_a_language_and_those_of_files_none(tmp_path: Path) -> None:
    choice = Choice("paper", None)
    with pytest.raises(BadInputError, match="chat_template, copies: only with --language"):
        language_suite(choice, "", None, True, tmp_path)
    with pytest.raises(BadInputError, match=r"--copies .*nowhere is not a folder"):
        language_suite(choice, "ko", None, False, tmp_path / "nowhere")
    assert language_suite(choice, "", None, False, None) is None
    with pytest.raises(BadInputError, match="data_root, suite: not with --language"):
        language_suite(replace(choice, data_root=tmp_path, suite="korean"), "ko", None, False, None)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"prompt": "alpaca", "max_new_tokens": 8}, "prompt, max_new_tokens: not with --language"),
        # Without --chat-template they would be asked as text.
        ({"prompt": "chat"}, "prompt: not with --language.*; --chat-template asks them in the model's own"),
        ({"prompt": "kullm", "chat_template": True}, "prompt: not with --language"),
    ],
)
def test_settings_of_our_own_questions_are_refused_with_a_suite(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        commands.score("model", language="ko", **settings)
