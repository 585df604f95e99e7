"""The recipe of docs/add_a_language.md, as it stands there, on a few sentences and a tiny model."""

import csv
import json
import re
from itertools import product
from pathlib import Path

import pytest
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from crosstune.tokenizer.folder import configuration_of, write_folder
from crosstune.tokenizer.learn_base import learn_base
from tests.command_line import crosstune

PAGE = Path(__file__).parent.parent / "docs" / "add_a_language.md"
WHO = {"The teacher": "Учитель", "My brother": "Мой брат", "The old doctor": "Старый врач", "A student": "Студент"}
DOES = {"reads": "читает", "buys": "покупает", "finds": "находит", "remembers": "помнит", "brings": "приносит"}
WHAT = {"a book": "книгу", "the newspaper": "газету", "a map": "карту", "the picture": "картину", "a lamp": "лампу"}
PAIRS = [
    (f"{who} {does} {what}.", f"{WHO[who]} {DOES[does]} {WHAT[what]}.") for who, does, what in product(WHO, DOES, WHAT)
]


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    root = tmp_path / "corpora"
    root.mkdir()
    for name, rows in (("pairs.tsv", PAIRS[:90]), ("test.tsv", PAIRS[90:])):
        lines = ["English\tРусский", *("\t".join(pair) for pair in rows)]
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    russian = [f"Сегодня {target[0].lower()}{target[1:]}" for _, target in PAIRS[:90]]
    (root / "russian.txt").write_text("\n\n".join(russian) + "\n", encoding="utf-8")
    alpaca = [
        {"instruction": f"Name a thing with {n} letters.", "input": "", "output": f"A thing of {n} letters."}
        for n in range(3, 30)
    ]
    (root / "alpaca.json").write_text(json.dumps(alpaca), encoding="utf-8")
    item = {"premise": "It rained.", "choice1": "The street got wet.", "choice2": "The sun set.", "question": "effect"}
    items = [json.dumps({**item, "premise": f"It rained on day {n}.", "label": 0, "idx": n}) for n in range(4)]
    (root / "copa_val.jsonl").write_text("\n".join(items) + "\n", encoding="utf-8")
    (root / "model").mkdir()
    roles = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    english = [source for source, _ in PAIRS] + [row["instruction"] for row in alpaca]
    write_folder(root / "model", learn_base(english, 400, "ru"), configuration_of(roles))
    vocab_size = len(AutoTokenizer.from_pretrained(root / "model"))
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=vocab_size, bos_token_id=1, eos_token_id=2, max_position_embeddings=1024, **shape)
    LlamaForCausalLM(config).save_pretrained(root / "model")
    return root


@pytest.mark.slow
def test_the_recipe_of_the_page_runs_from_corpora_to_tables(corpora: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(block, encoding="utf-8")
    done = crosstune(
        "run",
        str(recipe),
        f"data_root={corpora}",
        f"runs_root={tmp_path}",
        "tokenizer.extension.num_new_pieces=200",
        "evaluate.tasks.translate.max_new_tokens=8",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "russian"
    with (run / "report" / "tables.csv").open(encoding="utf-8", newline="") as file:
        found = {(row["system"], row["task"]) for row in csv.DictReader(file)}
    cells = {f"translate_{direction}_{asked}" for direction in ("en_ru", "ru_en") for asked in ("en", "ru")}
    assert found >= {(system, cell) for system in ("base", "russian") for cell in cells}
    outputs = [json.loads(line) for line in (run / "systems/russian/evaluation/outputs.jsonl").open(encoding="utf-8")]
    asked = {row["prompt"].split("\n")[3] for row in outputs if row["task"] in cells}
    assert "Переведите следующие предложения на русский:" in asked
    assert "Translate the following sentences from Russian to English" in asked
