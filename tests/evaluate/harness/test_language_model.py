"""The registered harness model gives what the harness's own Hugging Face model gives, request by request."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from crosstune.errors import CrosstuneError
from crosstune.evaluate import scoring
from crosstune.evaluate.harness import language_model as harness
from crosstune.evaluate.harness.language_model import CrosstuneLM
from crosstune.models.logits import likeliest
from crosstune.tokens.bits_per_byte import bits_per_byte
from tests.tokens.bits_by_hand import by_hand

COOKIES = "Baking cookies: A boy mixes flour and sugar. He"
PAIRS = [
    # HellaSwag: one context, four endings.
    (COOKIES, " then puts the bowl on the table."),
    (COOKIES, " opens the window because the cold wind came into the room and the bowl broke."),
    (COOKIES, " mixes."),
    (COOKIES, " 영화를 봤다."),
    # COPA, with one and with two spaces before the choice, and with the spaces in the context.
    ("The man broke his toe because", " he dropped a hammer on his foot."),
    ("The man broke his toe because", "  he dropped a hammer on his foot."),
    ("The man broke his toe because  ", "he got a hole in his sock."),
    # KoBEST: one-token choices and Korean.
    ("문장: 이 영화는 정말 재미있고 배우들의 연기가 좋았다. 긍부정:", " 긍정"),
    ("문장: 이 영화는 정말 재미있고 배우들의 연기가 좋았다. 긍부정:", " 부정"),
    ("남자는 망치를 발에 떨어뜨려서 발가락이  왜냐하면", " 부러졌다."),
    # No context; a repeated pair.
    ("", "The woman opened the window."),
    ("The man broke his toe because", " he dropped a hammer on his foot."),
]


def requests(arguments: list[Any], kind: str) -> list[Instance]:
    return [Instance(kind, {}, argument, index) for index, argument in enumerate(arguments)]


def hf(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> HFLM:
    model.set_attn_implementation("sdpa")
    # Its logits cache scores the wrong positions where the same tokens are split into context and continuation in two
    # ways (the pairs 10 and 11): it gathers from the first logits of the longer continuation.
    return HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", batch_size=2, logits_cache=False)


@pytest.mark.slow
@pytest.mark.parametrize("batch_tokens", [1, 60, 8192])
def test_log_likelihoods_equal_those_of_the_harness(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, batch_tokens: int
) -> None:
    expected = hf(model, tokenizer).loglikelihood(requests(PAIRS, "loglikelihood"), disable_tqdm=True)
    found = CrosstuneLM(model, tokenizer, batch_tokens=batch_tokens).loglikelihood(requests(PAIRS, "loglikelihood"))
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


def test_what_greedy_decoding_writes_is_marked_greedy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    pairs = [scoring.ScoredPair([1, 60 + index], [70]) for index in range(3)]
    model.set_attn_implementation("sdpa")
    best = [int(model(input_ids=_tensor(pair.context)).logits[0, -1].argmax()) for pair in pairs]
    greedy = [scoring.ScoredPair(pair.context, [token]) for pair, token in zip(pairs, best, strict=True)]
    found = scoring.log_likelihoods(model, [*pairs, *greedy], 256, 8192)
    assert [likelihood.is_greedy for likelihood in found] == [token == 70 for token in best] + [True] * 3


def _tensor(tokens: list[int]) -> Any:
    return torch.tensor([tokens])


def test_contexts_too_long_are_cut_from_the_left(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = [(f"{COOKIES} mixes. " * 30 + COOKIES, ending) for _, ending in PAIRS[:4]]
    assert len(tokenizer(pairs[0][0])["input_ids"]) > 256
    expected = hf(model, tokenizer).loglikelihood(requests(pairs, "loglikelihood"), disable_tqdm=True)
    found = CrosstuneLM(model, tokenizer).loglikelihood(requests(pairs, "loglikelihood"))
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)


def test_whole_texts_equal_those_of_the_harness_without_a_scored_bos(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    texts = [("The woman opened the window.",), (f"{COOKIES} 영화는 정말 재미있다. " * 40,)]
    reference = hf(model, tokenizer)
    reference.add_bos_token = False
    expected = reference.loglikelihood_rolling(requests(texts, "loglikelihood_rolling"), disable_tqdm=True)
    found = CrosstuneLM(model, tokenizer).loglikelihood_rolling(requests(texts, "loglikelihood_rolling"))
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("bos", ["<s>", None])
def test_bits_of_a_text_are_those_of_its_tokens_computed_by_hand(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, bos: str | None
) -> None:
    without = copy.deepcopy(tokenizer)
    without.bos_token = bos
    texts = ["The woman opened the window.", "", "영화", f"{COOKIES} 영화는 정말 재미있다. " * 3]
    lm = CrosstuneLM(llama, without)
    found = lm.loglikelihood_rolling(requests([(text,) for text in texts], "loglikelihood_rolling"))
    llama.set_attn_implementation("sdpa")
    assert bits_per_byte(-sum(found), sum(len(text.encode()) for text in texts)) == pytest.approx(
        by_hand(llama, without, texts, lm.max_length), rel=1e-5
    )


@pytest.mark.parametrize("kind", ["loglikelihood", "loglikelihood_rolling"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_log_likelihood_that_is_no_number_stops_scoring_with_model_task_and_item(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, kind: str, value: float
) -> None:
    broken = copy.deepcopy(llama)
    broken.config.name_or_path = "models/broken"
    arguments = (
        [("He", " mixes."), ("She", " sings.")] if kind == "loglikelihood" else [("He mixes.",), ("She sings.",)]
    )
    asked = [
        Instance(kind, {"id": f"item_{index}"}, argument, 0, metadata=("cakes", index, 1))
        for index, argument in enumerate(arguments)
    ]
    score = getattr(CrosstuneLM(broken, tokenizer), kind)
    score(asked)  # how it is read is chosen by weights that are numbers
    with torch.no_grad():
        broken.model.layers[1].mlp.down_proj.weight[0, 0] = value
    with pytest.raises(CrosstuneError, match=r"models/broken .* item 'item_0' of task 'cakes', and gave nan") as error:
        score(asked)
    assert "evaluate.precision" in str(error.value)


@pytest.mark.slow
def test_generated_texts_equal_those_of_the_harness(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.pad_token = tokenizer.unk_token
    plain = {"until": ["\n\n"], "max_gen_toks": 20}
    text = hf(llama, tokenizer).generate_until(requests([(COOKIES, plain)], "generate_until"), disable_tqdm=True)[0]
    stop = {"until": [text[5:8]], "max_gen_toks": 20}
    arguments = [(COOKIES, plain), (COOKIES, stop), ("The man broke his toe because", plain), ("이 영화는", stop)]
    # Batches of one: left padding changes the last digits, and a random model's choices hang on them.
    reference = HFLM(pretrained=llama, tokenizer=tokenizer, device="cpu", batch_size=1)
    expected = reference.generate_until(requests(arguments, "generate_until"), disable_tqdm=True)
    found = CrosstuneLM(llama, tokenizer).generate_until(requests(arguments, "generate_until"))
    assert found == expected
    assert found[1] == text[:5]


def test_the_model_is_registered_by_name() -> None:
    assert get_model("crosstune") is harness.CrosstuneLM
    assert get_model("hf") is HFLM


def test_a_folder_is_loaded_as_the_command_line_asks(model_folder: Any) -> None:
    lm = CrosstuneLM.create_from_arg_string(
        f"pretrained={model_folder},batch_tokens=512", {"batch_size": 1, "max_batch_size": None, "device": "cuda:0"}
    )
    assert lm.loglikelihood(requests([("He", " mixes.")], "loglikelihood"))[0][0] < 0


def test_an_unknown_model_argument_is_named(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="unknown model arguments for `crosstune`: peft; supported are pretrained"):
        CrosstuneLM(llama, tokenizer, peft="adapter")


def test_a_loaded_model_needs_its_tokenizer(llama: PreTrainedModel) -> None:
    with pytest.raises(ValueError, match="a loaded model needs its tokenizer"):
        CrosstuneLM(llama)


def test_sampling_is_refused(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    sampled = ("He", {"until": ["."], "do_sample": True, "temperature": 0.7})
    with pytest.raises(ValueError, match="decodes greedily, but the task asks for"):
        CrosstuneLM(llama, tokenizer).generate_until(requests([sampled], "generate_until"))


def test_a_limit_that_leaves_no_room_for_the_prompt_is_refused(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    long = ("He", {"until": ["."], "max_gen_toks": 256})
    with pytest.raises(CrosstuneError, match="max_gen_toks 256 leaves no room for a prompt in the model's 256 tokens"):
        CrosstuneLM(llama, tokenizer).generate_until(requests([long], "generate_until"))


@pytest.mark.parametrize(
    "pair", [scoring.ScoredPair([], [5]), scoring.ScoredPair([5], []), scoring.ScoredPair([5], [6] * 9)]
)
def test_pairs_that_cannot_be_scored_are_refused(llama: PreTrainedModel, pair: scoring.ScoredPair) -> None:
    with pytest.raises(CrosstuneError, match="the model needs at least one of each and reads at most 8"):
        scoring.log_likelihoods(llama, [pair], max_length=8, batch_tokens=64)


@pytest.mark.parametrize("num_pieces", [1, 2, 3, 5])
def test_of_equally_likely_tokens_greedy_decoding_writes_the_first(num_pieces: int) -> None:
    logits = torch.zeros(3, 5)
    logits[1, [2, 4]] = 1.0
    rows, targets = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 2, 4, 3])
    log_probabilities, greedy = scoring.look_up(logits.split(num_pieces, dim=1), rows, targets)
    assert greedy.tolist() == [True, False, True, False, False]
    assert log_probabilities == pytest.approx(logits.log_softmax(-1)[rows, targets].numpy(), abs=1e-6)
    assert likeliest(logits.split(num_pieces, dim=1)) == [0, 2, 0]
