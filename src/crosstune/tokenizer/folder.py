"""Tokenizer folders that plain transformers loads exactly as written: tokenizer.json and its configuration."""

import json
from pathlib import Path
from typing import Any

from crosstune.errors import BadInputError
from crosstune.runs.files import KeyTwiceError, parse_json, write_json, write_text
from crosstune.tokenizer.learn_base import bos_template

TOKENIZER = "tokenizer.json"
CONFIGURATION = "tokenizer_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
ROLES = ("unk_token", "bos_token", "eos_token", "pad_token")
_KEPT = ("model_max_length", "padding_side", "chat_template")


def write_folder(folder: Path, content: dict[str, Any], configuration: dict[str, Any]) -> None:
    """Write a tokenizer folder.

    Raises:
        BadInputError: when it has no EOS token in its vocabulary.
    """
    eos = configuration.get("eos_token")
    known = {token["content"] for token in content["added_tokens"]}
    if eos not in known:
        raise BadInputError(
            f"tokenizer.base: a tokenizer needs an EOS token, so that the model learns to stop, but its eos_token is "
            f"{eos!r} and its added tokens are {sorted(known)}. Set eos_token in {CONFIGURATION} to one "
            "of them."
        )
    write_text(folder / TOKENIZER, json.dumps(_with_short_merges(content), ensure_ascii=False, indent=1) + "\n")
    # One place for the template: readers that know both would have to choose.
    settings = {key: value for key, value in configuration.items() if key != "chat_template"}
    write_json(folder / CONFIGURATION, settings)
    if template := _default_of(configuration.get("chat_template")):
        write_text(folder / CHAT_TEMPLATE, template)


def configuration_of(roles: dict[str, str], kept: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a configuration that makes transformers 4 and 5 use ``tokenizer.json`` as it is.

    The model's own class (LlamaTokenizer) would rebuild normalizer and pre-tokenizer, and not as SentencePiece has
    them; cleaning up spaces would change decoded text.
    """
    return {
        **(kept or {}),
        **roles,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        # A causal model takes no others; transformers 4 would ask it for token_type_ids.
        "model_input_names": ["input_ids", "attention_mask"],
    }


def says_roles(folder: Path) -> bool:
    """Return whether a folder has a file that says which tokens begin and end a text, and its chat template."""
    return any((folder / name).is_file() for name in (CONFIGURATION, "special_tokens_map.json", CHAT_TEMPLATE))


def read_configuration(folder: Path) -> dict[str, Any]:
    """Read what our configuration keeps of a foreign tokenizer folder's."""
    found = {**_optional_json(folder / "special_tokens_map.json"), **_optional_json(folder / CONFIGURATION)}
    roles = {role: _plain(found[role]) for role in ROLES if found.get(role) is not None}
    kept = {key: found[key] for key in _KEPT if found.get(key) is not None}
    template = folder / CHAT_TEMPLATE
    if template.is_file():
        kept["chat_template"] = template.read_text(encoding="utf-8")
    return configuration_of(roles, kept)


def with_bos(content: dict[str, Any], folder: Path, configuration: dict[str, Any]) -> dict[str, Any]:
    """Write into ``tokenizer.json`` the BOS that the folder's own class would add by its ``add_bos_token``."""
    bos = configuration.get("bos_token")
    ids = {token["content"]: token["id"] for token in content["added_tokens"]}
    wanted = _optional_json(folder / CONFIGURATION).get("add_bos_token", False)
    if bos is None or bos not in ids or not wanted or content.get("post_processor") is not None:
        return content
    return content | {"post_processor": bos_template(bos, ids[bos])}


def _with_short_merges(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content with merges as ``"a b"``, which every version of tokenizers reads."""
    merges = [merge if isinstance(merge, str) else tuple(merge) for merge in content["model"].get("merges", ())]
    if not merges or any(" " in piece for merge in merges if isinstance(merge, tuple) for piece in merge):
        return content
    short = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    return content | {"model": content["model"] | {"merges": short}}


def _default_of(template: Any) -> str:
    """Return a chat template, or the one of several named ones that is used by default."""
    if isinstance(template, list):
        template = next((entry["template"] for entry in template if entry.get("name") == "default"), "")
    return str(template or "")


def _plain(token: Any) -> str:
    return str(token["content"]) if isinstance(token, dict) else str(token)


def _optional_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except KeyTwiceError as error:
        raise BadInputError(f"{path} (the tokenizer's settings): {error}. Delete one of them") from None
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"{path} (the tokenizer's settings) is not JSON ({error}). Save the tokenizer again with `save_pretrained`."
        ) from None
    return content
