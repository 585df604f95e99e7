"""Under which license a model's folder says that it stands, and what one must do when a tuned model is released."""

from collections.abc import Iterator
from dataclasses import dataclass

from crosstune.doctor.findings import Finding, Verdict, settings
from crosstune.doctor.subject import Subject
from crosstune.models.licences import license_of

_SECTION = "license"
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
    """

    duties: str
    is_free: bool


# By the hub's names. Short summaries, no legal advice; the text of the license counts.
_KNOWN = {
    "apache-2.0": _License(f"{_NAMED}; give a NOTICE file along where there is one", True),
    "mit": _License("keep its copyright and license text", True),
    "bsd-3-clause": _License(f"{_NAMED}; do not advertise with its authors' names", True),
    "bsd-2-clause": _License(_NAMED, True),
    "cc0-1.0": _License("nothing", True),
    "cc-by-4.0": _License("name its authors, link the license, say what was changed", True),
    "cc-by-sa-4.0": _License("name its authors, say what was changed, and release under the same license", False),
    "cc-by-nc-4.0": _License("no commercial use; name its authors, say what was changed", False),
    "cc-by-nc-sa-4.0": _License("no commercial use; name its authors, and release under the same license", False),
    "llama2": _License(
        "give its license text, its notice and its use policy along; do not improve other models with its outputs; ask "
        "Meta for a license above 700 million monthly users",
        False,
    ),
    "llama3": _License(_LLAMA.format(built="Meta Llama 3", begins="Llama 3"), False),
    "llama3.1": _License(_LLAMA.format(built="Llama", begins="Llama"), False),
    "llama3.2": _License(_LLAMA.format(built="Llama", begins="Llama"), False),
    "llama3.3": _License(_LLAMA.format(built="Llama", begins="Llama"), False),
    "llama4": _License(_LLAMA.format(built="Llama", begins="Llama"), False),
    "gemma": _License(
        "give its terms and its use restrictions along, bind those who get the model to them, and mark changed files",
        False,
    ),
}
_AS_HUB_NAMES = {"bsd": "bsd-3-clause", "cc-by-nc-2.0": "cc-by-nc-4.0", "cc-by-nc-3.0": "cc-by-nc-4.0"}


def look_at_license(subject: Subject) -> Iterator[Finding]:
    """Read the license from README.md's front matter, or know it by its text."""
    name, where = license_of(subject.path)
    if not name:
        says = (
            "not said: neither README.md with a `license` nor a LICENSE file is here. Look it up before you release "
            "what you train"
        )
        yield Finding(_SECTION, "license", "attention", says)
        return
    known = _KNOWN.get(_AS_HUB_NAMES.get(name, name))
    values = {"license": name, "found_in": where}
    if known is None:
        says = f"{name} (in {where}), which crosstune knows nothing of: read it before you release what you train"
        yield Finding(_SECTION, "license", "attention", says, settings(report={"model_license": name}), values)
        return
    values["duties"] = known.duties
    verdict: Verdict = "ok" if known.is_free else "attention"
    says = f"{name} (in {where}). On release: {known.duties}"
    yield Finding(_SECTION, "license", verdict, says, settings(report={"model_license": name}), values)
