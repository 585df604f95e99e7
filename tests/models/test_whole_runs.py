"""Whole runs from models for text and pictures: what they end in loads where the original did."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForMultimodalLM, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from crosstune.cli.inputs import check_inputs
from crosstune.evaluate.scoring import ScoredPair, log_likelihoods
from crosstune.models.load import load_model
from crosstune.recipe import Recipe, yaml_file
from crosstune.runs import pipeline
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.serve.assistant import Assistant, Decoding
from crosstune.serve.export import export
from tests.models.test_wrappers import TEXT, WRAPPERS

pytestmark = pytest.mark.slow

PAIRS = [
    {"en": f"The {who} {does}.", "ko": f"{누가} {한다}."}
    for who, 누가 in (("teacher", "선생님이"), ("student", "학생이"), ("friend", "친구가"), ("cat", "고양이가"))
    for does, 한다 in (("reads a book", "책을 읽는다"), ("eats an apple", "사과를 먹는다"), ("sings", "노래를 부른다"))
]
ITEM = {"ind": 0, "activity_label": "Eating", "ctx_a": "The cat sits.", "ctx_b": "it", "label": 1, "split": "val"}
ITEM |= {"ctx": "The cat sits. it", "endings": ["eats.", "reads a book.", "sings.", "sleeps."], "source_id": "a~b"}


def write_tokenizer_and_data(root: Path) -> int:
    """Write a tokenizer as a model folder has it, which has a token for pictures, pairs and a benchmark."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>", "<pad>", "<image>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([pair["en"] for pair in PAIRS], trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<|endoftext|>"
    ).save_pretrained(root / "model")
    (root / "pairs.json").write_text(json.dumps(PAIRS, ensure_ascii=False))
    (root / "hellaswag.jsonl").write_text("".join(json.dumps(ITEM | {"ind": index}) + "\n" for index in range(4)))
    return tokenizer.get_vocab_size()


def write_inputs(root: Path, kind: str) -> None:
    """Write a whole model with its tokenizer, and data."""
    size = write_tokenizer_and_data(root)
    torch.manual_seed(0)
    text, vision = WRAPPERS[kind]
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = CONFIG_MAPPING[kind](text_config={**TEXT, **text, **ids, "vocab_size": size}, vision_config=vision)
    AutoModelForMultimodalLM.from_config(config).save_pretrained(root / "model")  # type: ignore[no-untyped-call]


def make_recipe(root: Path) -> Recipe:
    step = {"mixture": "pairs", "num_steps": 2, "global_batch_size": 4, "learning_rate": 1e-2}
    step["max_length_tokens"] = 200
    content: dict[str, Any] = {
        "name": "whole",
        "seed": 1,
        "runs_root": str(root / "runs"),
        "data_root": str(root),
        "languages": {"source": "en", "target": "ko"},
        "data": {
            "sources": {"pairs": {"kind": "parallel", "paths": ["pairs.json"]}},
            "mixtures": {"pairs": [{"source": "pairs", "directions": ["en-ko"], "instruction_languages": ["en"]}]},
        },
        "tokenizer": {
            "base": {"kind": "given", "path": "model"},
            "extension": {"kind": "learned", "mixture": "pairs", "num_new_pieces": 64, "required_syllables": "seen"},
        },
        "systems": {
            "base": {"start": "model", "tokenizer": "base"},
            "ours": {"start": "base", "tokenizer": "extended", "phases": [{**step, "method": "full"}]},
            "adapted": {
                "start": "ours",
                "tokenizer": "extended",
                "phases": [{**step, "method": "lora", "lora": {"targets": "all-linear"}}],
            },
        },
        "train": {"micro_batch_tokens": 400},
        "evaluate": {
            "reference_system": "base",
            "tasks": {"hellaswag": {"task": "hellaswag", "paths": ["hellaswag.jsonl"]}},
        },
    }
    return yaml_file.validate(content, "test")


@pytest.mark.parametrize("kind", ["gemma3", pytest.param("qwen3_5", marks=pytest.mark.exhaustive)])
def test_a_model_for_pictures_goes_through_a_whole_run_and_loads_where_it_did(kind: str, tmp_path: Path) -> None:
    write_inputs(tmp_path, kind)
    recipe = make_recipe(tmp_path)
    check_inputs(recipe)
    run = RunFolder(tmp_path / "runs" / "whole")
    pipeline.run_stages(recipe, pipeline.STAGE_NAMES, "crosstune run", update=False)
    before = load_file(tmp_path / "model" / "model.safetensors")
    rest = {name for name in before if "vision" in name or "visual" in name or "projector" in name}
    for name in ("ours", "adapted"):
        folder = run.system(name) / "model"
        whole, info = AutoModelForMultimodalLM.from_pretrained(folder, output_loading_info=True)
        assert not any(info[fault] for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        assert type(whole).__name__ == read_json(tmp_path / "model" / "config.json")["architectures"][0]
        after = load_file(folder / "model.safetensors")
        assert rest and rest < before.keys() and all(torch.equal(before[key], after[key]) for key in rest)
        tokens = torch.tensor([[0, 40, 41, 42, 43, 44]])
        with torch.no_grad():
            logits = whole.eval()(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0, 2:5]
        wanted = float(logits.float().log_softmax(-1).gather(1, tokens[0, 3:, None]).sum())
        (found,) = log_likelihoods(load_model(str(folder)), [ScoredPair([0, 40, 41], [42, 43, 44])], 50, 100)
        assert found.log_probability == pytest.approx(wanted, abs=1e-4)
    scores = read_json(run.system("adapted") / "evaluation" / "scores.json")
    assert "hellaswag" in json.dumps(scores)
    assert (run.root / "report" / "report.html").is_file()
    export(str(run.system("adapted") / "model"), tmp_path / "exported", "bf16", "5GB")
    again = AutoModelForMultimodalLM.from_pretrained(tmp_path / "exported", output_loading_info=True)[1]
    assert not again["missing_keys"] and not again["unexpected_keys"]
    assistant = Assistant(str(tmp_path / "exported"))
    assert len(assistant.answers([assistant.encode("The cat sings.")], Decoding(4))) == 1
