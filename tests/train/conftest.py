"""A small finished data and tokenizer stage, as training finds them in a run folder."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from crosstune.prompts.examples import Example, write_examples
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import Phase, Recipe, yaml_file
from crosstune.runs.files import read_jsonl, write_json
from crosstune.runs.folder import RunFolder, whole_folder
from crosstune.train import system as train_system
from tests.learnt_tokenizers import sentencepiece_style

PAPER = TEMPLATES["paper-v1"]
INSTRUCTION = "Translate the following sentences from English to Korean"
WORDS = [("the cat", "고양이"), ("the dog", "강아지"), ("a house", "집"), ("the sea", "바다"), ("my friend", "내 친구")]
VERBS = [("sleeps", "잔다"), ("runs", "달린다"), ("is big", "크다"), ("is old", "오래되었다")]


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    forget_training()


def forget_training() -> None:
    """Leave to training a process as it is when it starts."""
    torch.set_num_threads(1)
    # accelerate keeps the precision of the first Accelerator of a process.
    AcceleratorState._reset_state(reset_partial_state=True)


def pairs() -> list[Example]:
    return [
        Example(
            PAPER.prompt(INSTRUCTION, f"{subject} {verb}"), PAPER.completion(f"{ko} {doing}"), "ko", "pairs", f"p:{i}"
        )
        for i, ((subject, ko), (verb, doing)) in enumerate((word, verb) for word in WORDS for verb in VERBS)
    ]


def instructions() -> list[Example]:
    return [
        Example(
            PAPER.prompt(f"Name {number} things."), PAPER.completion("thing " * number), "en", "alpaca", f"a:{number}"
        )
        for number in range(1, 9)
    ]


def documents() -> list[Example]:
    return [
        Example("", f"{ko} {doing}. " * (1 + i % 7), "ko", "korean", f"k:{i}")
        for i, (_, ko) in enumerate(WORDS * 4)
        for _, doing in VERBS
    ]


@pytest.fixture(scope="session")
def base_tokenizer() -> PreTrainedTokenizerFast:
    return sentencepiece_style([example.prompt + example.completion for example in pairs() + instructions()], 400)


@pytest.fixture(scope="session")
def extended_tokenizer() -> PreTrainedTokenizerFast:
    texts = [example.prompt + example.completion for example in pairs() + instructions()]
    return sentencepiece_style(texts, 420)


def fill(run: RunFolder, tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    mixtures = {"paper": pairs() + instructions(), "korean": documents(), "pairs": pairs()}
    for name, examples in mixtures.items():
        with whole_folder(run.mixture(name), f"mixture-{name}", {"total": len(examples)}) as folder:
            write_examples(folder / "examples.parquet", examples)
    old, new = (len(tokenizers[which]) for which in ("base", "extended"))
    for which, tokenizer in tokenizers.items():
        with whole_folder(run.tokenizer(which), f"tokenizer-{which}", {}) as folder:
            tokenizer.save_pretrained(folder)
            if which == "extended":
                subwords = [[3 + index, 4 + index] for index in range(new - old - 1)]
                write_json(
                    folder / "subwords.json",
                    {"old_size": old, "new_size": new, "subwords": [*subwords, []], "padding": [new - 1]},
                )


class Interrupted(BaseException):
    """Stands for a kill at a chosen place."""


@contextmanager
def broken_off_after(num_steps: int) -> Iterator[None]:
    """Break training off behind so many steps, if it takes more."""
    calls = iter(range(num_steps))
    real_step = train_system.train.__globals__["train_step"]

    def step_or_break(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise Interrupted
        return real_step(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(train_system.train.__globals__, "train_step", step_or_break)
        yield


MakeRun = Callable[..., tuple[Recipe, RunFolder]]


def a_run(
    tokenizers: dict[str, PreTrainedTokenizerFast], root: Path, systems: dict[str, Any], **settings: Any
) -> tuple[Recipe, RunFolder]:
    """Return a recipe of systems, and a run folder with all that training reads."""
    content = {
        "name": "small",
        "seed": 3,
        "runs_root": str(root),
        "data_root": str(root),
        "languages": {"source": "en", "target": "ko"},
        "data": {
            "sources": {
                name: {"kind": "text", "language": language, "paths": [f"{name}.txt"]}
                for name, language in (("korean", "ko"), ("english", "en"))
            },
            "mixtures": {
                "paper": [{"source": "korean"}, {"source": "english"}],
                "korean": [{"source": "korean"}],
                "pairs": [{"source": "korean"}, {"source": "english"}],
            },
        },
        "tokenizer": {
            "base": {"kind": "given", "path": "tokenizer"},
            "extension": {"kind": "given", "path": "tokenizer"},
        },
        "systems": systems,
        "train": {"save_every_steps": 3, "micro_batch_tokens": 200, **settings},
        "evaluate": {"reference_system": next(iter(systems)), "tasks": {}},
    }
    run = RunFolder(root / "small")
    fill(run, tokenizers)
    return yaml_file.validate(content, "test"), run


@pytest.fixture(scope="session")
def tokenizers(
    base_tokenizer: PreTrainedTokenizerFast, extended_tokenizer: PreTrainedTokenizerFast
) -> dict[str, PreTrainedTokenizerFast]:
    return {"base": base_tokenizer, "extended": extended_tokenizer}


@pytest.fixture
def make_run(tmp_path: Path, tokenizers: dict[str, PreTrainedTokenizerFast]) -> MakeRun:
    """Return a function that makes a recipe of systems and a run folder with all that training reads."""

    def make(systems: dict[str, Any], root: Path = tmp_path, **settings: Any) -> tuple[Recipe, RunFolder]:
        return a_run(tokenizers, root, systems, **settings)

    return make


def phase(mixture: str = "paper", **changes: Any) -> dict[str, Any]:
    return {
        "mixture": mixture,
        "method": "full",
        "num_steps": 8,
        "global_batch_size": 6,
        "learning_rate": 5e-3,
        "max_length_tokens": 200,
        **changes,
    }


def scratch(**changes: Any) -> dict[str, Any]:
    return {
        "start": "scratch",
        "tokenizer": "base",
        "architecture": {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "intermediate_size": 64},
        "phases": [phase()],
        **changes,
    }


def make_phase(**changes: Any) -> Phase:
    return Phase.model_validate_json(json.dumps(phase(**changes)))


def weights(run: RunFolder, name: str = "base") -> dict[str, torch.Tensor]:
    return load_file(run.system(name) / "model" / "model.safetensors")


def metrics(run: RunFolder, name: str = "base") -> list[dict[str, Any]]:
    return read_jsonl(run.system(name) / "metrics.jsonl")


def losses(run: RunFolder, name: str = "base") -> list[float]:
    return [row["loss"] for row in metrics(run, name)]


class HasEnd(Protocol):
    """A process, or several that are used as one."""

    def poll(self) -> int | None: ...


def wait_for_steps(run: RunFolder, number: int, process: "HasEnd") -> None:
    path = run.system("base") / "metrics.jsonl"
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and len(path.read_text().splitlines()) >= number:
            return
        time.sleep(0.005)
