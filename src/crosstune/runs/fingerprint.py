"""Fingerprints of settings and inputs, and hashes of files."""

import hashlib
import json
from pathlib import Path
from typing import Any

from crosstune import __version__
from crosstune.runs.folder import MODEL_CARD


def fingerprint(*parts: Any) -> str:
    """Return a hash of settings and inputs: equal parts, equal result. Anything JSON or pydantic can dump is a part."""

    def plain(value: Any) -> Any:
        return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)

    text = json.dumps([__version__, *parts], sort_keys=True, ensure_ascii=False, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_model_folder(folder: Path) -> str:
    """Return a hash of a model folder: small files by content, weights by name, size and time (they are gigabytes).

    The model card is left out: it is written again whenever the model is scored.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MODEL_CARD):
        status = path.stat()
        content = hash_file(path) if status.st_size < 32_000_000 else f"{status.st_size} {status.st_mtime_ns}"
        digest.update(f"{path.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()
