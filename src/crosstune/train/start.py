"""What a system starts from: a model from scratch, another system's, a folder's or the hub's, with its tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from crosstune.artifacts import RunFolder, fingerprint_of, hash_model_folder, read_json
from crosstune.errors import BadInputError
from crosstune.models import load_model, load_tokenizer
from crosstune.recipe import Recipe, System
from crosstune.train.new_rows import extend_embeddings, matrices, read_subwords


@dataclass(frozen=True)
class Start:
    """Where a system starts.

    Attributes:
        model: a folder or hub id; empty for a model from scratch.
        revision: of the hub id.
        identity: what the fingerprint of the system takes in.
        tokenizer: the folder of the tokenizer stage.
    """

    model: str
    revision: str | None
    identity: str
    tokenizer: Path


def find_start(recipe: Recipe, run: RunFolder, name: str) -> Start:
    """Find what a system starts from, without loading it."""
    system = recipe.systems[name]
    tokenizer = run.tokenizer(system.tokenizer)
    if system.start == "scratch":
        return Start("", None, "scratch", tokenizer)
    if system.start in recipe.systems:
        facts = read_json(run.system(system.start) / "system.json")
        return Start(facts["model"], facts["revision"], facts["fingerprint"], tokenizer)
    for root in (recipe.data_root, Path()):
        folder = (root or Path()) / system.start
        if folder.is_dir():
            return Start(str(folder), None, hash_model_folder(folder), tokenizer)
    if system.revision is None:
        raise BadInputError(
            f"systems.{name}.start: {system.start!r} is no system of this recipe ({', '.join(recipe.systems)}), no "
            "folder here or under data_root, and a hub id needs a `revision` (a commit), so that a run can be repeated"
        )
    return Start(system.start, system.revision, f"{system.start}@{system.revision}", tokenizer)


def inputs_of(recipe: Recipe, run: RunFolder, name: str, start: Start) -> dict[str, Any]:
    """Return everything that decides how a system turns out, for its fingerprint."""
    system = recipe.systems[name]
    return {
        "system": system.model_dump(mode="json", exclude={"label", "paper_system"}),
        "seed": recipe.seed,
        "precision": recipe.train.precision,
        "start": start.identity,
        "tokenizer": fingerprint_of(start.tokenizer),
        "mixtures": [fingerprint_of(run.mixture(stage.mixture)) for stage in system.stages],
    }


def needs_new_rows(start: Start, system: System) -> bool:
    """Return whether the model that a system starts from has fewer rows than the system's tokenizer has pieces."""
    if system.tokenizer == "base" or not start.model:
        return False
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(start.model, revision=start.revision, trust_remote_code=False)
    return bool(config.vocab_size < read_subwords(start.tokenizer).new_size)


def build_model(start: Start, system: System, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model, with rows for every piece of the tokenizer, and the tokenizer.

    Raises:
        BadInputError: when the model has fewer rows than the base tokenizer has pieces.
    """
    tokenizer = load_tokenizer(str(start.tokenizer))
    if not start.model:
        return _from_scratch(system, tokenizer, seed), tokenizer
    model = load_model(start.model, start.revision)
    num_rows = matrices(model)[0].shape[0]
    if system.tokenizer == "extended" and num_rows < len(tokenizer):
        subwords = read_subwords(start.tokenizer)
        if num_rows < subwords.old_size:
            raise BadInputError(_too_few_rows(start, num_rows, subwords.old_size))
        extend_embeddings(model, subwords, system.new_rows, seed)
    elif num_rows < len(tokenizer):
        raise BadInputError(_too_few_rows(start, num_rows, len(tokenizer)))
    return model, tokenizer


def _too_few_rows(start: Start, num_rows: int, num_pieces: int) -> str:
    return (
        f"the model {start.model} has {num_rows} embedding rows, but the tokenizer {start.tokenizer} has {num_pieces} "
        "pieces: they do not belong together. Set tokenizer.base to the model's own tokenizer."
    )


def _from_scratch(system: System, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    shape = system.architecture
    assert shape is not None
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden_size,
            num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads,
            num_key_value_heads=shape.num_heads,
            intermediate_size=shape.intermediate_size,
            max_position_embeddings=shape.max_positions,
            tie_word_embeddings=shape.tie_embeddings,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
