"""The recipe of docs/several_languages.md, as it stands there, on a few sentences and a tiny model."""

import csv
import json
import re
from itertools import product
from pathlib import Path

import pytest
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from crosstune.runs.files import read_json
from crosstune.tokenizer.folder import configuration_of, write_folder
from crosstune.tokenizer.learn_base import learn_base
from tests.command_line import crosstune

PAGE = Path(__file__).parent.parent / "docs" / "several_languages.md"
WHO = [
    ("The teacher", "선생님이", "Учитель"),
    ("My brother", "내 동생이", "Мой брат"),
    ("A student", "학생이", "Студент"),
]
WHAT = [("a book", "책을", "книгу"), ("the newspaper", "신문을", "газету"), ("a map", "지도를", "карту")]
DOES = [("reads", "읽는다", "читает"), ("buys", "산다", "покупает"), ("finds", "찾는다", "находит")]
WHEN = [("today", "오늘", "сегодня"), ("again", "다시", "снова"), ("often", "자주", "часто")]
SENTENCES = [
    (
        f"{who[0]} {does[0]} {what[0]} {when[0]}.",
        f"{who[1]} {when[1]} {what[1]} {does[1]}.",
        f"{who[2]} {when[2]} {does[2]} {what[2]}.",
    )
    for who, does, what, when in product(WHO, DOES, WHAT, WHEN)
]
LANGUAGES = ("en", "ko", "ru")
QUESTIONS = {"en": "Which number follows {}?", "ko": "{} 다음 수는 무엇입니까?", "ru": "Какое число идёт после {}?"}


# The page's numbers are those of a real model.
SMALL = (
    "tokenizer.extension.num_new_pieces.ko=60",
    "tokenizer.extension.num_new_pieces.ru=40",
    "tokenizer.extension.size_multiple_of=4",
    "tokenizer.extension.required_syllables=seen",
    "systems.both.phases.0.num_epochs=0.2",
    "systems.both.phases.0.global_batch_size=64",
    "evaluate.num_bootstrap=100",
    "evaluate.tasks.to_ko.max_new_tokens=8",
    "evaluate.tasks.to_ru.max_new_tokens=8",
    "evaluate.tasks.between.max_new_tokens=8",
)


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    for name, rows in (("train.tsv", SENTENCES[:-4]), ("test.tsv", SENTENCES[-4:])):
        lines = ["\t".join(row) for row in (LANGUAGES, *rows)]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for code, question in QUESTIONS.items():
        rows = [(str(n), question.format(n), str(n + 1), "0", str(n + 3), "7", "A") for n in range(20, 24)]
        names = ("sample_id", "question", "option_a", "option_b", "option_c", "option_d", "answer")
        lines = ["\t".join(row) for row in (names, *rows)]
        (tmp_path / f"{code}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "ru.txt").write_text("Зимой в горах лежит глубокий снег.\n", encoding="utf-8")
    english = [row[0] for row in SENTENCES] + [QUESTIONS["en"]] * 4
    roles = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    (tmp_path / "model").mkdir()
    write_folder(tmp_path / "model", learn_base(english, 380, "ko", "ru"), configuration_of(roles))
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    size = len(AutoTokenizer.from_pretrained(tmp_path / "model"))
    config = LlamaConfig(vocab_size=size, bos_token_id=1, eos_token_id=2, max_position_embeddings=512, **shape)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    return tmp_path


@pytest.mark.slow
def test_two_languages_are_learnt_in_one_run_and_each_has_its_numbers(corpora: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    path = corpora / "recipe.yaml"
    path.write_text(block, encoding="utf-8")
    done = crosstune("run", str(path), f"data_root={corpora}", f"runs_root={corpora}", *SMALL)
    assert done.returncode == 0, done.stderr[-3000:]
    run = corpora / "korean_russian"

    parts = {
        part["source"]: part["wordings"] for part in read_json(run / "data/mixtures/tuning/manifest.json")["parts"]
    }
    assert set(parts["ko_ru"]) == {"ko-ru en", "ru-ko en"}
    verified = read_json(run / "tokenizer/extended/verification.json")
    assert verified["holds"] and verified["size"]["size"] == 480
    names = {row["name"]: row["checked"] for row in verified["properties"]}
    assert names["Korean text survives encoding and decoding"] > 20
    assert names["Russian text survives encoding and decoding"] > 20
    pieces = read_json(run / "tokenizer/extended/tokenizer.json")["model"]["vocab"]
    assert "▁선생님이" in pieces and "Учит" in pieces
    parity = {row["text"]: row["languages"] for row in read_json(run / "tokenizer/fertility.json")["parity"]}
    assert parity == {"to_ko": "ko / en", "to_ru": "ru / en", "between": "ru / ko"}
    rows = read_json(run / "systems/both/model/config.json")["crosstune_new_rows"]["num_rows"]
    assert rows["aligned"] > 20

    with (run / "report" / "tables.csv").open(encoding="utf-8", newline="") as file:
        found = {row["task"] for row in csv.DictReader(file) if row["system"] == "both"}
    assert found >= {"to_ko_en_ko_ko", "to_ru_en_ru_ru", "between_ko_ru_en", "mmlu_en", "mmlu_ko", "mmlu_ru", "text_ru"}
    outputs = [json.loads(line) for line in (run / "systems/both/evaluation/outputs.jsonl").open(encoding="utf-8")]
    (asked,) = {row["prompt"].split("\n")[1] for row in outputs if row["task"] == "to_ru_en_ru_ru"}
    assert asked == "Переведите на русский:"
    report = (run / "report" / "report.md").read_text(encoding="utf-8")
    assert "Accuracy on English, Korean and Russian tasks" in report
    assert "En→Ru, Russian, Russian instruction" in report and "Ko→Ru, Korean–Russian, English instruction" in report
    assert "Global-MMLU, Korean: accuracy" in report
    card = (run / "systems/both/model/README.md").read_text(encoding="utf-8")
    assert "A causal language model for English, Korean and Russian" in card
    assert "extended vocabulary for Korean and Russian" in card
