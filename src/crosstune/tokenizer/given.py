"""Take a tokenizer that exists: a folder, a ``.model`` or ``.gguf`` file, or a hub id with its revision."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import snapshot_download
from tokenizers import Tokenizer

from crosstune.errors import BadInputError
from crosstune.recipe import GivenTokenizer
from crosstune.runs.files import KeyTwiceError, parse_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.hashes import hash_file
from crosstune.runs.hub import why_not
from crosstune.tokenizer.equal_to_transformers import refuse_another, roles_of, with_added_tokens
from crosstune.tokenizer.folder import TOKENIZER, configuration_of, read_configuration, says_roles, with_bos
from crosstune.tokenizer.sentencepiece import model as sentencepiece_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FILES = (
    TOKENIZER,
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "config.json",
)


@dataclass(frozen=True)
class TokenizerSource:
    """Where a tokenizer is: ``fetch`` returns its folder or file, from the hub where needed."""

    fingerprint: str
    fetch: Callable[[], Path]


def find(wanted: GivenTokenizer, data_root: Path, setting: str) -> TokenizerSource:
    """Find a tokenizer under the data root or here; without it and with a revision, it is on the hub.

    Raises:
        BadInputError: when it is nowhere.
    """
    candidates = dict.fromkeys((data_root / wanted.path, Path(wanted.path)))
    for candidate in candidates:
        if candidate.exists():
            files = [candidate] if candidate.is_file() else [candidate / name for name in _FILES]
            hashes = [(file.name, hash_file(file)) for file in files if file.is_file()]
            return TokenizerSource(fingerprint("given tokenizer", hashes), partial(Path, candidate))
    if wanted.revision is None:
        raise BadInputError(
            f"{setting}: {wanted.path!r} was not found: nothing is at {' or '.join(map(str, candidates))}. "
            "Give a tokenizer folder, a SentencePiece .model file, a .gguf file, or a hub id together with `revision`."
        )
    return TokenizerSource(
        fingerprint("given tokenizer", wanted.path, wanted.revision),
        partial(_download, wanted.path, wanted.revision, setting),
    )


def load(path: Path, setting: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of its ``tokenizer.json`` and its configuration.

    Raises:
        BadInputError: when it is no tokenizer.
    """
    if path.is_file():
        return _from_file(path, setting)
    if (path / TOKENIZER).is_file():
        content, compiled = _read(path / TOKENIZER)
        configuration = read_configuration(path)
        if not says_roles(path):
            configuration |= roles_of(path, setting)
        refuse_another(path, compiled, configuration, setting)
        return with_bos(content, path, configuration), configuration
    if (path / "tokenizer.model").is_file():
        return _from_folder_with_model(path, setting)
    found = ", ".join(sorted(entry.name for entry in path.iterdir())) or "nothing"
    raise BadInputError(
        f"{setting}: {path} is not a tokenizer folder: it has {found}. It needs {TOKENIZER} (with "
        "tokenizer_config.json) or tokenizer.model: load it once with AutoTokenizer and save it with `save_pretrained`."
    )


def as_loaded(path: Path, setting: str) -> "PreTrainedTokenizerBase":
    """Return it as transformers loads what the tokenizer stage makes of it.

    Raises:
        BadInputError: when it is no tokenizer.
    """
    # Imported here: who has a tokenizer in a .model file needs no transformers.
    from transformers import PreTrainedTokenizerFast

    content, _ = load(path, setting)
    tokenizer = Tokenizer.from_str(json.dumps(content))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, name_or_path=str(path))  # type: ignore[no-untyped-call]


def _from_file(path: Path, setting: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if path.suffix == ".model":
        return _from_model(path)
    if path.suffix.lower() == ".gguf":
        return _from_gguf(path, setting)
    raise BadInputError(
        f"{setting}: {path} is not a tokenizer: it is neither a folder nor a SentencePiece .model file nor a .gguf "
        f"file. Give the folder that holds {TOKENIZER}, or such a file."
    )


def _from_gguf(path: Path, setting: str) -> tuple[dict[str, Any], dict[str, Any]]:
    # Imported here: it loads torch, and who has a tokenizer folder needs none.
    from crosstune.models.gguf import tokenizer as gguf_tokenizer

    try:
        content, settings = gguf_tokenizer.content_of(str(path))
    except BadInputError as error:
        raise BadInputError(f"{setting}: {error}") from None
    return content, configuration_of(settings)


def _from_folder_with_model(path: Path, setting: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the .model file, and what the other files of its folder add to it: tokens, roles, a chat template."""
    content, configuration = _from_model(path / "tokenizer.model")
    content = with_added_tokens(path, content, setting)
    configuration = configuration | read_configuration(path)
    refuse_another(path, Tokenizer.from_str(json.dumps(content)), configuration, setting)
    return with_bos(content, path, configuration), configuration


def _from_model(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    content, roles = sentencepiece_model.convert(path)
    sentencepiece_model.refuse_unequal(path, Tokenizer.from_str(json.dumps(content)))
    return content, configuration_of(roles)


def _read(path: Path) -> tuple[dict[str, Any], Tokenizer]:
    try:
        text = path.read_text(encoding="utf-8")
        compiled = Tokenizer.from_str(text)
    # tokenizers raises plain Exception for whatever it cannot read.
    except Exception as error:
        raise BadInputError(
            f"{path} cannot be read as a tokenizer ({error}). A tokenizer.json of the tokenizers "
            "library is needed: save the tokenizer again with `save_pretrained`."
        ) from None
    try:
        content: dict[str, Any] = parse_json(text)
    except KeyTwiceError as error:
        raise BadInputError(f"{path} cannot be used: {error}. Delete one of them") from None
    return content, compiled


def _download(hub_id: str, revision: str, setting: str) -> Path:
    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(_FILES)))
    # Without a network the client raises the errors of its HTTP library, which is another in every version.
    except Exception as error:
        raise BadInputError(
            f"{setting}: {hub_id!r} is not a path here, so it is taken for a hub id at revision {revision!r}: "
            f"{why_not(error, 'model', hub_id)}"
        ) from None
