"""Under which license a model's folder or GGUF file says that it stands."""

import re
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from crosstune.models.gguf.header import is_gguf
from crosstune.models.gguf.model import facts_of

_FRONT_MATTER = re.compile(r"\A﻿?---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "USE_POLICY.md")
# A license says in its first lines which one it is; further down it may name others, of what it holds or is based on.
_TITLE_CHARACTERS = 300
_NO_TITLE = r"(?<!based on )(?<!based on the )(?<!under )(?<!under the )(?<!under an )"
# Words by which a license's text is known, by the hub's names.
_SIGNS = {
    "apache-2.0": "apache license",
    "mit": "mit license",
    "bsd-3-clause": "bsd 3-clause",
    "cc0-1.0": "cc0 1.0",
    "cc-by-4.0": "attribution 4.0",
    "cc-by-sa-4.0": "attribution-sharealike 4.0",
    "cc-by-nc-4.0": "noncommercial 4.0",
    "cc-by-nc-sa-4.0": "noncommercial-sharealike 4.0",
    "llama2": "llama 2 community license",
    "llama3": "llama 3 community license",
    "llama3.1": "llama 3.1 community license",
    "llama3.2": "llama 3.2 community license",
    "llama3.3": "llama 3.3 community license",
    "llama4": "llama 4 community license",
    "gemma": "gemma terms of use",
}
# https://huggingface.co/docs/hub/repositories-licenses; a card with another name is refused or shown without a license.
_OF_THE_HUB = """
afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-
by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 fair-noncommercial-
research-license gemma gfdl gpl gpl-2.0 gpl-3.0 grok2-community h-research intel-research isc lgpl lgpl-2.1 lgpl-3.0
lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1
openmdw-1.0 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib
"""


def on_a_card(name: str) -> dict[str, str]:
    """Return a license as the front matter of a model card gives it: one that the hub has no name for is ``other``."""
    return {"license": name} if name in _OF_THE_HUB.split() else {"license": "other", "license_name": name}


def license_of(path: Path) -> tuple[str, str]:
    """Return the license's name and the file that says it, both empty where none does.

    A GGUF file says it itself; a folder in README.md's front matter, or by the text of its license.
    """
    folder = path.parent if path.is_file() else path
    name, where = _named_in_gguf(path)
    if not name:
        name, where = _named_in_readme(folder / "README.md")
    if not name or name in ("other", "unknown"):
        by_text = _known_by_text(folder)
        name, where = by_text if by_text[0] else (name, where)
    return name, where


def _named_in_gguf(path: Path) -> tuple[str, str]:
    name = str(facts_of(str(path))["license"]).strip().lower() if is_gguf(path) else ""
    return name, path.name if name else ""


def _named_in_readme(readme: Path) -> tuple[str, str]:
    if not readme.is_file():
        return "", ""
    match = _FRONT_MATTER.match(readme.read_text(encoding="utf-8", errors="replace"))
    try:
        facts = YAML(typ="safe", pure=True).load(match[1]) if match else None
    except YAMLError:
        return "", ""
    if not isinstance(facts, dict):
        return "", ""
    found = facts.get("license")
    found = found[0] if isinstance(found, list) and found else found
    if str(found) == "other" and facts.get("license_name"):
        found = facts["license_name"]
    return (str(found).strip().lower(), "README.md") if found else ("", "")


def _known_by_text(folder: Path) -> tuple[str, str]:
    for file in _FILES:
        if not (folder / file).is_file():
            continue
        text = " ".join((folder / file).read_text(encoding="utf-8", errors="replace")[:3000].lower().split())
        # A policy names the license that it belongs to anywhere.
        text = text if file == "USE_POLICY.md" else text[:_TITLE_CHARACTERS]
        if "redistribution and use" in text:
            return "bsd-3-clause" if _has_third_clause(folder / file) else "bsd-2-clause", file
        # The longest sign first: "attribution-noncommercial-sharealike" holds others.
        for name, sign in sorted(_SIGNS.items(), key=lambda item: -len(item[1])):
            if re.search(_NO_TITLE + re.escape(sign), text):
                return name, file
        # By the hub's name for licenses that it has no name for, which a model card may say.
        return "other", file
    return "", ""


def _has_third_clause(file: Path) -> bool:
    """Return whether a BSD license's text, whose title many copies leave out, forbids to advertise with its authors."""
    return "neither the name" in " ".join(file.read_text(encoding="utf-8", errors="replace").lower().split())
