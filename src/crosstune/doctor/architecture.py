"""What the configuration says: architecture, size, lengths, and whether it can be trained and scored at all."""

from collections.abc import Iterator

from crosstune.doctor.findings import Finding, settings
from crosstune.doctor.subject import Subject, named_sizes
from crosstune.errors import BadInputError

_SECTION = "model"
_SHORT_CONTEXT = 1024


def look_at_architecture(subject: Subject) -> Iterator[Finding]:
    """Look at the configuration, and at the names and shapes of weights where they are there.

    One finding with the verdict ``stop`` where the model cannot be used.
    """
    try:
        model = subject.without_weights
    except BadInputError as error:
        yield Finding(_SECTION, "architecture", "stop", str(error))
        return
    kind, size = str(subject.content.get("model_type")), subject.num_weights
    taken = ", the text model of a multimodal model: extracted for training, put back when saved"
    says = f"{type(model).__name__} ({kind}), {size / 1e6:,.0f}M parameters{taken if subject.is_part else ''}"
    values = {"class": type(model).__name__, "model_type": kind, "num_parameters": size, "is_part": subject.is_part}
    start = {"start": subject.name, "tokenizer": "base", **subject.pinned}
    yield Finding(_SECTION, "architecture", "ok", says, settings(systems={"base": start}), values)
    says = (
        "checked: names and shapes match the configuration"
        if subject.has_weights
        else ("not here, only the configuration: the checks below run without them")
    )
    yield Finding(
        _SECTION,
        "weights",
        "ok" if subject.has_weights else "attention",
        says,
        values={"are_there": subject.has_weights},
    )
    yield from _lengths(subject)


def _lengths(subject: Subject) -> Iterator[Finding]:
    sizes = dict(named_sizes(subject.config))
    context = sizes.get("max_position_embeddings")
    if context is None:
        yield Finding(_SECTION, "context", "ok", "no limit in the configuration", values=sizes)
        return
    others = "".join(f", {name} {value:,}" for name, value in sizes.items() if name != "max_position_embeddings")
    is_short = context < _SHORT_CONTEXT
    says = f"{context:,} tokens{others}" + ("; longer rows cannot be read" if is_short else "")
    setting = settings(systems={"ours": {"phases": [{"max_length_tokens": context}]}}) if is_short else ""
    yield Finding(_SECTION, "context", "attention" if is_short else "ok", says, setting, sizes)
