"""The self-test of packed rows, scoring and slots on the model that is examined, or on a small copy of it."""

from collections.abc import Iterator

import torch
from transformers import PreTrainedModel

from crosstune.doctor.findings import Finding
from crosstune.doctor.subject import Subject
from crosstune.errors import BadInputError
from crosstune.models.load import load_model
from crosstune.models.paths import Path, path_of
from crosstune.models.process import prepare_libraries
from crosstune.models.references import Use
from crosstune.models.small_copy import BYTES_PER_WEIGHT, NoSmallCopyError, most_weights, small_copy
from crosstune.runs.provenance import free_memory
from crosstune.terminal.output import console, quiet

_SECTION = "reading rows"
_USES: tuple[Use, ...] = ("training", "scoring", "generation")
# A minute on two cores: training's test alone runs a dozen passes over 64 tokens.
_MOST_WEIGHTS_ON_CPU = 1.5e9
_MEANS = {
    "packed": "packed rows equal plain transformers: the fast path is used",
    "right-padded": "packed rows differ from plain transformers, so rows are read right-padded: exact but slower",
    "one by one": "packed rows differ from plain transformers, so rows are read one by one: exact but much slower",
}


def look_at_reading(subject: Subject) -> Iterator[Finding]:
    """Test in which way the model reads rows: on its weights where they fit, else on a small copy at random."""
    prepare_libraries()
    room = free_memory()
    try:
        model, on_what = _model(subject, room)
    # What transformers raises for a configuration that is made smaller is as manifold as its architectures.
    except NoSmallCopyError as error:
        needed = subject.num_weights * BYTES_PER_WEIGHT / 1e9
        says = (
            f"not tested: the weights need {needed:.0f} GB with gradients, {room / 1e9:.0f} GB are free, and {error}. "
            "Training runs the test when it starts"
        )
        yield Finding(_SECTION, "self-test", "attention", says)
        return
    except Exception as error:
        reason = str(error) if isinstance(error, BadInputError) else f"{type(error).__name__}: {error}"
        is_fault = isinstance(error, BadInputError) and subject.has_weights
        says = reason if is_fault else f"not tested: no small copy can be made of this configuration ({reason})"
        yield Finding(_SECTION, "self-test", "stop" if is_fault else "attention", says)
        return
    yield Finding(_SECTION, "tested on", "ok", on_what)
    for use in _USES:
        yield _tested(model, use)


def _model(subject: Subject, room: float) -> tuple[PreTrainedModel, str]:
    num_weights = subject.num_weights
    has_gpu = torch.cuda.is_available()
    on_gpu = has_gpu and num_weights * BYTES_PER_WEIGHT < torch.cuda.mem_get_info()[0]
    fits = num_weights * BYTES_PER_WEIGHT < room and (on_gpu or num_weights < _MOST_WEIGHTS_ON_CPU)
    device = torch.device("cuda" if has_gpu else "cpu")
    if subject.has_weights and fits:
        model = load_model(str(subject.path)).to(device if on_gpu else "cpu")  # type: ignore[arg-type]
        return model, f"the model's own weights, in float32, on {model.device.type}"
    why = "do not fit here" if subject.has_weights else "are not here"
    copied = small_copy(subject.config, most_weights())
    num_layers = getattr(copied.config, "num_hidden_layers", "few")
    says = (
        f"a small copy of the architecture with {num_layers} layers and random weights, because the model's own {why}"
    )
    return copied.to(device), says  # type: ignore[arg-type]


def _tested(model: PreTrainedModel, use: Use) -> Finding:
    try:
        with quiet(console):
            path = path_of(model, use)
    except BadInputError as error:
        return Finding(_SECTION, use, "stop", str(error))
    except Exception as error:
        return Finding(_SECTION, use, "stop", f"the model cannot be read: {type(error).__name__}: {error}")
    return Finding(_SECTION, use, "ok" if path.way == "packed" else "attention", _says(path), values=path.facts())


def _says(path: Path) -> str:
    # What the way was taken for: its own difference where it is packed, that of packed rows where it is not.
    name, found = path.tried[-1] if path.way == "packed" else path.tried[0]
    return f"{_MEANS[path.way]} ({name}: {found})"
