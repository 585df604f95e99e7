"""Model folders that are not what they should be: each is refused by name, before and while weights are read."""

import contextlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from crosstune.errors import BadInputError
from crosstune.models.config_numbers import number_faults
from crosstune.models.folder import refuse_bad_config
from crosstune.models.load import check_model, load_config, load_model, load_tokenizer
from crosstune.runs.hashes import describe_files
from crosstune.serve.export import export_gguf
from crosstune.serve.push import push

Tensors = dict[str, torch.Tensor]
UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(**shape, vocab_size=40)).save_pretrained(folder)
    return folder


def copy_of(good: Path, target: Path, change: Callable[[Tensors], Tensors | None]) -> Path:
    folder = target / "model"
    shutil.copytree(good, folder)
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors) or tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def drop(tensors: Tensors) -> None:
    del tensors[UP]


def rename(tensors: Tensors) -> Tensors:
    return {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}


def add(tensors: Tensors) -> None:
    tensors["model.layers.2.mlp.up_proj.weight"] = torch.ones(24, 16)


def shrink(tensors: Tensors) -> None:
    tensors["lm_head.weight"] = torch.ones(39, 16)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop, rf"1 missing: {UP}\. Missing weights must not be replaced"),
        (rename, r"21 missing: lm_head.*21 not part of this architecture: _orig_mod\.lm_head.*torch.compile"),
        (add, r"1 not part of this architecture: model\.layers\.2\.mlp\.up_proj\.weight"),
        (shrink, r"1 of another shape than config\.json says: lm_head\.weight \[39, 16\] instead of \[40, 16\]"),
    ],
)
def test_weights_that_are_not_those_of_the_configuration_are_named(
    good: Path, tmp_path: Path, change: Callable[[Tensors], Tensors | None], told: str
) -> None:
    folder = copy_of(good, tmp_path, change)
    for look in (load_model, check_model):
        with pytest.raises(BadInputError, match=told):
            look(str(folder))


def test_constants_that_old_releases_saved_are_no_fault(good: Path, tmp_path: Path) -> None:
    def old(tensors: Tensors) -> None:
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)

    assert isinstance(load_model(str(copy_of(good, tmp_path, old))), LlamaForCausalLM)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(good: Path, tmp_path: Path, number: float) -> None:
    def spoil(tensors: Tensors) -> None:
        tensors[UP][3, 3] = number

    with pytest.raises(BadInputError, match=rf"holds numbers that are not finite .* in 1 of 2\d tensors: {UP}"):
        load_model(str(copy_of(good, tmp_path, spoil)))


def test_weights_that_overflow_in_the_asked_precision_are_named(good: Path, tmp_path: Path) -> None:
    def grow(tensors: Tensors) -> None:
        tensors[UP] *= 1e7

    folder = copy_of(good, tmp_path, grow)
    assert load_model(str(folder)) is not None
    with pytest.raises(BadInputError, match=r"in float16, holds numbers that are not finite.*a wider precision"):
        load_model(str(folder), dtype=torch.float16)


def test_matrices_that_are_said_to_be_tied_but_differ_are_refused(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path, lambda _: None)
    set_config(folder, tie_word_embeddings=True)
    with pytest.raises(BadInputError, match=r"tie_word_embeddings: true\), but its weights hold two different ones"):
        load_model(str(folder))


def set_config(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **changes}))


def cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-500])


def point(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")


def index(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"lm_head.weight": "model-00001-of-00002.safetensors", UP: "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))


SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def shards(
    folder: Path, twice: str = "", unnamed: str = "", place: str = "", change: Callable[[Tensors], Any] | None = None
) -> None:
    """Cut the weights into two files, of which the second holds one tensor, and the first one ``twice``."""
    tensors = load_file(folder / "model.safetensors")
    if change:
        change(tensors)
    second = {UP: tensors.pop(UP)}
    wanted = {**dict.fromkeys(tensors, SHARDS[0]), **dict.fromkeys(second, place or SHARDS[1])}
    wanted.pop(unnamed, None)
    if twice:
        second[twice] = tensors[twice] + 1
    save_file(tensors, folder / SHARDS[0], {"format": "pt"})
    save_file(second, folder / SHARDS[1], {"format": "pt"})
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": wanted}))


def two_models(folder: Path) -> None:
    single = (folder / "model.safetensors").read_bytes()
    shards(folder)
    (folder / "model.safetensors").write_bytes(single)


def whole_numbers(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors[name] = tensors[name].round().to(torch.int64)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return change


def gone(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "blob")


def a_folder(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def adapters_beside(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "x"}')


def pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def adapters(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "config.json").unlink(), "needs config.json and"),
        (lambda folder: (folder / "config.json").write_text("{"), "its config.json is not a JSON object"),
        (lambda folder: set_config(folder, model_type="llama9"), "model_type 'llama9', which transformers"),
        (
            lambda folder: set_config(folder, model_type="exaone", auto_map={"AutoModelForCausalLM": "m.Exaone"}),
            "'exaone' is Python code in its own folder",
        ),
        (lambda folder: set_config(folder, quantization_config={"quant_method": "gptq"}), r"are quantized \(gptq;"),
        (
            lambda folder: set_config(folder, text_config={"quantization_config": {"quant_method": "awq"}}),
            r"are quantized \(awq;",
        ),
        (lambda folder: set_config(folder, model_type="t5", architectures=["T5Model"]), "no causal language model"),
        (
            lambda folder: set_config(folder, architectures=["LlamaForSequenceClassification"]),
            "no causal language model",
        ),
        (
            lambda folder: set_config(folder, architectures=["MistralForCausalLM"]),
            r"says model_type 'llama', but architectures \['MistralForCausalLM'\], which is another model's",
        ),
        (lambda folder: set_config(folder, dtype="floatt16"), "says dtype 'floatt16'; known are float32"),
        (
            lambda folder: set_config(folder, attention_bias="wide"),
            "model of .* cannot be read: .*attention_bias.*correct them",
        ),
        (lambda folder: set_config(folder, hidden_act="gelux"), "says hidden_act 'gelux', which transformers does not"),
        (
            lambda folder: set_config(folder, rope_parameters={"rope_type": "yarnn", "rope_theta": 1e4}),
            r"says rope_parameters\.rope_type 'yarnn', which transformers does not know",
        ),
        (
            lambda folder: (folder / "generation_config.json").write_text("{"),
            r"generation_config\.json is not a JSON object",
        ),
        (
            lambda folder: (folder / "generation_config.json").write_text('{"eos_token_id": [2, "x"]}'),
            r"generation_config\.json says eos_token_id \[2, 'x'\], which has to be a token's number",
        ),
        (cut, r"model\.safetensors has [\d,]+ bytes, but its header says [\d,]+: it is cut off"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "is not a complete safetensors file"),
        (point, "is a Git LFS pointer"),
        (index, r"names 2 files, of which 1 are missing: model-00002-of-00002\.safetensors"),
        (two_models, r"it holds model\.safetensors and model\.safetensors\.index\.json, which names other files"),
        (lambda folder: shards(folder, twice="lm_head.weight"), r"00001.* and .*00002.* both hold lm_head\.weight"),
        (
            lambda folder: shards(folder, unnamed="lm_head.weight"),
            r"lacks tensors that its files hold: lm_head\.weight",
        ),
        (lambda folder: shards(folder, place="../model.safetensors"), r"names files outside of the folder: \.\./model"),
        (whole_numbers("lm_head.weight"), r"holds weights of type I64 \(lm_head\.weight\)"),
        (adapters_beside, r"holds LoRA adapters \(adapter_config\.json\) beside a config\.json"),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "b"}}'),
            r"index\.json has no metadata, which transformers asks for",
        ),
        (gone, r"model\.safetensors is a link to .*blob, which is not there"),
        (a_folder, r"model\.safetensors cannot be read: Is a directory"),
        (pickle, r"its weights are in pytorch_model\.bin, a format that can run code"),
        (adapters, "it holds LoRA adapters"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"but no \*\.safetensors with weights"),
    ],
)
def test_each_bad_folder_has_a_sentence_of_its_own(
    good: Path, tmp_path: Path, change: Callable[[Path], Any], told: str
) -> None:
    folder = copy_of(good, tmp_path, lambda _: None)
    change(folder)
    with pytest.raises(BadInputError, match=told):
        check_model(str(folder))


def test_weights_in_several_files_are_read(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path, lambda _: None)
    shards(folder)
    assert load_model(str(folder)) is not None


def test_each_number_that_no_model_can_have_is_named_before_anything_is_built(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path, lambda _: None)
    content = json.loads((folder / "config.json").read_text())
    rope = content["rope_parameters"]
    faults: list[tuple[str, Any, str]] = [
        *(
            (key, value, rf"says {key} {value!r}, which has to be at least 1")
            for key in (
                "max_position_embeddings",
                "vocab_size",
                "num_hidden_layers",
                "hidden_size",
                "intermediate_size",
                "num_attention_heads",
                "num_key_value_heads",
            )
            for value in (0, -1, "16", 1.5, True)
        ),
        ("head_dim", -1, "says head_dim -1, which has to be at least 0"),
        ("sliding_window", 0, "says sliding_window 0, which has to be at least 1"),
        ("num_hidden_layers", 10**6, "says num_hidden_layers 1000000, which has to be at most 10,000"),
        ("num_hidden_layers", 999, "says num_hidden_layers 999, but its weights are 21 tensors"),
        ("vocab_size", 10**9, "says vocab_size 1,000,000,000, but its weights are 21 tensors"),
        *(("attention_dropout", value, "says attention_dropout .* at least 0 and below 1") for value in (-1, 1, 1e30)),
        ("attention_dropout", math.nan, "says attention_dropout nan, which is no number"),
        *(("rms_norm_eps", value, "says rms_norm_eps .* between 0 and 0.1") for value in (-1e-6, 1.5, math.inf)),
        ("rms_norm_eps", math.nan, "says rms_norm_eps nan, which is no number"),
        *(
            ("rope_parameters", rope | {"rope_theta": value}, r"says rope_parameters\.rope_theta .* above 0")
            for value in (0, -1.0, math.inf)
        ),
        ("rope_parameters", {**rope, "rope_type": "linear", "factor": 0.5}, r"says rope_parameters\.factor 0\.5"),
    ]
    for key, value, told in faults:
        (folder / "config.json").write_text(json.dumps({**content, key: value}))
        for look in (check_model, load_config):
            if look is load_config and "its weights are" in told:
                continue
            with pytest.raises(BadInputError, match=told):
                look(str(folder))


def test_sizes_are_found_under_an_architectures_own_names_and_in_the_text_model_of_a_wrapper(tmp_path: Path) -> None:
    own = {"model_type": "gpt2", "n_positions": -1}
    with pytest.raises(BadInputError, match="says n_positions -1, which has to be at least 1"):
        refuse_bad_config(own, "x")
    wrapped = {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "num_hidden_layers": 0}}
    with pytest.raises(BadInputError, match="says num_hidden_layers 0, which has to be at least 1"):
        refuse_bad_config(wrapped, "x")


@pytest.mark.slow
def test_no_architecture_has_such_numbers_where_nothing_else_is_said() -> None:
    for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        with contextlib.suppress(StrictDataclassClassValidationError):
            config = CONFIG_MAPPING[kind]()
            assert not list(number_faults(config.to_dict(), type(config).attribute_map)), kind


def test_the_file_that_cannot_be_read_is_named_not_its_neighbours(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path, lambda _: None)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "notes.json").write_text("{")
    for name, content, told in (
        ("tokenizer_config.json", b"{", r"tokenizer_config\.json is not JSON"),
        ("chat_template.jinja", b"\xff\xfe{{", r"chat_template\.jinja is not UTF-8 \(byte 0\)"),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(BadInputError, match=rf"the tokenizer of .* cannot be read: {told}.*Download it again"):
            load_tokenizer(str(folder))
        (folder / name).unlink()
    (folder / "config.json").write_text("{")
    with pytest.raises(BadInputError, match=r"its config\.json is not a JSON object"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize("key", ["vocab_size", "rope_theta", "model_type"])
def test_a_key_that_occurs_twice_is_named_with_its_lines(good: Path, tmp_path: Path, key: str) -> None:
    folder = copy_of(good, tmp_path, lambda _: None)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace("{", f'{{\n  "{key}": 10000.0,\n  "{key}": 500000.0,', 1))
    for load in (load_config, load_model, check_model):
        with pytest.raises(
            BadInputError, match=rf"its config\.json, the key '{key}' occurs twice \(it stands in lines 2"
        ):
            load(str(folder))


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer_config.json", "special_tokens_map.json"])
def test_a_key_that_occurs_twice_is_named_in_each_file(good: Path, tmp_path: Path, name: str) -> None:
    folder = copy_of(good, tmp_path, lambda _: None)
    (folder / name).write_text('{"inner": {"eos_token_id": 1, "eos_token_id": 2}}')
    with pytest.raises(BadInputError, match=rf"in its {name}, the key 'eos_token_id' occurs twice, and which value"):
        (load_model if name.startswith("generation") else load_tokenizer)(str(folder))


def test_a_tensor_that_a_header_names_twice_is_told(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path, lambda _: None)
    content = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].decode().rstrip()
    norm = '"model.norm.weight":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}'
    header = f"{{{norm},{header[1:]}"
    (folder / "model.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header.encode() + content[8 + length :]
    )
    with pytest.raises(BadInputError, match=r"the header of model\.safetensors .* 'model\.norm\.weight' occurs twice"):
        load_model(str(folder))


@pytest.mark.parametrize(
    ("setting", "value"), [("rope_theta", 20000.0), ("hidden_act", "gelu"), ("rms_norm_eps", 0.1), ("bos_token_id", 3)]
)
def test_a_folder_that_training_left_is_refused_with_another_legal_setting(
    good: Path, tmp_path: Path, setting: str, value: object
) -> None:
    system = tmp_path / "systems" / "ours"
    folder = copy_of(good, system, lambda _: None)
    facts = {"model": "./systems/ours/model", "files": describe_files(folder)}
    (system / "system.json").write_text(json.dumps(facts))
    load_model(str(folder))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, setting: value}, indent=2))
    for door in (load_model, check_model):
        with pytest.raises(BadInputError, match=r"is not what training left: config\.json has .*use the copy"):
            door(str(folder))
    for door in (
        lambda model: export_gguf(model, tmp_path / "model.gguf", "bf16", Path(__file__)),
        lambda model: push(model, "owner/name", public=False, dry_run=True),
    ):
        with pytest.raises(BadInputError, match=r"is not what training left"):
            door(folder)
    shutil.copytree(folder, tmp_path / "copy")
    load_model(str(tmp_path / "copy"))
