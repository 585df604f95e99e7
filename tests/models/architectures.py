"""A tiny configuration of every architecture with causal attention or state that transformers knows, by its name there.

``python -m tests.models.architectures`` measures them all and writes docs/models.md, ``page`` without measuring.
"""

import copy
import json
import sys
import textwrap
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from crosstune.errors import BadInputError
from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.evaluate.scoring import ScoredPair, log_likelihoods
from crosstune.models.paths import path_of
from crosstune.models.process import prepare_libraries
from crosstune.models.self_test import amplified
from crosstune.train.loss import summed_loss
from crosstune.train.rows import Segment
from tests.models.tiny_shapes import OTHERS, SHAPE, SIZE, VARIANTS

RESULTS = Path(__file__).parent / "architectures.json"
NOT_MEASURED: dict[str, list[str]] = json.loads((Path(__file__).parent / "not_measured.json").read_text("utf-8"))
# What the page says beside what is measured.
REST = Path(__file__).parent / "models_page.md"
PAGE = Path(__file__).parents[2] / "docs" / "models.md"


@dataclass(frozen=True)
class Row:
    """How an architecture is read in each use, and how far that is from plain transformers.

    Attributes:
        reason: why it could not be measured.
    """

    name: str
    training: str = ""
    scoring: str = ""
    generation: str = ""
    loss: float = 0.0
    gradient: float = 0.0
    log_likelihood: float = 0.0
    equal_answers: int = 0
    reason: str = ""

    @property
    def is_exact(self) -> bool:
        return not self.reason and max(self.loss, self.log_likelihood) < 1e-4 and self.gradient < 2e-3


def names() -> list[str]:
    """Return every architecture of the matrix: those of transformers, and variants of some."""
    listed = {name for names in NOT_MEASURED.values() for name in names}
    return sorted({*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *VARIANTS} - listed)


def build(name: str) -> PreTrainedModel:
    """Return a tiny model of an architecture, its weights large enough for attention to matter."""
    architecture, others = VARIANTS.get(name, (name, OTHERS.get(name, {})))
    config_class = CONFIG_MAPPING[architecture]
    known = {field.name: field.default for field in fields(config_class)} if is_dataclass(config_class) else {}
    shape = {key: value for key, value in SHAPE.items() if key in known}
    if known.get("sliding_window") is None:
        shape.pop("sliding_window", None)  # A model that has none by default.
    if "kv_lora_rank" in known:
        shape["num_key_value_heads"] = 4  # Latent attention has as many.
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config_class(**{**shape, **others}))
    copied = amplified(model.eval())
    assert copied is not None
    return copied  # type: ignore[return-value]


def measure(name: str) -> Row:
    """Train, score and generate with a tiny model by crosstune, and by plain transformers row by row."""
    try:
        plain = build(name)
        with torch.no_grad():
            plain(input_ids=torch.arange(3, 20)[None])
    except Exception as error:
        return Row(name, reason=f"transformers cannot build or run it tiny: {type(error).__name__}")
    ours = copy.deepcopy(plain)
    try:
        loss, gradient = _training(ours, plain)
        log_likelihood, equal = _scoring(ours, plain), _generation(ours, plain)
    except BadInputError as error:
        return Row(name, reason=f"refused: {str(error).partition(' (')[0]}")
    except Exception as error:
        return Row(name, reason=f"ends in an error: {type(error).__name__}: {str(error)[:80]}")
    ways = [path_of(ours, use).way for use in ("training", "scoring", "generation")]
    return Row(name, *ways, loss, gradient, log_likelihood, equal)


def _rows() -> list[list[int]]:
    generator = np.random.default_rng(3)
    shared = generator.integers(3, SIZE - 1, size=11).tolist()
    return [
        *(shared + generator.integers(3, SIZE - 1, size=length).tolist() for length in (29, 7, 12)),
        generator.integers(3, SIZE - 1, size=18).tolist(),
    ]


def _training(ours: PreTrainedModel, plain: PreTrainedModel) -> tuple[float, float]:
    segments = [Segment(tuple(row), 6, 1, "ko", "a") for row in _rows()]
    found = summed_loss(ours, segments, torch.device("cpu")).total
    found.backward()
    expected = torch.zeros(())
    for segment in segments:
        tokens = torch.tensor([segment.tokens])
        logits = plain(input_ids=tokens, use_cache=False).logits[0, segment.num_prompt - 1 : -1].float()
        expected = expected + torch.nn.functional.cross_entropy(logits, tokens[0, 6:], reduction="sum")
    expected.backward()
    pairs = [
        (one.grad if one.grad is not None else torch.zeros_like(one), other.grad)
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True)
        if other.grad is not None
    ]
    overall = max(float(wanted.abs().max()) for _, wanted in pairs)
    gradient = max(
        float((got - wanted).abs().max()) / (float(wanted.abs().max()) + 1e-3 * overall) for got, wanted in pairs
    )
    return float((found - expected).detach().abs()) / float(expected.detach()), gradient


def _scoring(ours: PreTrainedModel, plain: PreTrainedModel) -> float:
    pairs = [ScoredPair(row[:9], row[9:]) for row in _rows()] + [
        ScoredPair(_rows()[0][:9], [5]),
        ScoredPair(_rows()[0][:9], [6]),
    ]
    found = log_likelihoods(ours, pairs, 256, 512)
    largest = 0.0
    for pair, one in zip(pairs, found, strict=True):
        row = pair.context + pair.continuation
        with torch.no_grad():
            logits = plain(input_ids=torch.tensor([row[:-1]]), use_cache=False).logits[0, len(pair.context) - 1 :]
        of_each = logits.float().log_softmax(-1).gather(1, torch.tensor(pair.continuation)[:, None])
        largest = max(largest, abs(float(of_each.sum()) - one.log_probability))
    return largest


def _generation(ours: PreTrainedModel, plain: PreTrainedModel) -> int:
    prompts = [row[:length] for row, length in zip(_rows(), (14, 12, 3, 9), strict=True)]
    limits = Limits(max_new_tokens=16, max_positions=256, max_rows=3, batch_tokens=512)
    found = dict(generate(ours, prompts, {2}, limits))
    equal = 0
    for index, prompt in enumerate(prompts):
        asked = torch.tensor([prompt])
        written = plain.generate(  # type: ignore[operator]
            asked,
            attention_mask=torch.ones_like(asked),
            max_new_tokens=16,
            do_sample=False,
            eos_token_id=2,
            pad_token_id=2,
        )
        tokens = written[0, len(prompt) :].tolist()
        equal += list(found[index].tokens) == (tokens[: tokens.index(2)] if 2 in tokens else tokens)
    return equal


def page(rows: list[Row]) -> str:
    """Return docs/models.md of measured rows."""
    good = [row for row in rows if not row.reason]
    packed = [row for row in good if row.training == row.scoring == row.generation == "packed"]
    lines = [
        "# Models",
        "",
        "crosstune reads rows packed and computes shared prefixes once, if a self-test on your model shows that this",
        "equals plain transformers. Otherwise it reads rows right-padded or one by one: exact, but slower. A note "
        "says so",
        "once, with the measured difference; `run.json`, `system.json`, the evaluation's `manifest.json` and the "
        "report keep it.",
        "",
        f"The table covers {len(good)} tiny models with amplified weights; {len(packed)} are packed in every use. Each "
        "was trained,",
        "scored and continued by crosstune and by plain transformers, row by row, with rows longer than its window. "
        "All",
        "agree: losses to a relative 1e-4, log-likelihoods to 1e-4 nats, gradients to 2e-3 of their largest value, 4 "
        "of 4",
        "greedy continuations. Generated by `python -m tests.models.architectures`.",
        "",
        "| architecture | training | scoring | generation |",
        "|---|---|---|---|",
        *(f"| {row.name} | {row.training} | {row.scoring} | {row.generation} |" for row in good),
        "",
        "## Not measured",
        "",
        *(f"- {row.name}: {row.reason}" for row in rows if row.reason),
        *(line for reason, listed in NOT_MEASURED.items() for line in _listed(reason, listed)),
        "",
    ]
    return "\n".join([*lines, REST.read_text(encoding="utf-8")])


def _listed(reason: str, listed: list[str]) -> list[str]:
    line = f"- {', '.join(listed)}: {reason}"
    return textwrap.wrap(line, 116, subsequent_indent="  ", break_on_hyphens=False)


def read_results() -> list[Row]:
    """Return the rows as they were measured last."""
    return [Row(**row) for row in json.loads(RESULTS.read_text(encoding="utf-8"))]


def main(asked: list[str]) -> None:
    """Measure architectures, all or those named, and write the results and the page."""
    prepare_libraries()
    before = {row.name: row for row in read_results()} if RESULTS.exists() else {}
    if asked == ["page"]:
        PAGE.write_text(page(list(before.values())), encoding="utf-8")
        return
    for name in asked or names():
        before[name] = measure(name)
        print(before[name], flush=True)
        rows = sorted(before.values(), key=lambda row: row.name)
        lines = [json.dumps(asdict(row), ensure_ascii=False) for row in rows]
        RESULTS.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
        PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
