"""The model folder that training leaves: plain transformers, with its tokenizer."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from crosstune.models.chat_template import source_of, write_chat_template
from crosstune.models.finite import refuse_not_finite
from crosstune.models.plain import own_attention
from crosstune.models.stop_tokens import stop_tokens
from crosstune.models.wrappers import save_whole
from crosstune.runs.files import put_in_place, write_json
from crosstune.runs.folder import TRANSLATION_INSTRUCTIONS
from crosstune.train.error_messages import disk_advice


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    instructions: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Write a plain model folder, aside and renamed, that transformers loads and generates from greedily.

    ``instructions`` ask for a translation, by direction and by the language that they are in.

    Raises CrosstuneError when it cannot be written; one that was there before is kept.
    """
    refuse_not_finite(model, f"what would be saved as {folder}", "It is not written; earlier checkpoints are kept")
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.set_attn_implementation(own_attention(model))
    model.eval()  # type: ignore[no-untyped-call]
    stops = sorted(stop_tokens(model, tokenizer))
    eos = stops if len(stops) > 1 else stops[0]
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id, eos_token_id=eos, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    with disk_advice(f"the model folder {folder}", temporary):
        save_whole(model, temporary)
        copy_tokenizer(tokenizer, temporary)
        if instructions:
            write_json(temporary / TRANSLATION_INSTRUCTIONS, instructions)
    put_in_place(temporary, folder)


def copy_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Put a tokenizer's files, and its chat template, beside a model."""
    # Copied, not saved anew: transformers 5 would write a tokenizer class that transformers 4 does not know.
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(Path(tokenizer.name_or_path) / name, folder / name)
    slow = Path(tokenizer.name_or_path) / "tokenizer.model"
    if slow.exists():
        shutil.copyfile(slow, folder / slow.name)
    if tokenizer.chat_template:
        write_chat_template(folder, source_of(tokenizer))
