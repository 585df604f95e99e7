"""Tiny random models and a tokenizer learnt from a few sentences of both languages."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3_5ForCausalLM,
    Qwen3_5TextConfig,
)

from crosstune.recipe import Evaluate
from crosstune.terminal.output import console, quiet
from tests.learnt_tokenizers import sentencepiece_style

SENTENCES = [
    "The man broke his toe because he dropped a hammer on his foot.",
    "The woman opened the window and the cold wind came into the room.",
    "Translate the following sentences from English to Korean",
    "### Instruction:\n다음 문장은 긍정일까요 부정일까요?\n### Response:",
    "남자는 망치를 발에 떨어뜨려서 발가락이 부러졌다.",
    "이 영화는 정말 재미있고 배우들의 연기가 좋았다.",
    "Baking cookies: A boy mixes flour and sugar. He then puts the bowl on the table.",
]


def settings(num_bootstrap: int) -> Evaluate:
    return Evaluate(reference_system="base", tasks={}, batch_tokens=512, num_bootstrap=num_bootstrap)


@pytest.fixture(autouse=True)
def _one_thread_and_a_quiet_terminal() -> Any:
    torch.set_num_threads(1)
    with quiet(console):
        yield


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    words = [word for sentence in SENTENCES for word in sentence.split(" ")]
    return sentencepiece_style(words * 2, 450, with_line_breaks=True)


@pytest.fixture(scope="session")
def llama(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def gpt_neox(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    torch.manual_seed(2)
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
    )
    return GPTNeoXForCausalLM(config).eval()


@pytest.fixture(scope="session")
def hybrid(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Of which rows cannot be packed: half of its layers carry a state."""
    torch.manual_seed(3)
    config = Qwen3_5TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        layer_types=["linear_attention", "full_attention"],
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
    )
    return Qwen3_5ForCausalLM(config).eval()


@pytest.fixture(params=["llama", "gpt_neox", "hybrid"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> Path:
    folder = tmp_path_factory.mktemp("model")
    llama.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
