"""`crosstune doctor MODEL`: whole, on models that can be used and on those that cannot."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from crosstune.cli import app
from crosstune.doctor.architecture import look_at_architecture
from crosstune.doctor.benchmarks import look_at_benchmarks
from crosstune.doctor.chat import look_at_chat
from crosstune.doctor.cost import look_at_cost
from crosstune.doctor.findings import Finding, print_findings
from crosstune.doctor.reading import look_at_reading
from crosstune.doctor.subject import Subject, find_subject
from crosstune.errors import BadInputError, RecipeError
from crosstune.recipe import Languages
from crosstune.recipe.yaml_file import validate
from crosstune.terminal.output import results
from tests.doctor.conftest import TEMPLATE, MakeModel


def subject(folder: Path) -> Subject:
    return Subject(str(folder), folder)


def by_name(findings: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.mark.slow
def test_a_model_with_weights_is_examined_in_every_section(make_model: MakeModel) -> None:
    folder = make_model(template=TEMPLATE)
    done = CliRunner().invoke(app.app, ["doctor", str(folder), "--to", "ko", "--gpu", "rtx4090", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    sections = [finding["section"] for finding in report["findings"]]
    expected = ["model", "reading rows", "tokenizer", "chat", "benchmarks", "cost", "license"]
    assert list(dict.fromkeys(sections)) == expected
    assert None not in [value for finding in report["findings"] for value in finding["values"].values()]
    found = {finding["name"]: finding for finding in report["findings"]}
    assert ["gradient" in found[use]["values"]["measured"][0] for use in ("training", "scoring")] == [True, False]
    assert found["tested on"]["says"].startswith("the model's own weights")
    assert [found[use]["values"]["way"] for use in ("training", "scoring", "generation")] == ["packed"] * 3
    assert found["full"]["values"]["gpu"] == "rtx4090"
    assert "kobest_copa" in found["gain"]["values"]["tasks"]
    assert found["forgetting"]["values"]["language"] == "en"


@pytest.mark.slow
def test_configuration_and_tokenizer_are_enough(make_model: MakeModel) -> None:
    found = by_name(look_at_reading(subject(make_model(weights=False))))
    assert "a small copy of the architecture with 2 layers" in found["tested on"].says
    assert found["training"].verdict == "ok"


@pytest.mark.slow
def test_an_architecture_that_packing_would_read_wrong_is_attended_to(make_model: MakeModel) -> None:
    folder = make_model(weights=False)
    shape = {"model_type": "falcon", "architectures": ["FalconForCausalLM"], "alibi": True, "vocab_size": 400}
    shape |= {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 6}
    (folder / "config.json").write_text(json.dumps(shape), "utf-8")
    found = by_name(look_at_reading(subject(folder)))
    assert found["training"].verdict == "attention"
    assert "packed rows differ" in found["training"].says and "nats" in found["training"].says


BAD: list[tuple[dict[str, Any], str]] = [
    ({"model_type": "own", "auto_map": {"AutoModelForCausalLM": "x.Y"}}, "is Python code in its own folder"),
    ({"quantization_config": {"quant_method": "gptq"}}, "its weights are quantized (gptq"),
    ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "is no causal language model"),
    ({"model_type": "marian", "is_encoder_decoder": True, "architectures": ["MarianForCausalLM"]}, "by an encoder and"),
    ({"num_attention_heads": 5, "num_key_value_heads": 2}, "The hidden size (32) is not a multiple of"),
]


@pytest.mark.parametrize(("changes", "told"), BAD)
def test_a_model_that_cannot_be_used_is_one_sentence_and_status_1(
    make_model: MakeModel, changes: dict[str, Any], told: str
) -> None:
    folder = make_model(weights=False, **changes)
    done = CliRunner().invoke(app.app, ["doctor", str(folder), "--to", "ko", "--json"])
    assert done.exit_code == 1, done.output
    findings = [Finding(**finding) for finding in json.loads(done.stdout)["findings"]]
    (stop,) = [finding for finding in findings if finding.verdict == "stop"]
    assert told in stop.says
    assert not {"reading rows", "cost", "chat"} & {finding.section for finding in findings}


def test_weights_of_another_shape_stop(make_model: MakeModel) -> None:
    finding = by_name(look_at_architecture(subject(make_model(hidden_size=64))))["architecture"]
    assert (finding.verdict, "of another shape than config.json says" in finding.says) == ("stop", True)


def test_the_chat_template_is_used_where_it_can_be(make_model: MakeModel) -> None:
    found = by_name(look_at_chat(subject(make_model("a", False, TEMPLATE))))
    assert found["template"].setting == "data: {prompt: chat}"
    assert found["template"].says.endswith("an answer starts after '<|end|><|assistant|>'")
    assert found["stop tokens"].values["tokens"] == ["<|end|>"]
    assert by_name(look_at_chat(subject(make_model("b", False))))["template"].setting == "data: {prompt: alpaca}"


def test_what_a_missing_file_would_say_of_the_chat_is_not_known(make_model: MakeModel) -> None:
    folder = make_model(weights=False)
    (folder / "tokenizer_config.json").unlink()
    (finding,) = look_at_chat(subject(folder))
    assert finding.verdict == "attention"
    assert finding.says.startswith("not known: tokenizer_config.json is not here")


def test_a_template_that_raises_is_told_and_replaced(make_model: MakeModel) -> None:
    raising = "{{ raise_exception('no system here') }}"
    finding = by_name(look_at_chat(subject(make_model(weights=False, template=raising))))["template"]
    assert ("no system here" in finding.says, finding.setting) == (True, "data: {prompt: alpaca}")


def test_a_thinking_switch_is_set_off(make_model: MakeModel) -> None:
    thinking = TEMPLATE.replace(
        "<|assistant|>{% endif %}", "<|assistant|>{% if not enable_thinking %}<think></think>{% endif %}{% endif %}"
    )
    thinking = thinking.replace(
        "{{ message['content'] }}",
        (
            "{% if message['role'] == 'assistant' and not enable_thinking %}<think></think>{% endif %}"
            "{{ message['content'] }}"
        ),
    )
    finding = by_name(look_at_chat(subject(make_model(weights=False, template=thinking))))["thinking"]
    assert (finding.verdict, finding.setting) == ("ok", "data: {template_options: {enable_thinking: false}}")


def test_generation_settings_name_further_stop_tokens(make_model: MakeModel) -> None:
    folder = make_model(weights=False, template=TEMPLATE)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 6]}), "utf-8")
    assert set(by_name(look_at_chat(subject(folder)))["stop tokens"].values["ids"]) >= {5, 6}


def test_without_generation_settings_the_configuration_names_the_stop_tokens(make_model: MakeModel) -> None:
    folder = make_model(weights=False, template=TEMPLATE, eos_token_id=[5, 6])
    assert set(by_name(look_at_chat(subject(folder)))["stop tokens"].values["ids"]) >= {5, 6}


def test_a_turn_that_ends_in_no_stop_token_is_attended_to(make_model: MakeModel) -> None:
    other = TEMPLATE.replace("<|end|>", "<|begin|><|end|>")
    folder = make_model(weights=False, template=other)
    finding = by_name(look_at_chat(subject(folder)))["stop tokens"]
    assert (finding.verdict, "ends a turn with '<|begin|>'" in finding.says) == ("attention", True)
    begin = json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"][0]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": begin["id"]}), "utf-8")
    assert by_name(look_at_chat(subject(folder)))["stop tokens"].verdict == "ok"


def test_no_model_is_told_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadInputError, match=r"not a model folder: it needs config\.json.*notes\.txt"):
        find_subject(str(tmp_path), None)
    with pytest.raises(BadInputError, match="is a file, not a model: give the folder"):
        find_subject(str(tmp_path / "notes.txt"), None)
    with pytest.raises(
        BadInputError, match=r"is not a model folder or a \.gguf file here, so it is taken for a hub id"
    ):
        find_subject("nobody/nothing", None)


def test_a_branch_of_the_hub_becomes_the_commit_that_it_names_today(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("crosstune.doctor.subject.snapshot_download", lambda *_, **__: str(tmp_path / "0123abc"))
    assert find_subject("somebody/model", "main").revision == "0123abc"


def test_a_language_is_needed_for_a_model_and_a_model_for_a_language(make_model: MakeModel) -> None:
    assert "--to ko" in str(CliRunner().invoke(app.app, ["doctor", "somewhere"]).exception)
    options = [["--to", "ko"], ["--gpu", "l4"], ["--gpus", "2"], ["--source-text", "f"], ["--revision", "main"]]
    for option in options:
        told = str(CliRunner().invoke(app.app, ["doctor", *option]).exception)
        assert f"{option[0]}: only with a model: crosstune doctor MODEL" in told


def test_every_setting_is_yaml_that_a_recipe_takes(make_model: MakeModel) -> None:
    folder = make_model(weights=False, template=TEMPLATE, max_position_embeddings=512)
    found = [*look_at_architecture(subject(folder)), *look_at_chat(subject(folder))]
    found += [*look_at_benchmarks(Languages(source="en", target="km")), *look_at_cost(subject(folder), "rtx4090", 1)]
    settings = [YAML(typ="safe").load(finding.setting) for finding in found if finding.setting]
    assert {section for one in settings for section in one} == {"data", "systems", "train"}
    for one in settings:
        with pytest.raises(RecipeError) as refused:
            validate({"name": "x", **one}, "x")
        # What a whole recipe has besides is missing; nothing that is said is unknown or wrong.
        assert not [line for line in str(refused.value).splitlines() if "unknown" in line or "not permitted" in line]


@pytest.mark.parametrize("code", ["xx-Made", "en-Zzzz"])
def test_a_script_that_does_not_exist_is_one_sentence(make_model: MakeModel, code: str) -> None:
    done = CliRunner().invoke(app.app, ["doctor", str(make_model(weights=False)), "--to", code])
    assert isinstance(done.exception, BadInputError) and "Unicode has no script of that name" in str(done.exception)


def test_a_method_that_does_not_fit_has_no_hours_and_no_setting(make_model: MakeModel) -> None:
    shape = {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 40, "num_attention_heads": 64}
    full = by_name(look_at_cost(subject(make_model(weights=False, **shape)), "rtx4090", 1))["full"]
    assert (full.verdict, full.setting) == ("attention", "")
    assert "on one GPU" in full.says and "does not fit RTX 4090" in full.says and " h for" not in full.says
    assert "hours_per_10m_tokens" not in full.values


@pytest.mark.slow
def test_settings_that_exclude_each_other_say_so_and_a_machine_without_gpu_is_named(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = by_name(look_at_cost(subject(make_model(weights=False)), "", 1))
    assert "no GPU that torch can use" in found["this machine"].says
    with results.capture() as printed:
        print_findings("a model", [*found.values()], results)
    # No GPU is taken for one that is a processor.
    assert all("cpu" not in found[name].values["fits_on"] for name in ("QLoRA", "LoRA", "full"))
    assert [name for name in ("QLoRA", "LoRA", "full") if f" {name} (choose one)" in printed.get()] == [
        "QLoRA",
        "LoRA",
        "full",
    ]
