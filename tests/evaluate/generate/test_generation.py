"""Generation is token for token what transformers' greedy generation writes, whatever the batch."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from crosstune.errors import BadInputError
from crosstune.evaluate.generate.generation import Generated, Limits, generate
from crosstune.models import packing
from crosstune.tokens.encode import encode_prompt

PROMPTS = [
    "The man broke his toe",
    "### Instruction:\nTranslate the following sentences from English to Korean\nThe wind came.\n### Response:",
    "이 영화는",
    "He",
    "### Instruction:\n다음 문장은 긍정일까요 부정일까요?\n배우들의 연기가 좋았다.\n### Response:",
    "The woman opened the window and the cold wind came into the room. A boy mixes flour.",
    "Baking cookies: A boy",
]
LIMITS = Limits(max_new_tokens=24, max_positions=256, max_rows=16, batch_tokens=4096)


def answers(model: PreTrainedModel, prompts: Sequence[list[int]], eos: int, limits: Limits) -> list[Generated]:
    found = dict(generate(model, prompts, {eos}, limits))
    return [found[index] for index in range(len(prompts))]


def reference(model: PreTrainedModel, prompt: list[int], eos: int, max_new_tokens: int) -> Generated:
    """Let transformers continue one prompt alone."""
    model.set_attn_implementation("sdpa")
    written = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=eos,
        pad_token_id=0,
    )[0, len(prompt) :].tolist()
    if written[-1] == eos:
        return Generated(tuple(written[:-1]), True)
    return Generated(tuple(written), False)


def frequent_token(model: PreTrainedModel, prompts: list[list[int]]) -> int:
    """Return a token that the random model often writes after a few others, to serve as its EOS."""
    found = [reference(model, prompt, -1, 24).tokens for prompt in prompts]
    counts = {token: sum(token in tokens[2:] for tokens in found) for tokens in found for token in tokens[2:]}
    return max(counts, key=lambda token: (counts[token], token))


@pytest.mark.slow
def test_answers_are_those_of_transformers_when_some_rows_stop_early(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    prompts = [encode_prompt(tokenizer, prompt) for prompt in PROMPTS]
    eos = frequent_token(model, prompts)
    expected = [reference(model, prompt, eos, 24) for prompt in prompts]
    assert {answer.finished for answer in expected} == {True, False}
    assert answers(model, prompts, eos, LIMITS) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("max_rows", "batch_tokens"), [(1, 4096), (3, 4096), (16, 60)])
def test_the_batch_does_not_change_the_answers(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, max_rows: int, batch_tokens: int
) -> None:
    prompts = [encode_prompt(tokenizer, prompt) for prompt in PROMPTS]
    eos = frequent_token(llama, prompts)
    small = Limits(24, 256, max_rows, batch_tokens)
    assert answers(llama, prompts, eos, small) == answers(llama, prompts, eos, LIMITS)


@pytest.mark.slow
def test_free_slots_are_refilled_while_others_write(llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [list(range(3, 3 + length)) for length in range(20, 32)]
    eos = frequent_token(llama, prompts)
    expected = [reference(llama, prompt, eos, 24) for prompt in prompts]
    assert {answer.finished for answer in expected} == {True, False}
    rows_per_call = []
    decoder = llama.get_decoder()
    forward = decoder.forward

    def count(**inputs: Any) -> Any:
        packed = inputs.get("packed_layout")
        rows_per_call.append(len(packed.token_positions if packed else inputs["input_ids"]))
        return forward(**inputs)

    monkeypatch.setattr(decoder, "forward", count)
    assert answers(llama, prompts, eos, Limits(24, 256, 3, 4096)) == expected
    # All three slots write until nobody waits; the first prompts are read together.
    assert max(rows_per_call) == 3 and rows_per_call[0] == 3
    num_tokens = sum(len(answer.tokens) + answer.finished for answer in expected)
    assert sum(rows_per_call) == num_tokens, "a slot wrote for a row that had ended"


@pytest.mark.slow
def test_prompts_longer_than_plain_attention_reads_give_the_same_answers(
    llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MAX_PLAIN_ATTENTION", 192)
    prompts = [[3 + (7 * place) % 50 for place in range(length)] for length in (230, 192, 60)]
    eos = frequent_token(llama, prompts)
    expected = [reference(llama, prompt, eos, 24) for prompt in prompts]
    assert answers(llama, prompts, eos, LIMITS) == expected


@pytest.mark.slow
def test_prompts_that_begin_alike_or_are_equal_are_answered_each(llama: PreTrainedModel) -> None:
    begin = list(range(3, 23))
    prompts = [[*begin, 7], [*begin, 40, 41, 42], begin, [*begin, 7], [5, 9]]
    expected = [reference(llama, prompt, -1, 24) for prompt in prompts]
    assert answers(llama, prompts, -1, LIMITS) == expected


@pytest.mark.slow
def test_what_no_row_has_reached_is_never_read(llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [list(range(3, 3 + length)) for length in (9, 30, 14)]
    expected = [reference(llama, prompt, -1, 24) for prompt in prompts]

    # Memory that was just given out may hold anything.
    def not_empty(self: torch.Tensor, *shape: Any, **options: Any) -> torch.Tensor:
        size = shape if all(isinstance(length, int) for length in shape) else shape[0]
        return self.new_full(size, float("nan"), **options)

    monkeypatch.setattr(torch.Tensor, "new_empty", not_empty)
    assert answers(llama, prompts, -1, LIMITS) == expected


@pytest.mark.slow
def test_a_row_at_the_models_last_position_stops_unfinished(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    prompts = [encode_prompt(tokenizer, prompt) for prompt in PROMPTS]
    lengths = sorted(len(prompt) for prompt in prompts)
    limits = Limits(24, lengths[-2] + 3, 16, 4096)
    for prompt, answer in zip(prompts, answers(llama, prompts, -1, limits), strict=True):
        room = min(24, max(0, limits.max_positions - len(prompt)))
        assert len(answer.tokens) == room and not answer.finished
        assert answer.tokens == (reference(llama, prompt, -1, room).tokens if room else ())


@pytest.mark.slow
def test_the_eos_as_last_allowed_token_counts_as_finished(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    prompt = encode_prompt(tokenizer, PROMPTS[0])
    tokens = reference(llama, prompt, -1, 8).tokens
    place = tokens.index(tokens[-1])
    assert answers(llama, [prompt], tokens[place], Limits(place + 1, 256, 1, 99)) == [Generated(tokens[:place], True)]


def test_a_stop_rule_ends_a_row(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = encode_prompt(tokenizer, PROMPTS[0])
    found = dict(generate(llama, [prompt], (), LIMITS, should_stop=lambda tokens: len(tokens) == 5))
    assert found[0] == Generated(reference(llama, prompt, -1, 5).tokens, True)


def test_a_prompt_without_tokens_is_refused(llama: PreTrainedModel) -> None:
    with pytest.raises(BadInputError, match="an empty prompt cannot be continued"):
        list(generate(llama, [[]], {2}, LIMITS))
