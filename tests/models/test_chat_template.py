"""A tokenizer's own chat template, as prompts and completions."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from crosstune.errors import BadInputError, RecipeError
from crosstune.models.chat_template import from_tokenizer, template_of
from crosstune.models.load import load_tokenizer
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import yaml_file
from tests.learnt_tokenizers import sentencepiece_style

# As published with LLaMA-2's chat models and as ChatML, each without its system message.
LLAMA_2 = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' '  + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    made = sentencepiece_style(["the cat sleeps"], 280)
    made.chat_template = template
    return made


@pytest.mark.parametrize("chat_template", [LLAMA_2, CHATML], ids=["llama-2", "chatml"])
def test_prompt_and_completion_make_up_what_the_tokenizer_writes(chat_template: str) -> None:
    given = tokenizer(chat_template)
    template = from_tokenizer(given)
    messages = [{"role": "user", "content": "Say {input}\nhi"}, {"role": "assistant", "content": "{output} hi"}]
    prompt = "<s>" * (chat_template is LLAMA_2) + template.prompt("Say {input}", "hi")
    assert prompt == given.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    whole = prompt + template.completion("{output} hi")
    assert str(given.apply_chat_template(messages, tokenize=False)).partition("</s>")[0] == whole
    assert template.output(template.completion("hi")) == "hi"


def test_eos_ends_the_completion_once() -> None:
    given = tokenizer(CHATML)
    given.eos_token = "<|im_end|>"
    assert from_tokenizer(given).completion("hi") == "hi"
    assert from_tokenizer(tokenizer(CHATML)).completion("hi") == "hi<|im_end|>\n"


def test_a_question_that_does_not_begin_question_and_answer_is_refused() -> None:
    thinking = CHATML.replace("assistant\n", "assistant\n<think>")
    with pytest.raises(BadInputError, match=r"the first must begin the second.*paper-v1, alpaca, kullm"):
        from_tokenizer(tokenizer(thinking))


@pytest.mark.parametrize("clock", ["{% set now = strftime_now %}{{ now('%d') }}", "{{ strftime_now('%d' ~ '.%m') }}"])
def test_a_clock_that_no_date_can_replace_is_refused(clock: str) -> None:
    with pytest.raises(BadInputError, match=r"writes today's date in a form that it computes"):
        from_tokenizer(tokenizer(clock + CHATML), today=date(2024, 7, 26))
    asks = "{% if strftime_now is defined %}{{ strftime_now('%d %b') }}\n{% endif %}"
    assert "26 Jul" in from_tokenizer(tokenizer(asks + CHATML), today=date(2024, 7, 26)).prompt("Hi")


def test_an_option_that_the_template_never_reads_is_refused() -> None:
    thinks = CHATML + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    with pytest.raises(BadInputError, match=r"reads no enable_thinkng\. It reads enable_thinking\. Correct the name"):
        from_tokenizer(tokenizer(thinks), {"enable_thinkng": False})
    # The template uses these words, and asks for none of them.
    for option in ("enable_thinking", "assistant", "message", "messages", "add_generation_prompt", "bos_token"):
        with pytest.raises(BadInputError, match=rf"reads no {option}\. Correct the name"):
            from_tokenizer(tokenizer(LLAMA_2 + CHATML), {option: False})


def test_a_template_that_asks_for_an_option_among_the_model_s_own_tags_reads_it() -> None:
    tagged = CHATML.replace("{% endfor %}", "{% generation %}{{ tone | default('') }}{% endgeneration %}{% endfor %}")
    assert "kind" in from_tokenizer(tokenizer(tagged), {"tone": "kind"}).prompt("Hi")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("| lower", "alone it writes .*one"),
        ("| tojson", "alone it writes"),
        ("| truncate(99)", "alone it writes"),
        (".split('\\n')[0]", "alone it writes"),
        (" if loop.index0 < 3 else message['content'] + '!'", "after earlier turns it writes"),
        (" if messages[0]['role'] != 'system' else '\\n' + message['content']", "with a system text it writes"),
    ],
)
def test_a_template_that_changes_answers_is_refused(change: str, told: str) -> None:
    changes = LLAMA_2.replace("' '  + message['content']", f"' ' + (message['content'] {change})")
    with pytest.raises(BadInputError, match=rf"changes what a model answers: {told}.* would be learnt"):
        from_tokenizer(tokenizer(changes))


@pytest.mark.parametrize("change", ["| lower", "| truncate(12, true)", ".replace('\\n', ' ')", ".split('/no')[0]"])
def test_a_question_is_put_as_the_template_changes_it(change: str) -> None:
    changes = LLAMA_2.replace("+ message['content'] + ' [/INST]'", f"+ (message['content'] {change}) + ' [/INST]'")
    given = tokenizer(changes)
    asked = [{"role": "user", "content": "Sort These Words: /no\npear apple"}]
    wanted = given.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert "<s>" + from_tokenizer(given).prompt("Sort These Words: /no", "pear apple") == wanted


@pytest.mark.parametrize(("change", "has_place"), [("| upper", True), (".split('{')[0]", False)])
def test_a_system_text_has_its_place_where_something_of_it_is_written(change: str, has_place: bool) -> None:
    written = "message['content']"
    changes = CHATML.replace(written, f"({written} {change} if message['role'] == 'system' else {written})")
    assert from_tokenizer(tokenizer(changes)).has_system is has_place


def test_a_template_that_reads_parts_of_a_content_is_given_texts_as_parts() -> None:
    parts = CHATML.replace(
        "message['content']",
        "(message['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | first)",
    )
    given = tokenizer(parts)
    template = from_tokenizer(given)
    assert template.prompt("Hi") == from_tokenizer(tokenizer(CHATML)).prompt("Hi")
    for content in ("Hi", [{"type": "text", "text": "Hi"}]):
        asked = [{"role": "user", "content": content}]
        written = given.apply_chat_template(
            asked, chat_template=template.chat_template(), tokenize=False, add_generation_prompt=True
        )
        assert written == "<s>" + template.prompt("Hi")


def test_the_template_of_a_processor_is_that_of_its_tokenizer(tmp_path: Path) -> None:
    tokenizer(None).save_pretrained(tmp_path)
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": CHATML}))
    assert from_tokenizer(load_tokenizer(str(tmp_path))).prompt("Hi").startswith("<|im_start|>user\nHi")


def test_a_tokenizer_without_chat_template_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"data\.prompt is chat, but .* has no chat template\. Give a tokenizer"):
        from_tokenizer(tokenizer(None))


def test_the_recipe_s_template_is_found_beside_its_data(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    recipe = yaml_file.validate(recipe_content, "r")
    assert template_of(recipe) == TEMPLATES["paper-v1"]
    recipe_content |= {"data_root": str(tmp_path), "data": {**recipe_content["data"], "prompt": "chat"}}
    tokenizer(LLAMA_2).save_pretrained(tmp_path / "tokenizer")
    assert template_of(yaml_file.validate(recipe_content, "r")).prompt("Hi") == "[INST] Hi [/INST]"


def test_a_learned_tokenizer_has_no_chat_template(recipe_content: dict[str, Any]) -> None:
    recipe_content["data"]["prompt"] = "chat"
    recipe_content["tokenizer"]["base"] = {"kind": "learned", "mixture": "korean", "num_pieces": 400}
    with pytest.raises(RecipeError, match=r"data\.prompt: `chat` needs a tokenizer that has a chat template"):
        yaml_file.validate(recipe_content, "r")
