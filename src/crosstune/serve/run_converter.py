"""Run llama.cpp's converter on an extended tokenizer, and let it find the pre-tokenizer's name by the base.

The converter knows a pre-tokenizer by the ids of one text, which holds words in Khmer, Chinese and Bulgarian. Where new
pieces are of these, it no longer knows it, though nothing but the vocabulary has changed. It has no option to name one.

A program of its own: `python run_converter.py CONVERTER BASE_TOKENIZER [the converter's arguments]`.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

_ASKED = "get_vocab_base_pre"


def main() -> None:
    """Run the converter with its question after the pre-tokenizer answered by the base."""
    script, base = Path(sys.argv[1]), sys.argv[2]
    sys.argv = [str(script), *sys.argv[3:]]
    # As Python itself does for a script: its own folder comes first, not this one.
    sys.path[0] = str(script.parent)
    converter = importlib.import_module(script.stem)
    for kind in _asking_kinds(script):
        setattr(kind, _ASKED, _answered_by(base, getattr(kind, _ASKED)))
    converter.main()


def _asking_kinds(script: Path) -> set[type]:
    """Return the classes that ask: in the script itself or, in newer versions, in its package."""
    own = [module for module in [*sys.modules.values()] if _is_beside(module, script)]
    return {kind for module in own for kind in vars(module).values() if isinstance(kind, type) and _ASKED in vars(kind)}


def _is_beside(module: Any, script: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and script.parent.resolve() in Path(file).resolve().parents


def _answered_by(base: str, original: Any) -> Any:
    from transformers import AutoTokenizer

    return lambda self, _: original(self, AutoTokenizer.from_pretrained(base))


if __name__ == "__main__":
    main()
