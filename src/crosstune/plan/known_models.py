"""How models that many people take go on the cards that many people have, before there is a recipe."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from transformers import Gemma3TextConfig, LlamaConfig, Qwen3Config

from crosstune.errors import BadInputError
from crosstune.models.load import load_config
from crosstune.models.wrappers import text_config
from crosstune.plan.case import Case
from crosstune.plan.machines import Machine, hours_of
from crosstune.plan.proposals import savings_of, ways_of
from crosstune.recipe import Phase, Train
from crosstune.train.cost import Tokens

# Rows of text of this length: what a phase's own limit is by default, and every token counts in the loss.
_ROW = 512
_BATCH_ROWS = 64
_MICRO_BATCH = 4096
# As their makers publish them; of Gemma 3 the text model.
KNOWN: dict[str, tuple[str, Callable[[], Any]]] = {
    "llama-2-7b": (
        "LLaMA-2-7B",
        lambda: LlamaConfig(
            vocab_size=32_000,
            hidden_size=4096,
            intermediate_size=11_008,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=32,
        ),
    ),
    "llama-3.1-8b": (
        "Llama-3.1-8B",
        lambda: LlamaConfig(
            vocab_size=128_256,
            hidden_size=4096,
            intermediate_size=14_336,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
        ),
    ),
    "qwen3-8b": (
        "Qwen3-8B",
        lambda: Qwen3Config(
            vocab_size=151_936,
            hidden_size=4096,
            intermediate_size=12_288,
            num_hidden_layers=36,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=128,
        ),
    ),
    "gemma-3-4b": (
        "Gemma-3-4B",
        lambda: Gemma3TextConfig(
            vocab_size=262_208,
            hidden_size=2560,
            intermediate_size=10_240,
            num_hidden_layers=34,
            num_attention_heads=8,
            num_key_value_heads=4,
            head_dim=256,
        ),
    ),
}


@dataclass(frozen=True)
class OnCard:
    """What a way of training needs on a card, with the settings that cost least time of those that fit."""

    gb: float
    hours: float
    checkpoints: bool
    micro_batch_tokens: int


@dataclass(frozen=True)
class WayOnCards:
    """A way of training on several cards; None where it does not fit.

    Attributes:
        host_gb: of the host's memory, which each process loads the model into, in float32, before it goes to a card.
    """

    name: str
    evidence: str
    cards: tuple[OnCard | None, ...]
    host_gb: float


def config_of_model(name: str, num_new_pieces: int = 0) -> tuple[str, Any]:
    """Return the title and the configuration of a known model, or of one in a folder here, with rows for new pieces.

    Raises:
        BadInputError: when it is neither.
    """
    if name in KNOWN:
        title, make = KNOWN[name]
        config = make()
    elif Path(name).is_dir():
        title, config = Path(name).name, copy.deepcopy(text_config(load_config(name)))
    else:
        raise BadInputError(
            f"--model {name}: neither a folder here nor one of the models whose shape is known, {', '.join(KNOWN)}: "
            "name one of them, or the folder of a model, of which config.json is enough"
        )
    config.vocab_size += num_new_pieces
    return title, config


def ways_on_cards(config: Any, num_new_pieces: int, num_tokens: int, machines: Sequence[Machine]) -> list[WayOnCards]:
    """Return every way of training a model on so many tokens of text, and what it takes on each of some cards."""
    old_size = config.vocab_size - num_new_pieces if num_new_pieces else None
    settings = Train(precision="bf16", micro_batch_tokens=_MICRO_BATCH)
    tokens = tokens_of_text(num_tokens, _MICRO_BATCH, 1)
    case = Case(config, old_size, phase_on_text(method="full"), settings, tokens, 1)
    host_gb = 4 * case.num_weights()["num_weights"] / 1e9
    return [WayOnCards(way.name, way.evidence, tuple(_on_cards(way.case, machines)), host_gb) for way in ways_of(case)]


def _on_cards(case: Case, machines: Sequence[Machine]) -> Iterator[OnCard | None]:
    useful = case.flops()

    @cache
    def gb_of(place: int) -> float:
        return tried[place].memory().total / 1e9

    # It is in bf16 already.
    tried = savings_of(case)[1:]
    for machine in machines:
        place = next((place for place in range(len(tried)) if gb_of(place) <= machine.gpu.memory_gb), None)
        if place is None:
            yield None
            continue
        settings = tried[place].settings
        hours = hours_of(useful, settings, machine)
        yield OnCard(gb_of(place), hours, settings.gradient_checkpointing, settings.micro_batch_tokens)


def phase_on_text(**method: Any) -> Phase:
    """Return a phase of one epoch on rows of text, trained by a method."""
    usual = {"mixture": "text", "num_epochs": 1.0, "global_batch_size": _BATCH_ROWS, "learning_rate": 1e-4}
    return Phase.model_validate({**usual, **method})


def tokens_of_text(num_tokens: int, micro_batch: int, num_gpus: int) -> Tokens:
    """Return the tokens of text in rows of one length."""
    num_rows = num_tokens // _ROW
    return Tokens(
        num_rows=num_rows,
        num_steps=num_rows // _BATCH_ROWS,
        real=num_tokens,
        supervised=num_tokens,
        computed=num_tokens,
        padded=num_tokens,
        attended=num_rows * _ROW * (_ROW + 1) // 2,
        largest_micro_batch=micro_batch,
        most_supervised=micro_batch,
        most_micro_batches=max(1, _BATCH_ROWS * _ROW // micro_batch // num_gpus),
    )
