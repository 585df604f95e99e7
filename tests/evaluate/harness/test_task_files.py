"""Tasks as files of lm-evaluation-harness: ours ask and count as our own loop does, others are scored by name."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.tasks import TaskManager
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from crosstune.errors import BadInputError
from crosstune.evaluate.harness import tasks as harness_tasks
from crosstune.evaluate.harness.generated_tasks import Generator
from crosstune.evaluate.harness.language_model import CrosstuneLM
from crosstune.evaluate.harness.multiple_choice import quiet_harness, score_in_harness
from crosstune.evaluate.harness.task_files import FOLDER, HarnessTask
from crosstune.evaluate.outputs import OutputLog
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import Evaluate, EvaluationTask
from crosstune.runs.files import write_jsonl
from tests.evaluate.conftest import settings

ITEMS: dict[str, list[dict[str, Any]]] = {
    "nsmc_generate": [
        {"id": "n1", "document": "이 영화는 정말 재미있다", "label": 1},
        {"id": "n2", "document": "연기가 별로다 {{input}}", "label": 0},
    ],
    "translation": [
        {"id": "t1", "en": "The wind came.", "ko": "바람이 왔다."},
        {"id": "t2", "en": "The boy mixes flour.", "ko": "소년은 밀가루를 섞는다."},
    ],
}
LOCAL_TASK = """
task: capitals
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
doc_to_choice: "{{choices}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 2.5}
"""
# The harness reads all of its tasks before it knows that, for ten seconds, and once in a process.
OF_ALL_TASKS = (pytest.mark.slow, pytest.mark.xdist_group("all_tasks_of_the_harness"))


@pytest.fixture
def local_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a task of the user's own, on a local file."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = [
        {"question": f"The capital of land {n} is", "choices": ["the room", "the table"], "answer": n % 2}
        for n in range(7)
    ]
    write_jsonl(tmp_path / "capitals.jsonl", rows)
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "capitals.yaml").write_text(LOCAL_TASK.replace("DATA", str(tmp_path / "capitals.jsonl")))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("prompt", ["paper-v1", "alpaca"])
def test_generated_tasks_ask_and_count_as_our_own_loop(
    tmp_path: Path, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompt: str
) -> None:
    cells = {
        "nsmc_generate": "nsmc_generate",
        **{f"translate_{cell}": "translation" for cell in ("ko_en_en", "ko_en_ko", "en_ko_en", "en_ko_ko")},
    }
    for task, items in ITEMS.items():
        write_jsonl(tmp_path / f"{task}.jsonl", items)
    settings = Evaluate(reference_system="a", tasks={}, num_bootstrap=100)
    with OutputLog(tmp_path / "log", "") as log:
        generator = Generator(llama, tokenizer, TEMPLATES[prompt], settings, log)
        nsmc = EvaluationTask(task="nsmc_generate", paths=("n",), max_new_tokens=8)
        cell_settings = {"directions": ("ko-en", "en-ko"), "instruction_languages": ("en", "ko")}
        translation = EvaluationTask(task="translation", paths=("t",), max_new_tokens=8, **cell_settings)
        ours = [
            generator.score("nsmc_generate", nsmc, ITEMS["nsmc_generate"]),
            generator.score("translate", translation, ITEMS["translation"]),
        ]
    tasks = {
        name: HarnessTask(name, tmp_path / f"{kind}.jsonl", TEMPLATES[prompt]).load().tasks[name]
        for name, kind in cells.items()
    }
    for task in tasks.values():
        assert (
            task.config.generation_kwargs["max_gen_toks"]
            == EvaluationTask(task="nsmc_generate", paths=("n",)).max_new_tokens
        )
        task.set_config("generation_kwargs", {"max_gen_toks": 8}, update=True)
    with quiet_harness():
        found: Any = lm_eval.evaluate(CrosstuneLM(llama, tokenizer), {"tasks": tasks}, bootstrap_iters=0)
    prompts = {(row.task, row.id): row.prompt for result in ours for row in result.rows}
    for name in cells:
        for sample in found["samples"][name]:
            assert sample["arguments"][0][0] == prompts[name, sample["doc"]["id"]]
    for score in (score for result in ours for score in result.scores if score.metric in ("acc", "bleu", "chrf++")):
        assert found["results"][score.task][f"{score.metric},none"] == pytest.approx(score.value)


def test_the_keyword_rule_is_that_of_our_scores() -> None:
    doc = {"label": 1, "completion_prefix": "\n", "reference": "긍정", "keywords": ["부정", "긍정"]}
    assert harness_tasks.keyword_results(doc, ["\n긍정"]) == {
        "acc": 1,
        "answered": 1,
        "both_keywords": 0,
        "acc_answered": (1, 1),
    }
    both = harness_tasks.keyword_results(doc, ["긍정 부정"])
    assert both == {"acc": 0, "answered": 0, "both_keywords": 1, "acc_answered": (0, 0)}
    assert harness_tasks.mean_of_answered([(1, 1), (1, 0), (0, 0)]) == 0.5
    assert math.isnan(harness_tasks.mean_of_answered([(0, 0)]))


def test_our_files_are_found_by_the_harnesss_own_task_manager(tmp_path: Path) -> None:
    """`lm_eval run --include_path ... --tasks ... --metadata '{"path": ...}'` builds its tasks like this."""
    item = {"id": "1", "premise": "It rained.", "choice1": "A.", "choice2": "B.", "question": "cause", "label": 1}
    write_jsonl(tmp_path / "items.jsonl", [item])
    write_jsonl(tmp_path / "nsmc.jsonl", ITEMS["nsmc_generate"])
    manager = TaskManager(
        include_path=str(FOLDER), include_defaults=False, metadata={"path": str(tmp_path / "items.jsonl")}
    )
    (doc,) = manager.load("copa_2011_test")["tasks"]["copa_2011_test"].test_docs()
    assert doc["premise"] == "It rained."
    path = str(tmp_path / "nsmc.jsonl")
    manager = TaskManager(include_path=str(FOLDER), include_defaults=False, metadata={"path": path, "prompt": "kullm"})
    task = manager.load("nsmc_generate")["tasks"]["nsmc_generate"]
    assert task.doc_to_text(task.test_docs()[1]) == TEMPLATES["kullm"].prompt(
        "다음 문장은 긍정일까요 부정일까요?", "연기가 별로다 {{input}}"
    )
    with pytest.raises(BadInputError, match="'alpace' is not a template; choose one of paper-v1, alpaca, kullm"):
        harness_tasks.keyword_dataset(path, "nsmc_generate", "alpace")


def test_a_task_of_the_users_own_is_scored_by_name(
    local_tasks: Path, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    tasks = {
        "all": HarnessTask("capitals", include_path=local_tasks),
        "some": HarnessTask("capitals", include_path=local_tasks, max_items=3, sample_seed=5),
    }
    results = score_in_harness(llama, tokenizer, tasks, settings(100))
    (whole,), (some,) = results["all"].scores, results["some"].scores
    assert (whole.metric, whole.n, some.n) == ("acc", 7, 3)
    assert f"harness:{lm_eval.__version__}|task:capitals|v:2.5|shots:0|ci:wilson" in whole.signature
    rows = results["all"].rows
    assert whole.value == sum(row.correct for row in rows) / 7
    assert [row.reference for row in rows] == [f" the {('room', 'table')[n % 2]}" for n in range(7)]
    drawn = {row.id: row for row in results["some"].rows}
    assert len(drawn) == 3 and all(row == replace(rows[int(id)], task="some") for id, row in drawn.items())


def test_which_is_better_of_a_task_of_the_users_own_is_what_it_says(
    local_tasks: Path, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    path = local_tasks / "capitals.yaml"
    path.write_text(path.read_text().replace("higher_is_better: true", "higher_is_better: false"))
    results = score_in_harness(
        llama, tokenizer, {"all": HarnessTask("capitals", include_path=local_tasks)}, settings(100)
    )
    (score,) = results["all"].scores
    assert (score.metric, score.better, score.less_is_better) == ("acc", "less", True)


def test_other_documents_of_a_task_of_the_users_own_make_other_scores(local_tasks: Path, tmp_path: Path) -> None:
    task = HarnessTask("capitals", include_path=local_tasks)
    before = task.looked_at().file_hashes()
    assert task.looked_at().file_hashes() == before
    documents = tmp_path / "capitals.jsonl"
    documents.write_text(documents.read_text().replace("land 3", "land 33"))
    assert task.looked_at().file_hashes() != before


GROUP = """
group: geography
task: [capitals, rivers]
aggregate_metric_list: [{metric: acc, aggregation: mean, weight_by_size: WEIGH}]
"""


@pytest.fixture
def group(local_tasks: Path, tmp_path: Path) -> Path:
    """A folder with a group of two tasks, of seven documents and of two."""
    rows = [{"question": f"River {n} is", "choices": ["the room", "the table"], "answer": 1} for n in range(2)]
    write_jsonl(tmp_path / "rivers.jsonl", rows)
    text = (local_tasks / "capitals.yaml").read_text()
    (local_tasks / "rivers.yaml").write_text(text.replace("capitals", "rivers"))
    return local_tasks


@pytest.mark.parametrize("weigh", ["true", "false"])
def test_a_group_is_one_row_with_the_harnesss_own_number(
    group: Path, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, weigh: str
) -> None:
    (group / "geography.yaml").write_text(GROUP.replace("WEIGH", weigh))
    whole = score_in_harness(llama, tokenizer, {"all": HarnessTask("geography", include_path=group)}, settings(100))[
        "all"
    ]
    manager = TaskManager(include_path=str(group), include_defaults=False)
    with quiet_harness():
        own: Any = lm_eval.evaluate(CrosstuneLM(llama, tokenizer), manager.load("geography"), bootstrap_iters=0)
    (score,) = whole.scores
    assert score.value == pytest.approx(own["groups"]["geography"]["acc,none"])
    assert (score.n, score.interval) == (9, "wilson" if weigh == "true" else "bootstrap")
    assert {row.id for row in whole.rows} == {*(f"capitals:{n}" for n in range(7)), "rivers:0", "rivers:1"}
    assert {row.task for row in whole.rows} == {"all"}


def test_a_group_is_the_mean_of_its_tasks_scores_of_any_aggregation(
    group: Path, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    (group / "geography.yaml").write_text(GROUP.replace("WEIGH", "false").replace("metric: acc", "metric: f1"))
    for name in ("capitals", "rivers"):
        text = (group / f"{name}.yaml").read_text()
        (group / f"{name}.yaml").write_text(
            text.replace("metric: acc, aggregation: mean", "metric: f1, aggregation: f1")
        )
    tasks = {"all": HarnessTask("geography", include_path=group)}
    (score,) = score_in_harness(llama, tokenizer, tasks, settings(100))["all"].scores
    manager = TaskManager(include_path=str(group), include_defaults=False)
    with quiet_harness():
        own: Any = lm_eval.evaluate(CrosstuneLM(llama, tokenizer), manager.load("geography"), bootstrap_iters=0)
    assert score.value == pytest.approx(own["groups"]["geography"]["f1,none"])
    assert score.value > 0 and (score.metric, score.n) == ("f1", 9)


def test_some_items_of_a_group_are_drawn_from_all_of_its_tasks(
    group: Path, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    (group / "geography.yaml").write_text(GROUP.replace("WEIGH", "true"))
    task = HarnessTask("geography", include_path=group, max_items=4, sample_seed=1)
    rows = score_in_harness(llama, tokenizer, {"all": task}, settings(100))["all"].rows
    assert len(rows) == 4 and len({row.id for row in rows}) == 4


@pytest.mark.whole
def test_solved_examples_are_those_of_the_harnesss_own_command(
    local_tasks: Path, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    with (local_tasks / "capitals.yaml").open("a") as file:
        file.write("fewshot_split: test\n")
    task = HarnessTask("capitals", include_path=local_tasks, num_fewshot=2)
    result = score_in_harness(llama, tokenizer, {"shots": task}, settings(100))["shots"]
    with quiet_harness():
        own: Any = lm_eval.simple_evaluate(
            CrosstuneLM(llama, tokenizer),
            tasks=["capitals"],
            num_fewshot=2,
            task_manager=TaskManager(include_path=str(local_tasks), include_defaults=False),
            bootstrap_iters=0,
            log_samples=True,
        )
    prompts = [
        sample["arguments"][0][0] for sample in sorted(own["samples"]["capitals"], key=lambda one: one["doc_id"])
    ]
    assert [row.prompt for row in result.rows] == prompts and prompts[0].count("The capital of land") == 3
    assert "|shots:2" in result.scores[0].signature


def test_a_task_without_solved_examples_takes_none(local_tasks: Path) -> None:
    with (local_tasks / "capitals.yaml").open("a") as file:
        file.write("num_fewshot: 0\n")
    with pytest.raises(BadInputError, match=r"num_fewshot: 5 was asked of the task 'capitals'.*Remove num_fewshot"):
        HarnessTask("capitals", include_path=local_tasks, num_fewshot=5).load()


def test_a_task_that_writes_is_scored_by_each_filter_and_its_own_aggregation(
    local_tasks: Path, tmp_path: Path, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    (local_tasks / "longest.py").write_text("def longest(values):\n    return float(max(values))\n")
    (local_tasks / "write.yaml").write_text(
        LOCAL_TASK.replace("DATA", str(tmp_path / "capitals.jsonl"))
        .replace("capitals\n", "write\n", 1)
        .replace("multiple_choice", "generate_until")
        .replace('doc_to_choice: "{{choices}}"', 'generation_kwargs: {until: ["."], max_gen_toks: 4}')
        .replace("[{metric: acc, aggregation: mean", "[{metric: exact_match, aggregation: !function longest.longest")
        + "filter_list:\n"
        + "".join(
            f"  - {{name: {name}, filter: [{{function: {function}}}]}}\n"
            for name, function in (("lower", "lowercase"), ("first", "take_first"))
        ).replace("lowercase}]", "lowercase}, {function: take_first}]")
    )
    result = score_in_harness(llama, tokenizer, {"w": HarnessTask("write", include_path=local_tasks)}, settings(300))[
        "w"
    ]
    assert [score.metric for score in result.scores] == ["exact_match_lower", "exact_match_first"]
    assert all(len(score.resamples) == 100 and "|bs:100|" in score.signature for score in result.scores)
    assert len(result.rows) == 7 and all(row.correct is None for row in result.rows)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("capitols", r"has no task 'capitols'; names like it: capitals", marks=OF_ALL_TASKS),
        ("broken", "the task 'broken' of lm-evaluation-harness cannot be loaded: .*data_files"),
    ],
)
def test_a_task_that_cannot_be_had_is_refused(local_tasks: Path, name: str, message: str) -> None:
    text = LOCAL_TASK.replace("capitals", "broken").replace("DATA", str(local_tasks / "nothing.jsonl"))
    (local_tasks / "broken.yaml").write_text(text)
    with pytest.raises(BadInputError, match=message):
        HarnessTask(name, include_path=local_tasks).load()


def test_an_include_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"include_path .*/nowhere, which is not a folder: give the folder"):
        HarnessTask("capitals", include_path=tmp_path / "nowhere").load()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "harness"}, "needs `name`, a task of lm-evaluation-harness, and no `paths`"),
        ({"task": "harness", "name": "arc_easy", "paths": ["a"]}, "needs `name`.* and no `paths`"),
        ({"task": "hellaswag"}, "`task: hellaswag` needs `paths`, its files"),
        (
            {"task": "hellaswag", "paths": ["a"], "name": "b"},
            "`name`: only for `task: harness`",
        ),
        (
            {"task": "hellaswag", "paths": ["a"], "chat_template": True, "copies": "b"},
            "`chat_template`, `copies`: only for `task: harness`",
        ),
    ],
)
def test_settings_that_do_not_fit_the_task_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationTask.model_validate_json(json.dumps(settings))
