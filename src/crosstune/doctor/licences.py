"""Under which license a model's folder says that it stands, and what one must do when a tuned model is released."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from crosstune.doctor.findings import Finding, Verdict, settings
from crosstune.doctor.subject import Subject
from crosstune.models.gguf.header import is_gguf
from crosstune.models.gguf.model import facts_of

_SECTION = "license"
_FRONT_MATTER = re.compile(r"\A﻿?---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "USE_POLICY.md")
_NAMED = "keep its copyright and license text, and say what was changed"
_LLAMA = (
    "give its license text and its use policy along, write `Built with {built}` where people see it, let the new "
    "model's name begin with {begins}, and ask Meta for a license above 700 million monthly users"
)


@dataclass(frozen=True)
class _License:
    """What a license asks of those who release a tuned model.

    Attributes:
        is_free: whether it leaves every use open.
        sign: words by which its text is known.
    """

    duties: str
    is_free: bool
    sign: str = ""


# By the hub's names. Short summaries, no legal advice; the text of the license counts.
_KNOWN = {
    "apache-2.0": _License(f"{_NAMED}; give a NOTICE file along where there is one", True, "apache license"),
    "mit": _License("keep its copyright and license text", True, "mit license"),
    "bsd-3-clause": _License(f"{_NAMED}; do not advertise with its authors' names", True, "redistribution and use"),
    "cc0-1.0": _License("nothing", True, "cc0 1.0"),
    "cc-by-4.0": _License("name its authors, link the license, say what was changed", True, "attribution 4.0"),
    "cc-by-sa-4.0": _License(
        "name its authors, say what was changed, and release under the same license", False, "attribution-sharealike"
    ),
    "cc-by-nc-4.0": _License("no commercial use; name its authors, say what was changed", False, "noncommercial 4.0"),
    "cc-by-nc-sa-4.0": _License(
        "no commercial use; name its authors, and release under the same license", False, "noncommercial-sharealike"
    ),
    "llama2": _License(
        "give its license text, its notice and its use policy along; do not improve other models with its outputs; ask "
        "Meta for a license above 700 million monthly users",
        False,
        "llama 2 community license",
    ),
    "llama3": _License(_LLAMA.format(built="Meta Llama 3", begins="Llama 3"), False, "llama 3 community license"),
    "llama3.1": _License(_LLAMA.format(built="Llama", begins="Llama"), False, "llama 3.1 community license"),
    "llama3.2": _License(_LLAMA.format(built="Llama", begins="Llama"), False, "llama 3.2 community license"),
    "llama3.3": _License(_LLAMA.format(built="Llama", begins="Llama"), False, "llama 3.3 community license"),
    "llama4": _License(_LLAMA.format(built="Llama", begins="Llama"), False, "llama 4 community license"),
    "gemma": _License(
        "give its terms and its use restrictions along, bind those who get the model to them, and mark changed files",
        False,
        "gemma terms of use",
    ),
}
_AS_HUB_NAMES = {"bsd": "bsd-3-clause", "cc-by-nc-2.0": "cc-by-nc-4.0", "cc-by-nc-3.0": "cc-by-nc-4.0"}


def look_at_license(subject: Subject) -> Iterator[Finding]:
    """Read the license from README.md's front matter, or know it by its text."""
    name, where = _named_in_gguf(subject.path)
    if not name:
        name, where = _named_in_readme(subject.folder / "README.md")
    if not name or name in ("other", "unknown"):
        by_text = _known_by_text(subject.folder)
        name, where = by_text if by_text[0] else (name, where)
    if not name:
        says = (
            "not said: neither README.md with a `license` nor a LICENSE file is here. Look it up before you release "
            "what you train"
        )
        yield Finding(_SECTION, "license", "attention", says)
        return
    short = _AS_HUB_NAMES.get(name, name)
    known = _KNOWN.get(short)
    values = {"license": name, "found_in": where}
    if known is None:
        says = f"{name} (in {where}), which crosstune knows nothing of: read it before you release what you train"
        yield Finding(_SECTION, "license", "attention", says, settings(report={"model_license": name}), values)
        return
    values["duties"] = known.duties
    verdict: Verdict = "ok" if known.is_free else "attention"
    says = f"{name} (in {where}). On release: {known.duties}"
    yield Finding(_SECTION, "license", verdict, says, settings(report={"model_license": name}), values)


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
        # The longest sign first: "attribution-noncommercial-sharealike" holds others.
        for name, license in sorted(_KNOWN.items(), key=lambda item: -len(item[1].sign)):
            if license.sign and license.sign in text:
                return name, file
        return "of its own", file
    return "", ""
