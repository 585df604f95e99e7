"""`crosstune score` finds published files, scores any model folder on them, and goes on where it stopped."""

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM

import crosstune
from crosstune.cli import experiments as commands
from crosstune.cli import score as command
from crosstune.errors import BadInputError, RecipeError, RunFolderError
from crosstune.evaluate import find_benchmarks
from crosstune.evaluate import score as score_module
from crosstune.evaluate.find_benchmarks import Choice, benchmarks_of, find_tasks
from crosstune.evaluate.harness import generated_tasks
from crosstune.evaluate.score import Asked, say_if_trained_otherwise
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import Data, EvaluationTask, Recipe
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.tasks.haerae import PARTS
from crosstune.tasks.kmmlu import SUBJECTS
from crosstune.terminal.output import console
from tests.evaluate.conftest import llama, model_folder, tokenizer
from tests.models.gguf.files import llama_config, write_gguf

__all__ = ["llama", "model_folder", "tokenizer"]

COPA = """<copa-corpus version="1.0">
  <item id="501" asks-for="effect" most-plausible-alternative="2">
    <p>It fell.</p><a1>He ran.</a1><a2>He left.</a2>
  </item>
  <item id="502" asks-for="cause" most-plausible-alternative="1">
    <p>It broke.</p><a1>He fell.</a1><a2>He ran.</a2>
  </item>
</copa-corpus>
"""


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """The paper's suite with NTREX for AI-Hub, in folders of the user's own choice."""
    row = {"activity_label": "Roof", "ctx_a": "A man sits.", "ctx_b": "he", "endings": ["a.", "b.", "c.", "d."]}
    contents = {
        "one/hellaswag_val.jsonl": "".join(json.dumps({**row, "ind": n, "label": n}) + "\n" for n in range(3)),
        "two/deep/copa-test.xml": COPA,
        "ratings_test.txt": "id\tdocument\tlabel\n1\t정말 좋다\t1\n2\t연기가 별로다\t0\n3\t좋았다\t1\n",
        "newstest2019-src.eng.txt": "The wind came.\nThe boy mixes flour.\n",
        "newstest2019-ref.kor.txt": "바람이 왔다.\n소년은 밀가루를 섞는다.\n",
    }
    root = tmp_path / "benchmarks"
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


def run(model: Path, data_root: Path, out: Path, **options: Any) -> Path:
    commands.score(str(model), data_root, out=out, max_new_tokens=4, **options)
    return out


@pytest.mark.slow
def test_a_folder_is_scored_and_the_papers_tables_are_printed(
    model_folder: Path,
    data_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "quiet", False)
    before = sorted((path.name, path.read_bytes()) for path in model_folder.iterdir())
    out = run(model_folder, data_root, tmp_path / "scores")
    printed, told = capsys.readouterr()
    assert "  model, hellaswag: acc " in told  # systems that are scored at the same time tell of their own scores
    assert "Table 3. Accuracy on English and Korean tasks" in printed and "Table 4. Translation, BLEU" in printed
    assert all(
        heading in printed for heading in ("HellaSwag", "COPA", "NSMC, generated", "Ko→En", "Korean instruction")
    )
    assert "HellaSwag: accuracy, n\u00a0=\u00a03, guessing\u00a00.25, majority\u00a00.33\n" in printed
    assert "\nBLEU, n\u00a0=\u00a02\n" in printed
    scores = read_json(out / "systems" / "model" / "evaluation" / "scores.json")["scores"]
    found = {(score["task"], score["metric"]): score["n"] for score in scores}
    cells = {f"ntrex_{cell}": 2 for cell in ("ko_en_en", "ko_en_ko", "en_ko_en", "en_ko_ko")}
    expected = {
        ("hellaswag", "acc"): 3,
        ("copa", "acc"): 2,
        ("nsmc", "acc"): 3,
        **{(c, "bleu"): n for c, n in cells.items()},
    }
    assert expected.items() <= found.items()
    assert sorted((path.name, path.read_bytes()) for path in model_folder.iterdir()) == before


@pytest.mark.slow
def test_a_suite_without_the_papers_tasks_prints_its_own_tables(
    model_folder: Path, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(model_folder, data_root, tmp_path / "scores", suite="korean", skip_missing=True)
    printed = capsys.readouterr().out
    assert "NSMC: the likelier of the two words" in printed and "Table 3" not in printed
    headings = [line.split() for line in printed.splitlines() if "accuracy" in line]
    assert headings[0] == ["system", "accuracy", "F1"] or headings[0] == ["accuracy", "F1"]


@pytest.mark.slow
def test_the_tasks_of_chat_need_no_files_and_are_asked_in_both_languages(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    commands.score(str(model_folder), tasks="instructions, open_questions", out=out, max_new_tokens=4, limit=6)
    printed = capsys.readouterr().out
    assert "Instructions that rules check" in printed and "The language of answers" in printed
    scores = read_json(out / "systems" / "model" / "evaluation" / "scores.json")["scores"]
    found = {(score["task"], score["metric"]): score["n"] for score in scores}
    names = [f"{name}_{code}" for name in ("instructions", "open_questions") for code in ("en", "ko")]
    metrics = ("pass_rate", "pass_rate", "in_language", "in_language")
    assert {(name, metric): 6 for name, metric in zip(names, metrics, strict=True)}.items() <= found.items()
    assert {task for task, _ in found} == {*names}
    manifest = read_json(out / "data" / "evaluation" / "instructions_en" / "manifest.json")
    assert manifest["items"] == 6


@pytest.mark.slow
def test_an_untuned_model_is_asked_with_the_options_of_its_own_template(model_folder: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "chat", tmp_path / "scores"
    shutil.copytree(model_folder, folder)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}{% if not enable_thinking %}<think></think>{% endif %}"
    )
    options: dict[str, Any] = {
        "prompt": "chat",
        "template_option": ["enable_thinking=true"],
        "max_new_tokens": 2,
        "limit": 1,
    }
    commands.score(str(folder), tasks="open_questions", out=out, **options)
    [first, *_] = (out / "systems/model/evaluation/outputs.jsonl").read_text().splitlines()
    assert json.loads(first)["prompt"].endswith("<assistant>")
    with pytest.raises(RecipeError, match=r"--template-option 'enable_thinking': write NAME=VALUE"):
        commands.score(
            str(folder), tasks="open_questions", out=out, **{**options, "template_option": ["enable_thinking"]}
        )


def test_tasks_that_need_files_ask_for_their_folder_and_unknown_names_are_told(tmp_path: Path) -> None:
    told = r"(?s)these need files.*\n  hellaswag: hellaswag_val.*Give --data-root.*instructions in en, ko"
    with pytest.raises(BadInputError, match=told):
        find_tasks(Choice("paper", None), 4)
    with pytest.raises(
        BadInputError, match=r"--tasks instruction: no benchmark in en or ko .*did you mean instructions"
    ):
        find_tasks(Choice("paper", None, tasks=("instruction",)), 4)
    with pytest.raises(BadInputError, match=r"instructions_fr: instructions\.fr\.yaml"):
        find_tasks(Choice("chat", tmp_path, target="fr"), 4)
    (tmp_path / "instructions.fr.yaml").write_text("language: fr", encoding="utf-8")
    found = find_tasks(Choice("paper", tmp_path, target="fr", tasks=("instructions",)), 4)
    assert {label: task["paths"] for label, task in found.items()} == {
        "instructions_en": [],
        "instructions_fr": ["instructions.fr.yaml"],
    }
    assert not any("instructions" in label for label in benchmarks_of(Choice("all", tmp_path)))


@pytest.mark.slow
def test_json_holds_every_score_and_nothing_else_is_printed(
    model_folder: Path, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(model_folder, data_root, tmp_path / "scores", limit=1, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    stored = read_json(out / "systems" / "model" / "evaluation" / "scores.json")["scores"]
    assert [score["value"] for score in printed] == [score["value"] for score in stored]
    assert {score["n"] for score in stored if score["metric"] != "acc_answered"} == {1}


@pytest.mark.slow
def test_an_interrupted_scoring_goes_on_and_gives_the_same(
    model_folder: Path,
    data_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outputs = Path("systems", "model", "evaluation", "outputs.jsonl")
    whole = (run(model_folder, data_root, tmp_path / "whole") / outputs).read_bytes()
    generate, written = generated_tasks.generate, []

    def interrupted(*arguments: Any) -> Any:
        for answer in generate(*arguments):
            if len(written) == 4:
                raise KeyboardInterrupt
            written.append(answer)
            yield answer

    monkeypatch.setattr(generated_tasks, "generate", interrupted)
    with pytest.raises(SystemExit, match="130"):
        run(model_folder, data_root, tmp_path / "again")
    assert "finished work is kept. Run the same command again to resume." in capsys.readouterr().err
    again: list[Any] = []
    monkeypatch.setattr(generated_tasks, "generate", lambda *given: (again.append(a) or a for a in generate(*given)))
    assert (run(model_folder, data_root, tmp_path / "again") / outputs).read_bytes() == whole
    assert len(again) == 3 + 4 * 2 - 4


@pytest.mark.slow
def test_a_model_that_was_trained_on_is_scored_again(
    model_folder: Path, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(model_folder, data_root, tmp_path / "scores")
    prepared: list[str] = []

    def run_stages(recipe: Recipe, *_: Any, prepare: Callable[[RunFolder], None], **__: Any) -> None:
        prepare(RunFolder(recipe.runs_root / recipe.name))
        prepared.append(recipe.name)

    monkeypatch.setattr(score_module.pipeline, "run_stages", run_stages)
    asked = Asked(str(model_folder), str(model_folder), None, "paper-v1", 4, "float32")
    system = tmp_path / "scores" / "systems" / "model" / "system.json"
    first = read_json(system)["fingerprint"]
    score_module.score(asked, Choice("paper", data_root), tmp_path / "scores")
    assert read_json(system)["fingerprint"] == first
    monkeypatch.setattr(score_module, "hash_model", lambda _: "other weights")
    score_module.score(asked, Choice("paper", data_root), tmp_path / "scores")
    assert read_json(system)["fingerprint"] != first and prepared == ["scores", "scores"]


def test_what_is_missing_is_said_and_skipped_only_if_asked(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("two/deep/copa-test.xml", "newstest2019-ref.kor.txt"):
        (data_root / name).unlink()
    with pytest.raises(BadInputError) as caught:
        find_tasks(Choice("paper", data_root), 4)
    assert "  copa: copa-test.xml\n" in str(caught.value)
    assert (
        "  aihub: 일상생활및구어체_한영_valid_set.json, or newstest2019-???.eng.txt and newstest2019-???.kor.txt\n"
        in str(caught.value)
    )
    notes: list[str] = []
    monkeypatch.setattr(find_benchmarks, "note", notes.append)
    assert set(find_tasks(Choice("paper", data_root, skip_missing=True), 4)) == {"hellaswag", "nsmc"}
    assert "skipped, not found: copa: copa-test.xml" in notes


def test_a_stand_in_is_named(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(find_benchmarks, "note", notes.append)
    tasks = find_tasks(Choice("paper", data_root), 4)
    assert set(tasks) == {"hellaswag", "copa", "nsmc", "ntrex"}
    assert "aihub is not there; using ntrex instead" in notes
    assert tasks["copa"]["paths"] == ["two/deep/copa-test.xml"]


def test_suites_splits_and_limits(data_root: Path) -> None:
    for name in ("BoolQ", "COPA", "HellaSwag", "SentiNeg", "WiC"):
        (data_root / "kobest" / name).mkdir(parents=True)
        for split in ("test", "dev"):
            (data_root / "kobest" / name / f"{split}.tsv").touch()
    korean = find_tasks(Choice("korean", data_root, "dev", limit=7, skip_missing=True), 4)
    assert set(korean) == {
        "nsmc_likelihood",
        "kobest_boolq",
        "kobest_copa",
        "kobest_hellaswag",
        "kobest_sentineg",
        "kobest_wic",
    }
    assert korean["kobest_copa"]["paths"] == ["kobest/COPA/dev.tsv"]
    assert korean["nsmc_likelihood"] == {"task": "nsmc_likelihood", "paths": ["ratings_test.txt"], "max_items": 7}
    (data_root / "일상생활및구어체_한영_valid_set.json").touch()
    everything = find_tasks(Choice("all", data_root, skip_missing=True), 4)
    assert set(everything) == {"hellaswag", "copa", "nsmc", "aihub", "ntrex", *korean}
    assert (everything["aihub"]["max_items"], everything["ntrex"]["max_items"]) == (1000, None)


def test_the_benchmarks_are_those_of_the_two_languages(data_root: Path) -> None:
    assert set(benchmarks_of(Choice("paper", data_root, source="en", target="de"))) == {"hellaswag", "copa", "ntrex"}
    assert set(benchmarks_of(Choice("multilingual", data_root, source="de", target="vi"))) == {
        "belebele_de",
        "belebele_vi",
        "flores200",
        "global_mmlu_de",
        "global_mmlu_vi",
        "include_de",
        "include_vi",
        "multiblimp_de",
        "pawsx_de",
    }
    (data_root / "newstest2019-ref.deu.txt").write_text("Der Wind kam.\nDer Junge mischt Mehl.\n", encoding="utf-8")
    tasks = find_tasks(Choice("paper", data_root, source="en", target="de"), 4)
    assert tasks["ntrex"] == {
        "task": "ntrex",
        "paths": ["newstest2019-src.eng.txt", "newstest2019-ref.deu.txt"],
        "directions": ["de-en", "en-de"],
        "instruction_languages": ["en"],
        "max_new_tokens": 4,
        "max_items": None,
    }


def test_a_file_that_is_there_twice_an_empty_folder_and_no_folder_are_refused(data_root: Path, tmp_path: Path) -> None:
    (data_root / "copa-test.xml").touch()
    with pytest.raises(BadInputError, match=r"holds copa-test\.xml more than once: copa-test\.xml, two/deep/copa"):
        find_tasks(Choice("paper", data_root), 4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="none of the files of the suite paper for en and ko is in"):
        find_tasks(Choice("paper", tmp_path / "empty", skip_missing=True), 4)
    with pytest.raises(
        BadInputError, match="--data-root nowhere is not a folder: give the folder with the benchmark files"
    ):
        find_tasks(Choice("paper", Path("nowhere")), 4)


def test_a_name_of_the_output_folder_that_is_none_is_refused(model_folder: Path, data_root: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"--out My-Scores: the folder's name may contain .* as my_scores: give another"
    ):
        run(model_folder, data_root, Path("My-Scores"))


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("runs/small/systems/ours/model", "ours/model"),
        ("models/Llama-2-7b-hf", "Llama-2-7b-hf"),
        ("beomi/llama-2-ko-7b", "llama-2-ko-7b"),
        ("../x", "x"),
    ],
)
def test_a_model_is_called_by_the_end_of_its_path(model: str, label: str) -> None:
    assert Asked(model, model, None, "paper-v1", 4, "float32").label == label


@pytest.mark.parametrize("name", ["model", "scratch"])
def test_a_folder_may_be_called_as_crosstune_calls_things(
    model_folder: Path, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(model_folder, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    started: list[Recipe] = []
    monkeypatch.setattr(score_module.pipeline, "run_stages", lambda recipe, *_, **__: started.append(recipe))
    asked = Asked(name, name, None, "paper-v1", 4, "float32")
    score_module.score(asked, Choice("paper", data_root), tmp_path / "scores")
    assert started[0].systems["model"].start == str(tmp_path / name)
    assert started[0].systems_in_order == ["model"]
    shutil.rmtree(tmp_path / name)
    with pytest.raises(BadInputError, match=f"'{name}' is neither a folder here nor the id of a model on the hub"):
        score_module.score(asked, Choice("paper", data_root), tmp_path / "scores")


@pytest.mark.slow
def test_the_scores_of_one_model_are_not_replaced_by_anothers(
    model_folder: Path, data_root: Path, tmp_path: Path
) -> None:
    out = run(model_folder, data_root, tmp_path / "scores", limit=1)
    before = {path: path.read_bytes() for path in out.rglob("*.json*") if path.is_file()}
    recipe = (out / "recipe.yaml").read_bytes()
    shutil.copytree(model_folder, tmp_path / "other")
    with pytest.raises(RunFolderError, match=r"holds the scores of .*, and .*other is to be scored now: give"):
        run(tmp_path / "other", data_root, tmp_path / "scores", limit=1)
    assert before == {path: path.read_bytes() for path in before} and (out / "recipe.yaml").read_bytes() == recipe


@pytest.mark.slow
def test_the_hubs_files_of_six_more_benchmarks_are_found_and_scored(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kmmlu = "question,answer,A,B,C,D,Category,Human Accuracy\n물이 끓는 온도는?,3,10도,50도,100도,200도,x,\n"
    haerae = 'query,options,answer\n"질문?\n(A) 가\n(B) 나\n정답:",,(B)\n'
    click = [{"id": "k", "paragraph": "", "question": "수도는?", "choices": list("가나다라"), "answer": "나"}]
    answers = {f"mc_answer{number}": text for number, text in enumerate("가나다라", start=1)}
    passage = {"flores_passage": "글.", "question": "무엇?", **answers, "correct_answer_num": "4"}
    contents = {
        **{f"KMMLU/data/{subject}-test.csv": kmmlu for subject in SUBJECTS},
        **{f"haerae/{part}/test.csv": haerae for part in PARTS},
        **{f"CLIcK/Dataset/{name}/a.json": json.dumps(click) for name in ("Culture", "Language")},
        **{f"belebele/data/{code}.jsonl": json.dumps(passage) for code in ("kor_Hang", "eng_Latn")},
        **{
            f"x-final/{code}/test_2k.tsv": "id\tsentence1\tsentence2\tlabel\n1\tA b.\tB a.\t1\n"
            for code in ("ko", "en")
        },
        "flores/devtest/eng_Latn.devtest": "The wind came.\n",
        "flores/devtest/kor_Hang.devtest": "바람이 왔다.\n",
    }
    for name, content in contents.items():
        (tmp_path / "hub" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hub" / name).write_text(content, encoding="utf-8")
    out = run(model_folder, tmp_path / "hub", tmp_path / "scores", suite="all", skip_missing=True)
    scores = read_json(out / "systems" / "model" / "evaluation" / "scores.json")["scores"]
    found = {score["task"]: score["n"] for score in scores}
    languages = {f"{task}_{code}": 1 for task in ("belebele", "pawsx") for code in ("en", "ko")}
    cells = {f"flores200_{cell}": 1 for cell in ("ko_en_en", "ko_en_ko", "en_ko_en", "en_ko_ko")}
    assert found == {"kmmlu": 45, "haerae": 5, "click": 2, **languages, **cells}
    printed = capsys.readouterr().out
    assert "Table 3" not in printed
    assert all(text in printed for text in ("Table 4", "Belebele, Korean", "Korean knowledge", "KMMLU", "Paraphrases"))


@pytest.mark.slow
def test_a_gguf_file_is_scored_and_named(data_root: Path, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", LlamaForCausalLM(llama_config()), "Q8_0")
    out = run(path, data_root, tmp_path / "scores")
    facts = read_json(out / "systems" / "model" / "system.json")
    assert facts["model"] == str(path.resolve()) and facts["gguf"]["formats"] == {"Q8_0": 15, "F32": 5}
    assert len(read_json(out / "systems" / "model" / "evaluation" / "scores.json")["scores"]) >= 7
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    before = facts["fingerprint"]
    run(path, data_root, tmp_path / "scores")
    assert read_json(out / "systems" / "model" / "system.json")["fingerprint"] != before


@pytest.mark.parametrize(("prompt", "is_told"), [("paper-v1", True), ("alpaca", False), ("chat", False)])
def test_a_model_that_was_trained_with_another_prompt_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompt: str, is_told: bool
) -> None:
    told: list[str] = []
    monkeypatch.setattr(score_module, "note", told.append)
    (tmp_path / "chat_template.jinja").write_text(TEMPLATES["alpaca"].chat_template(), encoding="utf-8")
    say_if_trained_otherwise(Asked(str(tmp_path), str(tmp_path), None, prompt, 8, "float32"))
    assert ["--prompt alpaca asks it as it was trained" in one for one in told] == [True] * is_told


@pytest.mark.parametrize("called", [crosstune.score, command.score])
def test_the_command_and_the_function_ask_as_a_recipe_does_where_nothing_else_is_said(called: Any) -> None:
    defaults = {name: one.default for name, one in inspect.signature(called).parameters.items()}
    assert defaults["prompt"] == Data.model_fields["prompt"].default
    assert defaults["max_new_tokens"] == EvaluationTask.model_fields["max_new_tokens"].default
