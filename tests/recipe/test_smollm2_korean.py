"""The recipe of the real model: its files say the same comparison, and the hub's is read from hub layouts."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crosstune.data import stage
from crosstune.prompts.examples import read_examples
from crosstune.recipe import yaml_file
from crosstune.runs.folder import RunFolder

FOLDER = Path(__file__).parents[2] / "recipes" / "smollm2_korean"


@pytest.mark.slow
def test_all_systems_that_train_take_the_same_steps_whatever_the_budget() -> None:
    for name, steps in {"recipe": 800, "hub": 800, "budget": 200}.items():
        recipe = yaml_file.load_recipe(FOLDER / f"{name}.yaml", ["data_root=data"])
        trained = [system for system in recipe.systems.values() if system.phases]
        assert len(recipe.systems) == 6 and {phase.num_steps for one in trained for phase in one.phases} == {steps}


@pytest.mark.slow
def test_systems_of_the_budget_differ_in_steps_only() -> None:
    full, small = (yaml_file.load_recipe(FOLDER / f"{name}.yaml") for name in ("recipe", "budget"))
    for name, system in full.systems.items():
        phases = tuple(phase.model_copy(update={"num_steps": 200}) for phase in system.phases)
        assert small.systems[name] == system.model_copy(update={"phases": phases}), name


@pytest.mark.slow
def test_the_full_run_has_the_same_systems_as_the_others_and_three_epochs_of_all_pairs() -> None:
    full, usual = (yaml_file.load_recipe(FOLDER / f"{name}.yaml") for name in ("full", "recipe"))
    assert full.systems.keys() == usual.systems.keys()
    assert {phase.num_epochs for one in full.systems.values() for phase in one.phases} == {3}
    for name, mixture in full.data.mixtures.items():
        assert {part.source for part in mixture} == {part.source for part in usual.data.mixtures[name]}, name
        if name in ("paper", "bilingual"):
            assert not any(part.max_rows for part in mixture)


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def hub(root: Path) -> Path:
    """Write what the recipe takes from the hub, in the hub's own layouts, and the few files that it does not."""
    pairs = [{"translation": {"en": f"The cat number {n} sleeps.", "ko": f"{n}번 고양이가 잔다."}} for n in range(20)]
    parquet(root / "Helsinki-NLP/opus-100/en-ko/train-00000-of-00001.parquet", pairs)
    configs(root / "Helsinki-NLP/opus-100", "en-ko")
    for config, text in {"20231101.ko": "고양이는 동물이다.", "20231101.simple": "The cat is an animal."}.items():
        articles = [{"id": str(n), "url": "u", "title": "t", "text": f"{text} {n}"} for n in range(5)]
        parquet(root / f"wikimedia/wikipedia/{config}/train-00000-of-00001.parquet", articles)
    configs(root / "wikimedia/wikipedia", "20231101.ko", "20231101.simple")
    row = {"instruction": "Name a fruit.", "input": "", "output": "Apple.", "text": "Below is an instruction"}
    parquet(root / "tatsu-lab/alpaca/data/train-00000-of-00001.parquet", [row])
    koalpaca = {"instruction": "과일을 말하세요.", "output": "사과입니다.", "url": "u"}
    (root / "beomi/KoAlpaca-v1.1a").mkdir(parents=True)
    lines = json.dumps(koalpaca, ensure_ascii=False) + "\n"
    (root / "beomi/KoAlpaca-v1.1a/train.jsonl").write_text(lines, encoding="utf-8")
    (root / "ntrex").mkdir()
    (root / "ntrex/newstest2019-src.eng.txt").write_text("It rained in the city.\n", encoding="utf-8")
    (root / "ntrex/newstest2019-ref.kor.txt").write_text("도시에 비가 왔다.\n", encoding="utf-8")
    (root / "nsmc").mkdir()
    (root / "nsmc/ratings_test.txt").write_text(
        "id\tdocument\tlabel\n1\t정말 좋다\t1\n2\t별로다\t0\n", encoding="utf-8"
    )
    return root


def configs(folder: Path, *names: str) -> None:
    listed = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/train-*\n" for name in names
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{listed}---\n", encoding="utf-8")


@pytest.mark.slow
def test_the_hubs_data_sets_are_read_in_their_own_layouts(tmp_path: Path) -> None:
    # The files lie here, so that their commits are not looked for.
    names = ("opus", "wikipedia", "english_wikipedia", "alpaca", "koalpaca")
    local = [f"data.sources.{name}.revision=null" for name in names]
    recipe = yaml_file.load_recipe(FOLDER / "hub.yaml", [f"data_root={hub(tmp_path / 'hub')}", *local])
    run = RunFolder(tmp_path / "run")
    stage.run(recipe, run)
    examples = {name: read_examples(run.mixture(name) / "examples.parquet") for name in recipe.data.mixtures}
    assert {name: len(found) for name, found in examples.items()} == {
        "korean_pieces": 25,
        "korean_text": 25,
        "korean_instructions": 1,
        "without_translation": 2,
        "paper": 22,
        "bilingual": 22,
        "held_out": 5,
    }
    assert {example.language for example in examples["bilingual"]} == {"en", "ko"}
