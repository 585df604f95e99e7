"""`crosstune doctor MODEL`: everything that a minute can tell of a model, a target language and a GPU."""

from collections.abc import Iterator

from crosstune.doctor.architecture import look_at_architecture
from crosstune.doctor.benchmarks import look_at_benchmarks
from crosstune.doctor.chat import look_at_chat
from crosstune.doctor.cost import look_at_cost
from crosstune.doctor.findings import Finding, worst
from crosstune.doctor.licences import look_at_license
from crosstune.doctor.pieces import Texts, look_at_pieces
from crosstune.doctor.reading import look_at_reading
from crosstune.doctor.subject import Subject
from crosstune.models.process import prepare_libraries
from crosstune.recipe import Languages
from crosstune.terminal.output import console, quiet


def examine(subject: Subject, languages: Languages, texts: Texts, gpu: str = "", num_gpus: int = 1) -> list[Finding]:
    """Look at everything, in the order of a recipe; what cannot be used at all is read and planned no further."""
    prepare_libraries()
    with quiet(console):
        return list(_all(subject, languages, texts, gpu, num_gpus))


def _all(subject: Subject, languages: Languages, texts: Texts, gpu: str, num_gpus: int) -> Iterator[Finding]:
    found = list(look_at_architecture(subject))
    yield from found
    can_be_used = worst(found) != "stop"
    if can_be_used:
        yield from look_at_reading(subject)
    # transformers loads no tokenizer beside a configuration that it cannot read: one fault is told once.
    of_tokenizer = look_at_pieces(subject, languages, texts)
    yield from (finding for finding in of_tokenizer if can_be_used or finding.verdict != "stop")
    if can_be_used:
        yield from look_at_chat(subject)
    yield from look_at_benchmarks(languages)
    if can_be_used:
        yield from look_at_cost(subject, gpu, num_gpus)
    yield from look_at_license(subject)
