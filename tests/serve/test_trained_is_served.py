"""What a model is asked when it is served is what it was trained on, token by token, by whoever renders its folder."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from crosstune.data import stage
from crosstune.models.chat_template import template_of
from crosstune.prompts.examples import read_examples
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs.folder import RunFolder
from crosstune.tokens.encode import encode_examples
from crosstune.train.model_folder import copy_tokenizer
from tests.learnt_tokenizers import byte_level, sentencepiece_style

Messages = list[dict[str, str]]

# Writes a system turn with the date, no BOS, and an empty thought unless it is told not to.
CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n"
    "Today: {{ strftime_now('%d %b %Y') }}<|im_end|>\n{% endif %}"
    "{% set thought = '<think></think>' if enable_thinking is defined and enable_thinking is false else '' %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if loop.last and message['role'] == 'assistant' %}{{ thought }}{% endif %}"
    "{{ message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' + thought }}{% endif %}"
)
# As Gemma's: no place for a system text, and users and model take turns.
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns') }}"
    "{% endif %}<turn>{{ m['role'] }}\n{{ m['content'] }}</turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)
SYSTEM = "너는 과일 가게 주인이다."
ROWS: list[dict[str, Any]] = [
    {"instruction": "Name a fruit.", "input": "", "output": "An apple."},
    {"instruction": "Sort these words.", "input": "pear\n\napple {input}", "output": "apple pear"},
    {"instruction": "첫 줄 질문:\n둘째 줄입니다.", "input": "", "output": "네, 그렇습니다."},
    {"instruction": "두 줄\n질문", "input": "입력도 두 줄\n있습니다.", "output": "네."},
    {"instruction": unicodedata.normalize("NFD", "과일을 말해 줘."), "input": "", "output": "사과입니다."},
]
TALK = [
    ("system", SYSTEM),
    ("user", "과일 하나만\n말해 줘."),
    ("assistant", "사과요."),
    ("user", "하나 더."),
    ("assistant", "배요."),
]
PAIRS = [("The teacher reads a book.", "선생님이 책을 읽으신다."), ("He eats an apple.", "그는 사과를 먹는다.")]
OWN_WORDING = "Render this in {target}:"


def with_bos() -> PreTrainedTokenizerFast:
    texts = [text for pair in PAIRS for text in pair] + [row["instruction"] for row in ROWS]
    return sentencepiece_style(texts, 320)


def without_bos() -> PreTrainedTokenizerFast:
    return byte_level([text for pair in PAIRS for text in pair], 300, pad="<pad>")


PROMPTS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "paper-v1": ("paper-v1", None, {}),
    "alpaca": ("alpaca", None, {}),
    "kullm": ("kullm", None, {}),
    "chat": ("chat", CHATML, {}),
    "chat_without_thinking": ("chat", CHATML, {"enable_thinking": False}),
    "chat_without_system": ("chat", NO_SYSTEM, {}),
}


@pytest.fixture
def content(recipe_content: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    root = tmp_path / "corpora"
    root.mkdir()
    for name, rows in (
        ("rows", ROWS),
        ("talks", [{"messages": [{"role": role, "content": said} for role, said in TALK]}]),
        ("pairs", [{"en": english, "ko": korean} for english, korean in PAIRS]),
    ):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe_content |= {"data_root": str(root), "runs_root": str(tmp_path / "runs")}
    recipe_content["data"] = {
        "sources": {
            "rows": {"kind": "instructions", "language": "ko", "paths": ["rows.jsonl"]},
            "talks": {"kind": "instructions", "language": "ko", "paths": ["talks.jsonl"]},
            "pairs": {"kind": "parallel", "paths": ["pairs.jsonl"]},
        },
        "mixtures": {
            "paper": [
                {"source": "rows"},
                {"source": "talks"},
                {"source": "pairs", "directions": ["en-ko"], "instruction_languages": ["en"]},
            ]
        },
        "translation_instructions": {"en": {"train": [OWN_WORDING]}},
        "quality": {"min_script_share": 0, "drop_evaluation_overlap": False},
    }
    recipe_content["tokenizer"].pop("extension")
    recipe_content["systems"]["ours"]["tokenizer"] = "base"
    recipe_content["evaluate"]["tasks"] = {}
    return recipe_content


def prepared(content: dict[str, Any], name: str, tokenizer: PreTrainedTokenizerFast) -> tuple[Recipe, RunFolder]:
    prompt, template, options = PROMPTS[name]
    tokenizer.chat_template = template
    tokenizer.save_pretrained(Path(content["data_root"]) / "tokenizer")
    content["data"] |= {"prompt": prompt, "template_options": options}
    recipe = yaml_file.validate(content, "r")
    run = RunFolder(recipe.runs_root / recipe.name)
    stage.run(recipe, run)
    return recipe, run


def saved(recipe: Recipe, folder: Path) -> Path:
    """Return a folder with the tokenizer as training leaves it."""
    tokenizer = AutoTokenizer.from_pretrained(Path(str(recipe.data_root)) / "tokenizer")
    tokenizer.chat_template = template_of(recipe).chat_template()
    folder.mkdir()
    copy_tokenizer(tokenizer, folder)
    return folder


def questions() -> list[Messages]:
    """Return what a client sends to be asked what each row asks."""
    asked = [[{"role": "user", "content": "\n".join(filter(None, (row["instruction"], row["input"])))}] for row in ROWS]
    turns = [{"role": role, "content": said} for role, said in TALK]
    instruction = OWN_WORDING.replace("{target}", "Korean")
    translations = [[{"role": "user", "content": f"{instruction}\n{english}"}] for english, _ in PAIRS]
    return [*asked, turns[:2], turns[:4], *translations]


@pytest.mark.parametrize("make", [with_bos, without_bos])
@pytest.mark.parametrize("name", list(PROMPTS))
def test_every_training_row_s_prompt_is_what_the_saved_folder_renders(
    content: dict[str, Any], tmp_path: Path, name: str, make: Callable[[], PreTrainedTokenizerFast]
) -> None:
    recipe, run = prepared(content, name, make())
    folder = saved(recipe, tmp_path / "model")
    served = AutoTokenizer.from_pretrained(folder)
    examples = read_examples(run.mixture("paper") / "examples.parquet")
    prompts, completions = ([getattr(one, side) for one in examples] for side in ("prompt", "completion"))
    rows = encode_examples(
        served, pa.array(prompts), pa.array(completions), content["data"]["prompt"] == "chat"
    ).to_pylist()
    trained = sorted(row["tokens"][: row["num_prompt"]] for row in rows)
    wanted = []
    for messages in questions():
        cleaned = [{**one, "content": unicodedata.normalize("NFC", one["content"])} for one in messages]
        if name == "chat_without_system" and cleaned[0]["role"] == "system":
            # Such a template refuses a system text; it stands before the first question.
            cleaned = cleaned[1:]
            cleaned[0] = {"role": "user", "content": f"{SYSTEM}\n\n{cleaned[0]['content']}"}
        text = served.apply_chat_template(cleaned, tokenize=False, add_generation_prompt=True)
        wanted.append(served.backend_tokenizer.encode(text, add_special_tokens=False).ids)
    assert trained == sorted(wanted)
    assert all((row["tokens"][0] == served.bos_token_id) == (served.bos_token_id is not None) for row in rows)


def test_a_row_that_holds_a_control_token_of_its_chat_template_is_dropped(content: dict[str, Any]) -> None:
    rows = [*ROWS, {"instruction": "Say <turn>", "input": "", "output": "Yes"}]
    (Path(content["data_root"]) / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = without_bos()
    tokenizer.add_tokens(["<turn>", "</turn>"])
    content["data"]["quality"]["drop_special_tokens"] = False
    _, run = prepared(content, "chat_without_system", tokenizer)
    (dropped,) = [json.loads(line) for line in (run.mixture("paper") / "dropped.jsonl").read_text().splitlines()]
    assert dropped["reason"] == "special token" and "<turn>" in json.dumps(dropped)


def test_a_conversation_that_its_template_refuses_is_dropped(content: dict[str, Any]) -> None:
    twice = [("user", "One fruit."), ("user", "Please."), ("assistant", "A pear.")]
    with (Path(content["data_root"]) / "talks.jsonl").open("a") as file:
        file.write(json.dumps({"messages": [{"role": role, "content": said} for role, said in twice]}) + "\n")
    _, run = prepared(content, "chat_without_system", without_bos())
    (dropped,) = [json.loads(line) for line in (run.mixture("paper") / "dropped.jsonl").read_text().splitlines()]
    assert dropped["reason"] == "refused by the chat template" and dropped["origin"] == "talks.jsonl:2"
    assert dropped["row"]["refused"] == "TemplateError: turns"
    assert len(read_examples(run.mixture("paper") / "examples.parquet")) == len(ROWS) + 2 + len(PAIRS)


def test_a_folder_holds_its_template_in_one_place(content: dict[str, Any], tmp_path: Path) -> None:
    recipe, _ = prepared(content, "chat", without_bos())
    base = Path(content["data_root"]) / "tokenizer" / "tokenizer_config.json"
    (base.parent / "chat_template.jinja").unlink()
    base.write_text(json.dumps({**json.loads(base.read_text()), "chat_template": CHATML}))
    alpaca = recipe.model_copy(update={"data": recipe.data.model_copy(update={"prompt": "alpaca"})})
    folder = saved(alpaca, tmp_path / "model")
    assert "chat_template" not in json.loads((folder / "tokenizer_config.json").read_text())
    assert "### Instruction" in (folder / "chat_template.jinja").read_text()


def test_the_clock_is_no_part_of_a_prompt(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, _ = prepared(content, "chat", without_bos())
    template = template_of(recipe)
    assert "Today: 26 Jul 2024" in template.prompt("Hi") and "strftime_now" not in template.chat_template()
    content["data"]["template_date"] = "2026-01-02"
    assert "Today: 02 Jan 2026" in template_of(yaml_file.validate(content, "r")).prompt("Hi")
