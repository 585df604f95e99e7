"""Answers that are there are judged again when the rules change, and a change of the rules cannot be forgotten."""

import ast
import hashlib
import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from crosstune.evaluate import free_answers, judging, scoring, stage
from crosstune.evaluate.harness import generated_tasks
from crosstune.evaluate.scores import keyword_label
from crosstune.recipe import Recipe
from crosstune.runs.files import read_json, read_jsonl
from crosstune.runs.folder import RESAMPLES, RunFolder
from crosstune.runs.notes import digest_of
from crosstune.tasks import diagnostics
from crosstune.tasks.answers import fidelity, rules
from tests.evaluate.test_stage import recipe, run

__all__ = ["recipe", "run"]

_PACKAGES = ("crosstune.tasks.", "crosstune.languages.")
# The versions of the rules, and a hash of the code that they are of.
KNOWN = ({"failures": "2", "rules": "2.0", "language": "1.1"}, "f12f5e2569c3c0dc")


def imported_by(modules: list[ModuleType]) -> dict[str, ModuleType]:
    """Return modules of crosstune with all of it that they import."""
    found: dict[str, ModuleType] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module.__name__ not in found:
            found[module.__name__] = module
            owners = (inspect.getmodule(one) for one in vars(module).values() if callable(one))
            waiting += [owner for owner in owners if owner and owner.__name__.startswith(_PACKAGES)]
    return found


def code_of(source: str) -> str:
    """Return what code does: without comments, texts that describe it, and form; alike in every version of Python."""

    def plain(node: Any) -> Any:
        if isinstance(node, list):
            is_text = node and isinstance(node[0], ast.Expr) and isinstance(node[0].value, ast.Constant)
            return [plain(one) for one in node[bool(is_text) :]]
        if not isinstance(node, ast.AST):
            return repr(node)
        fields = {name: plain(value) for name, value in ast.iter_fields(node)}
        return [type(node).__name__, {name: value for name, value in fields.items() if value not in ([], "None")}]

    return repr(plain(ast.parse(source)))


def hash_of_rules() -> tuple[str, list[str]]:
    modules = imported_by([diagnostics, rules, fidelity])
    parts = [*modules.values(), free_answers, keyword_label, generated_tasks.judged]
    sources = {f"{one.__name__}": code_of(inspect.getsource(one)) for one in parts}
    return hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()[:16], sorted(sources)


def test_a_change_of_the_rules_is_not_forgotten() -> None:
    found, names = hash_of_rules()
    assert {"crosstune.tasks.third_language", "crosstune.languages.identify", "judged"} <= {*names}
    assert (judging.VERSIONS, found) == KNOWN, (
        f"the code that judges answers changed ({', '.join(names)}). If any answer is now judged otherwise, raise its "
        "number in evaluate/judging.py, and let pairs and instructions, which are chosen by the same rules, be made "
        "again (FORMATS in runs/fingerprint.py, or the fingerprint in mine/stage.py): stored work keeps what the old "
        f"ones said. Then put the versions and {found!r} here"
    )


def test_comments_and_descriptions_are_no_change_and_thresholds_are() -> None:
    source = 'LEAST = 3  # words\n\n\ndef is_loop(text: str) -> bool:\n    """Tell."""\n    return len(text) > LEAST\n'
    assert code_of(source) == code_of(source.replace("# words", "# letters").replace("Tell.", "Return."))
    assert code_of(source) != code_of(source.replace("3", "4"))


@pytest.mark.slow
def test_a_new_version_of_the_rules_judges_stored_answers_again_and_asks_for_none(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(recipe, run)
    folder, digest = run.system("ours") / "evaluation", digest_of(run, "evaluate")
    before = {name: read(folder / name) for name, read in (("scores.json", read_json), ("outputs.jsonl", read_jsonl))}
    resamples, reading = dict(np.load(folder / RESAMPLES)), read_json(folder / "manifest.json")["reading"]
    monkeypatch.setattr(generated_tasks, "generate", lambda *_: 1 / 0)
    monkeypatch.setattr(scoring, "score_pairs", lambda *_: 1 / 0)
    monkeypatch.setitem(judging.VERSIONS, "failures", "of a new rule")
    monkeypatch.setattr(generated_tasks, "failures", lambda output, asked, finished: (diagnostics.ECHO,))
    stage.run(recipe, run)
    rows = read_jsonl(folder / "outputs.jsonl")
    judged = [row for row in rows if row["task"] != "story"]
    assert len(judged) == 11 and all(row["failures"] == [diagnostics.ECHO] for row in judged)
    kept = [{**row, "failures": None} for row in rows]
    assert kept == [{**row, "failures": None} for row in before["outputs.jsonl"]]
    assert read_json(folder / "scores.json") == before["scores.json"]
    with np.load(folder / RESAMPLES) as again:
        assert {*again.files} == {*resamples} and all(np.array_equal(again[name], resamples[name]) for name in again)
    assert reading and read_json(folder / "manifest.json")["reading"] == reading
    # A report made before tells of other counts.
    assert digest_of(run, "evaluate") != digest


@pytest.mark.slow
def test_answers_to_other_questions_or_from_damaged_files_are_not_judged_again(
    recipe: Recipe, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(recipe, run)
    asked: list[int] = []
    generate = generated_tasks.generate

    def counted(model: Any, prompts: Any, *rest: Any) -> Any:
        asked.append(len(prompts))
        return generate(model, prompts, *rest)

    monkeypatch.setattr(generated_tasks, "generate", counted)
    monkeypatch.setitem(judging.VERSIONS, "failures", "of a new rule")
    with (run.system("ours") / "evaluation" / "outputs.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    stage.run(recipe, run)
    assert sum(asked) == 11
    task = recipe.evaluate.tasks["nsmc"].model_copy(update={"max_new_tokens": 5})
    tasks = {**recipe.evaluate.tasks, "nsmc": task}
    stage.run(recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"tasks": tasks})}), run)
    assert sum(asked) == 3 * 11


def test_another_version_of_a_library_that_judges_is_another_judging(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = judging.judging_of(recipe.evaluate.tasks, None)
    assert [*before["tasks"]] == ["translate", "nsmc"]  # Nobody judges what is chosen by likelihood.
    for library, concerned in (("sacrebleu", ["translate"]), ("py3langid", ["translate", "nsmc"])):
        with monkeypatch.context() as patch:
            patch.setattr(judging, "version", lambda name, new=library: "99" if name == new else "1")
            others = judging.judging_of(recipe.evaluate.tasks, None)
            patch.setattr(judging, "version", lambda name: "1")
            same = judging.judging_of(recipe.evaluate.tasks, None)
        assert [task for task in same["tasks"] if same["tasks"][task] != others["tasks"][task]] == concerned
