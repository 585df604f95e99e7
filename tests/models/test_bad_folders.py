"""Model folders that are not what they should be: each is refused by name, before and while weights are read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from crosstune.errors import BadInputError
from crosstune.models.load import check_model, load_model

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
        (drop, rf"1 missing: {UP}\. Nothing may stand in their place"),
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
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def adapters(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "config.json").unlink(), "needs config.json and"),
        (lambda folder: (folder / "config.json").write_text("{"), "its config.json is no JSON object"),
        (lambda folder: set_config(folder, model_type="llama9"), "model_type 'llama9', which transformers"),
        (
            lambda folder: set_config(folder, model_type="exaone", auto_map={"AutoModelForCausalLM": "m.Exaone"}),
            "'exaone' is Python code in its own folder",
        ),
        (lambda folder: set_config(folder, quantization_config={"quant_method": "gptq"}), r"are quantised \(gptq;"),
        (lambda folder: set_config(folder, model_type="t5", architectures=["T5Model"]), "no causal language model"),
        (
            lambda folder: set_config(folder, architectures=["LlamaForSequenceClassification"]),
            "no causal language model",
        ),
        (lambda folder: set_config(folder, dtype="floatt16"), "says dtype 'floatt16'; known are float32"),
        (
            lambda folder: set_config(folder, hidden_size="wide"),
            "model of .* cannot be read: .*hidden_size.*correct them",
        ),
        *(
            (lambda folder, key=key, value=value: set_config(folder, **{key: value}), f"says {key} {value}, which has")
            for key, value in (("max_position_embeddings", -1), ("vocab_size", 0), ("num_hidden_layers", 0))
        ),
        (cut, r"model\.safetensors has [\d,]+ bytes, but its header says [\d,]+: it is cut off"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "is no whole safetensors file"),
        (point, "is a Git LFS pointer"),
        (index, r"names 2 files, of which 1 are missing: model-00002-of-00002\.safetensors"),
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
