"""The systems of a run that cannot be asked: told before the page opens, or in their own box."""

from pathlib import Path

import pytest

from crosstune.errors import BadInputError, RunFolderError
from crosstune.serve.decoding import Decoding
from crosstune.serve.models_to_compare import CandidateAnswer, ModelPool, candidates_of

RECIPE = """
name: run
seed: 1
data_root: {root}
languages: {{source: en, target: ko}}
data: {{prompt: chat, sources: {{}}, mixtures: {{}}}}
tokenizer: {{base: {{kind: given, path: chat_model}}}}
systems: {{ours: {{start: chat_model, tokenizer: base}}}}
evaluate: {{reference_system: ours, tasks: {{}}}}
"""


def test_a_chat_template_that_fails_is_told_before_the_page_opens(chat_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run/systems/ours").mkdir(parents=True)
    (tmp_path / "run/systems/ours/system.json").write_text("{}")
    (tmp_path / "run/recipe.yaml").write_text(RECIPE.format(root=chat_folder.parent))
    (chat_folder / "chat_template.jinja").write_text("{% for turn in %}", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"fails: TemplateSyntaxError.*Correct its chat_template\.jinja"):
        candidates_of([tmp_path / "run"])


def test_a_system_that_cannot_be_loaded_says_why_in_its_own_box(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: int) -> None:
        raise RunFolderError("model.safetensors has 5 bytes instead of 9")

    pool = ModelPool([], models_in_memory=1)
    monkeypatch.setattr(pool, "load", damaged)
    told = "(not asked: model.safetensors has 5 bytes instead of 9)"
    assert list(pool.stream(0, ("Hi", ""), Decoding(4))) == [CandidateAnswer(told, 0, False, was_asked=False)]


def test_systems_of_the_same_label_are_told_apart_in_votes(chat_folder: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "first/run", tmp_path / "second/run"]
    for run in runs:
        (run / "systems/ours").mkdir(parents=True)
        (run / "systems/ours/system.json").write_text("{}")
        (run / "recipe.yaml").write_text(RECIPE.format(root=chat_folder.parent))
    assert [one.label for one in candidates_of([runs[1], runs[1]])] == ["ours"]
    assert [one.label for one in candidates_of(runs)] == [f"{run}: ours" for run in runs]
