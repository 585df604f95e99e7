"""`crosstune export`: a model as plain safetensors in a chosen precision, adapters merged; or as GGUF."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from transformers import PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models.chat_template import source_of, special_tokens, write_chat_template
from crosstune.models.finite import refuse_not_finite
from crosstune.models.folder import refuse_changed
from crosstune.models.jinja_templates import refuse_failing
from crosstune.models.load import load_model, load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.models.wrappers import save_whole
from crosstune.prompts.templates import TEMPLATES
from crosstune.runs.files import put_in_place, read_json, sync
from crosstune.runs.folder import TRANSLATION_INSTRUCTIONS
from crosstune.runs.hashes import MODEL_CARD
from crosstune.runs.lock import only_writer_of
from crosstune.serve import adapters, run_converter
from crosstune.terminal.output import note
from crosstune.tokenizer.llama_cpp import BRANCH, NO_ORDER, reason_against, write_base
from crosstune.tokenizer.sentencepiece import file as sentencepiece_file

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "float16": torch.float16}
Dtype = Literal["float32", "bf16", "float16"]
_SIZE = re.compile(r"(?!0+(?:\.0*)?\D)[0-9]+(?:\.[0-9]+)? ?[KMGT]B", re.IGNORECASE)
_CONVERTER = "convert_hf_to_gguf.py"
# Beside these, those that a tokenizer's class names: vocab.json and merges.txt, or a model of SentencePiece.
_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "chat_template.jinja"),
    *("special_tokens_map.json", "added_tokens.json", "tekken.json"),
)
_OTHER_FILES = (MODEL_CARD, TRANSLATION_INSTRUCTIONS)


def export(model: str, target: Path, dtype: Dtype, max_shard_size: str, prompt: str | None = None) -> None:
    """Write a model folder that transformers, vLLM and converters take as it is.

    ``model`` is a model folder, a GGUF file, a folder of peft adapters (they are merged into their base), or a hub id;
    ``target`` does not exist yet; ``max_shard_size`` limits one safetensors file, as ``5GB``; ``prompt`` names the
    template to write as chat template in place of the model's own.

    Raises:
        BadInputError: when the model cannot be loaded, the target is there already, or the size is none.
    """
    if not _SIZE.fullmatch(max_shard_size):
        raise BadInputError(f"--max-shard-size {max_shard_size!r} is no size: write a number and MB or GB, as 5GB")
    with _written_aside(target) as temporary:
        _write_folder(model, temporary, dtype, max_shard_size, prompt)
        put_in_place(temporary, target)
    files = sorted(target.glob("*.safetensors"))
    size = sum(file.stat().st_size for file in files) / 1e9
    note(f"{target}: {len(files)} safetensors file{'s' * (len(files) > 1)}, {size:.2f} GB in {dtype}")


def _write_folder(model: str, folder: Path, dtype: Dtype, max_shard_size: str, prompt: str | None) -> None:
    prepare_libraries()
    tokenizer = load_tokenizer(model)
    if prompt is None and tokenizer.chat_template:
        refuse_failing(source_of(tokenizer), special_tokens(tokenizer), model)
    loaded = _load(model, DTYPES[dtype])
    refuse_not_finite(loaded, "what would be exported", "Nothing is written: look at how the model was made")
    save_whole(loaded, folder, max_shard_size=max_shard_size)
    source = Path(model)
    if source.is_dir():
        # Copied, not saved anew: transformers 5 would write a tokenizer class that transformers 4 does not know.
        for name in {*_TOKENIZER_FILES, *tokenizer.vocab_files_names.values(), *_OTHER_FILES}:
            if (source / name).exists():
                shutil.copyfile(source / name, folder / name)
    else:
        tokenizer.save_pretrained(folder)
    if prompt is not None:
        tokenizer.chat_template = TEMPLATES[prompt].chat_template()
    if tokenizer.chat_template:
        write_chat_template(folder, source_of(tokenizer))


def export_gguf(model: Path, target: Path, dtype: Dtype, converter: Path | None) -> None:
    """Write a GGUF file with llama.cpp's own converter.

    Raises:
        BadInputError: when the converter or its library is not there, or refuses the model, or would write a tokenizer
            that cuts text in other pieces than the model's own.
    """
    _refuse_existing(target)
    if not model.is_dir():
        raise BadInputError(f"--gguf needs a model folder, and {model} is not one: export it first without --gguf")
    refuse_changed(model)
    script = converter or _find_converter()
    if script is None or not script.is_file() or importlib.util.find_spec("gguf") is None:
        lacking = (
            f"{script} is no file"
            if script and not script.is_file()
            else f"{_CONVERTER} or the library gguf is missing"
        )
        raise BadInputError(
            f"GGUF is written by llama.cpp's converter, but {lacking}. Do: pip install gguf; git clone "
            "https://github.com/ggml-org/llama.cpp; then give --converter llama.cpp/" + _CONVERTER
        )
    _refuse_a_tokenizer_that_would_cut_otherwise(model)
    kind = {"float32": "f32", "bf16": "bf16", "float16": "f16"}[dtype]
    with _written_aside(target) as temporary:
        arguments = [str(model), "--outfile", str(temporary), "--outtype", kind]
        _run_converter(script, model, arguments)
        sync(temporary)
        temporary.rename(target)
    note(f"{target}: {target.stat().st_size / 1e9:.2f} GB in {kind}")


def _run_converter(script: Path, model: Path, arguments: list[str]) -> None:
    with TemporaryDirectory() as scratch:
        base = Path(scratch) / "base"
        program = [str(script)]
        if write_base(model, base):
            program = [str(Path(run_converter.__file__)), str(script), str(base)]
        done = subprocess.run([sys.executable, *program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BadInputError(f"{script} could not convert {model}: {_reason(done.stderr)}")


def _reason(said: str) -> str:
    if "pre-tokenizer was not recognized" in said:
        return (
            "it does not know the pre-tokenizer of this model's base by name. Take a newer llama.cpp, or serve the "
            "folder as it is, with vLLM or transformers"
        )
    return said.strip()[-600:]


def _load(model: str, dtype: torch.dtype) -> PreTrainedModel:
    is_adapter = (Path(model) / adapters.CONFIG).exists()
    return adapters.merged(Path(model), dtype) if is_adapter else load_model(model, dtype=dtype)


@contextmanager
def _written_aside(target: Path) -> Iterator[Path]:
    """Yield where a target that is not there yet is written, alone, until it is whole.

    Raises:
        BadInputError: when the target is there already.
        RunFolderError: when another process writes it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    with only_writer_of(target, "give another path"):
        _refuse_existing(target)
        _remove(temporary)
        try:
            yield temporary
        finally:
            # What is half written would keep a full disk full.
            _remove(temporary)


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise BadInputError(f"{target} already exists and is not overwritten: remove it, or give another path")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _refuse_a_tokenizer_that_would_cut_otherwise(model: Path) -> None:
    """Stop where the converter would lose the order of the merges, or a branch of the pre-tokenizer.

    It takes a tokenizer of SentencePiece's kind (byte fallback) from tokenizer.model. Where that is missing it reads
    the pieces from tokenizer.json and gives all of them one score: llama.cpp then joins them from left to right.
    """
    path, slow = model / "tokenizer.json", model / "tokenizer.model"
    content = read_json(path) if path.exists() else {"model": {}}
    settings = content["model"]
    if reason := reason_against(content, slow.exists()):
        remedy = {
            BRANCH: "Train again without that setting",
            NO_ORDER: "Set tokenizer.extension.write_sentencepiece: true (the base needs a tokenizer.model, as LLaMA-2 "
            "has it) and train again",
        }[reason]
        raise BadInputError(
            f"GGUF of {model} would tokenize text differently from training: {reason}. {remedy}; or "
            "serve the folder as it is, with vLLM or transformers"
        )
    if not settings.get("byte_fallback"):
        return
    pieces = [piece.text for piece in sentencepiece_file.read(slow).pieces]
    known = {text: index for text, index in settings["vocab"].items() if index < len(pieces)}
    if len(settings["vocab"]) != len(pieces) or known != {text: index for index, text in enumerate(pieces)}:
        raise BadInputError(
            f"{slow} holds {len(pieces)} pieces that are not the {len(settings['vocab'])} of {path.name}, but those of "
            "another tokenizer, and llama.cpp's converter would read it. Set tokenizer.extension.write_sentencepiece: "
            "true, and train again"
        )


def _find_converter() -> Path | None:
    found = shutil.which(_CONVERTER)
    return Path(found) if found else None
