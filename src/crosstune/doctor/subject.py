"""The model that is examined: its files, its configuration, and what can be known of it without weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from transformers import AutoModelForCausalLM, PreTrainedModel

from crosstune.errors import BadInputError
from crosstune.models import wrappers
from crosstune.models.folder import holds_weights, refuse_bad_config
from crosstune.models.gguf.header import is_gguf
from crosstune.models.load import check_model, load_config
from crosstune.models.shapes import shapes_only
from crosstune.runs.files import KeyTwiceError, parse_json
from crosstune.runs.hub import why_not

# All that is small: what is in no folder here is fetched without weights.
_SMALL_FILES = ("*.json", "*.jinja", "*.model", "README.md", "LICENSE*", "NOTICE*")


@dataclass(frozen=True)
class Subject:
    """A model as it lies in a folder, whole or without weights, or in a GGUF file.

    Attributes:
        name: what the user called it.
        path: a folder with at least config.json, or the file.
        revision: of a hub id.
    """

    name: str
    path: Path
    revision: str | None = None

    @property
    def pinned(self) -> dict[str, str]:
        """What a recipe says besides its name."""
        return {"revision": self.revision} if self.revision else {}

    @property
    def folder(self) -> Path:
        """Where its README lies."""
        return self.path if self.path.is_dir() else self.path.parent

    @cached_property
    def content(self) -> dict[str, Any]:
        """The configuration as it is written."""
        if self.path.is_file():
            return dict(load_config(str(self.path)).to_dict())
        try:
            found = parse_json((self.folder / "config.json").read_text(encoding="utf-8"))
        except KeyTwiceError as error:
            raise BadInputError(f"{self.folder / 'config.json'}: {error}. Delete one of them") from None
        except (OSError, ValueError) as error:
            raise BadInputError(f"{self.folder / 'config.json'} is not JSON ({error}): copy it again") from None
        if not isinstance(found, dict):
            raise BadInputError(f"{self.folder / 'config.json'} is not a JSON object: copy it again")
        return found

    @cached_property
    def config(self) -> Any:
        """The configuration of the text model.

        Raises:
            BadInputError: when it is of no model that can be used.
        """
        refuse_bad_config(self.content, str(self.path))
        return wrappers.text_config(load_config(str(self.path)))

    @cached_property
    def has_weights(self) -> bool:
        """Whether files of weights are there."""
        return self.path.is_file() or holds_weights(self.folder)

    @cached_property
    def without_weights(self) -> PreTrainedModel:
        """The text model on the meta device; where weights are there, their names and shapes were checked.

        Raises:
            BadInputError: when transformers cannot build it, or the weights are others.
        """
        _ = self.config
        if self.has_weights:
            return check_model(str(self.path))
        config = load_config(str(self.path))
        loader: Any = wrappers.loader_of(config) or AutoModelForCausalLM
        try:
            with shapes_only():
                whole = loader.from_config(config)
        # Each architecture checks its configuration in a way of its own.
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise BadInputError(
                f"transformers cannot build a model of {self.folder / 'config.json'} ({type(error).__name__}: "
                f"{reason}): copy the file again, or update transformers"
            ) from None
        return wrappers.text_model(whole, str(self.folder))

    @property
    def num_weights(self) -> int:
        """The number of parameters."""
        return sum(weight.numel() for weight in self.without_weights.parameters())

    @property
    def is_part(self) -> bool:
        """Whether the text model is taken out of one for text and pictures."""
        return wrappers.is_part(self.without_weights)


def find_subject(name: str, revision: str | None) -> Subject:
    """Find a model: a folder with at least config.json, or a hub id, of which everything but the weights is fetched.

    Raises:
        BadInputError: when it is nowhere.
    """
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:10]) or "nothing"
            raise BadInputError(
                f"{name} is not a model folder: it needs config.json, and tokenizer.json or tokenizer.model; found: "
                f"{found}"
            )
        return Subject(name, folder)
    if is_gguf(name):
        return Subject(name, folder)
    if folder.exists():
        raise BadInputError(f"{name} is a file, not a model: give the folder with config.json, or a .gguf file")
    try:
        fetched = snapshot_download(name, revision=revision, allow_patterns=list(_SMALL_FILES))
    # Without a network the client raises the errors of its HTTP library, which is another in every version.
    except Exception as error:
        raise BadInputError(
            f"{name!r} is not a model folder or a .gguf file here, so it is taken for a hub id: "
            f"{why_not(error, 'model', name)}"
        ) from None
    # The commit, also where a branch was named: what a recipe gets from here is repeatable.
    return Subject(name, Path(fetched), Path(fetched).name)


def named_sizes(config: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a configuration says of lengths: positions, windows, chunks."""
    for name in ("max_position_embeddings", "sliding_window", "attention_chunk_size"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            yield name, value
