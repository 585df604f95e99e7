"""Fingerprints: hashes of the settings and inputs that something was made from, and of the format it is made in."""

import hashlib
import json
from typing import Any, Literal

Kind = Literal[
    "world",
    "evaluation set",
    "copy",
    "mixture",
    "filtered text",
    "given tokenizer",
    "base tokenizer",
    "extended tokenizer",
    "fertility",
    "tokens",
    "system",
    "pairs",
    "replay",
    "instructions",
    "answers",
    "scores",
    "scores during training",
    "held-out text",
    "baselines",
    "scored model",
    "translation",
    "stage",
]
# The number of a kind is raised when the same settings and inputs make something else than before, or when what is made
# is written otherwise: what lies in run folders is then made again, and what is made from it. A release that changes
# neither keeps all that was made. The package's version stands in manifests only.
FORMATS: dict[Kind, int] = {
    "world": 1,
    "evaluation set": 3,
    "copy": 1,
    "mixture": 5,
    "filtered text": 3,
    "given tokenizer": 1,
    "base tokenizer": 1,
    "extended tokenizer": 1,
    "fertility": 1,
    "tokens": 2,
    "system": 1,
    "pairs": 2,
    "replay": 1,
    "instructions": 3,
    "answers": 1,
    "scores": 6,
    "scores during training": 1,
    "held-out text": 1,
    "baselines": 1,
    "scored model": 1,
    "translation": 1,
    "stage": 1,
}


def fingerprint(kind: Kind, *parts: Any) -> str:
    """Return a hash of a kind, its format and what it is made from: settings, inputs, fingerprints of other things.

    Equal parts, equal result. Anything that JSON or pydantic can dump is a part.
    """

    def plain(value: Any) -> Any:
        return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)

    text = json.dumps([kind, FORMATS[kind], *parts], sort_keys=True, ensure_ascii=False, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
