"""Tokenizers with more pieces than a model has rows: allowed where no text is cut into them, else refused by name."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from crosstune.cli.inputs import check_inputs
from crosstune.errors import BadInputError
from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.evaluate.scoring import ScoredPair, log_likelihoods
from crosstune.models.load import check_model
from crosstune.models.pieces import refuse_missing_rows
from crosstune.runs.files import read_json, write_json
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.train import stage as train_stage
from crosstune.train.row_checks import check_pieces
from tests.train.conftest import (
    MakeRun,
    base_tokenizer,
    extended_tokenizer,
    make_run,
    phase,
    sentencepiece_style,
    tokenizers,
)

__all__ = ["base_tokenizer", "extended_tokenizer", "make_run", "tokenizers"]
PICTURE = AddedToken("<image_soft_token>", special=True, normalized=False)
NAMES = "MODEL", "TOKENIZER"


def saved_model(folder: Path, num_rows: int, **changes: Any) -> Path:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(
        LlamaConfig(vocab_size=num_rows, bos_token_id=1, eos_token_id=2, **shape, **changes)
    ).save_pretrained(folder)
    return folder


def with_token(token: AddedToken) -> PreTrainedTokenizerFast:
    tokenizer = sentencepiece_style(["a cat", "two dogs"], 270)
    tokenizer.add_tokens([token])
    return tokenizer


def test_a_control_token_needs_no_row_and_a_word_does() -> None:
    tokenizer = with_token(PICTURE)
    num_rows = len(tokenizer) - 1
    refuse_missing_rows(tokenizer, num_rows, NAMES)
    with pytest.raises(BadInputError, match=rf"has {num_rows - 1} embedding rows.*they do not match"):
        refuse_missing_rows(tokenizer, num_rows - 1, NAMES)
    word = with_token(AddedToken("kimchi", normalized=False))
    refuse_missing_rows(word, num_rows, NAMES, num_extended=len(word))
    with pytest.raises(
        BadInputError, match=r"kimchi would have no row, and texts may hold them\. Add rows: model\.res"
    ):
        refuse_missing_rows(word, num_rows, NAMES)


def add_picture_token(run: RunFolder) -> None:
    """Give the run's tokenizers the token behind the base's pieces, as Gemma 3's has it, and move what follows."""
    for which in ("base", "extended"):
        folder = run.tokenizer(which)
        content = read_json(folder / "tokenizer.json")
        vocabulary = {piece: index + (index >= 400) for piece, index in content["model"]["vocab"].items()}
        content["model"]["vocab"] = vocabulary
        picture = {"id": 400, "content": PICTURE.content, "single_word": False, "lstrip": False, "rstrip": False}
        content["added_tokens"].append({**picture, "normalized": False, "special": True})
        with whole_folder(folder, f"with-picture-{which}", {}) as made:
            write_json(made / "tokenizer.json", content)
            (made / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "bos_token": "<s>"}))
            if which == "extended":
                subwords = [[3 + index, 4 + index] for index in range(20)]
                write_json(made / "subwords.json", {"old_size": 401, "new_size": 421, "subwords": subwords})


def test_a_model_without_a_row_for_its_pictures_token_is_extended_trained_and_merged(
    make_run: MakeRun, tmp_path: Path
) -> None:
    start = str(saved_model(tmp_path / "gemma", 400))
    systems = {
        "base": {"start": start, "tokenizer": "base"},
        "full": {"start": start, "tokenizer": "base", "phases": [phase(num_steps=1)]},
        "ours": {
            "start": start,
            "tokenizer": "extended",
            "new_rows": {"noise": 0},
            "phases": [phase(num_steps=1, trains=["new_input_rows", "new_output_rows"])],
            "merge": {"weight": 0.5},
        },
    }
    recipe, run = make_run(systems)
    add_picture_token(run)
    train_stage.run(recipe, run)
    old, full, ours = (
        AutoModelForCausalLM.from_pretrained(folder).get_input_embeddings().weight.detach()
        for folder in (start, run.system("full") / "model", run.system("ours") / "model")
    )
    assert (len(old), len(full), len(ours)) == (400, 400, 421)
    torch.testing.assert_close(ours[:400], old)
    torch.testing.assert_close(ours[400], old.mean(dim=0))


def test_a_text_with_a_token_that_has_no_row_is_named(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(saved_model(tmp_path, 60))
    with pytest.raises(BadInputError, match=r"scoring: a text holds the token 60, but the model has 60 embedding rows"):
        log_likelihoods(model, [ScoredPair([1, 60], [5])], 50, 100)
    with pytest.raises(BadInputError, match="generation: a text holds the token 61"):
        list(generate(model, [[1, 61]], {2}, Limits(2, 50, 2, 100)))


def test_a_row_of_training_with_a_token_that_has_no_row_is_named() -> None:
    tokens = pa.table({"tokens": [[1, 5, 2], [1, 390, 394], [1, 391]], "origin": ["a:1", "a:2", "a:3"]})
    with pytest.raises(BadInputError, match=r"systems\.full: a:2 of mixture 'paper' holds the token 394, but"):
        check_pieces("full", "paper", tokens, (390, 400))
    check_pieces("full", "paper", tokens, (395, 400))


@pytest.mark.slow
def test_a_tokenizer_that_does_not_fit_is_found_at_the_dry_run(make_run: MakeRun, tmp_path: Path) -> None:
    sentencepiece_style(["a cat", "two dogs"], 270).save_pretrained(tmp_path / "tokenizer")
    start = str(saved_model(tmp_path / "small", 200))
    recipe, _ = make_run({"ours": {"start": start, "tokenizer": "extended", "phases": [phase(num_steps=1)]}})
    with pytest.raises(
        BadInputError, match=r"systems\.ours\.start: the model .* has 200 embedding rows, but the token"
    ):
        check_inputs(recipe)


def test_padding_outside_of_the_vocabulary_is_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "model", 60)
    config = read_json(folder / "config.json")
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": 60}))
    with pytest.raises(BadInputError, match=r"pad_token_id 60, but vocab_size 60, so that padding has no row"):
        check_model(str(folder))
