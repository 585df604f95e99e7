"""An answer as it is written, token by token, by a model that answers one question at a time."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TextIteratorStreamer

from crosstune.models.plain import as_plain, longest_row_forgotten, settings_forgotten
from crosstune.models.stop_tokens import stop_tokens
from crosstune.serve.decoding import Decoding, Ending


def stream(
    model: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    prompt: Sequence[int],
    decoding: Decoding,
    one_at_a_time: threading.Lock,
    ending: Ending | None = None,
) -> Iterator[str]:
    """Yield an answer in parts as it is written; closing the iterator stops the model.

    ``one_at_a_time`` is the model's: who asks while it writes waits. ``ending`` is filled when the answer has ended.
    """
    writer, tokenizer = model
    streamer = _CountingStreamer(
        tokenizer, skip_prompt=True, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    stop, stops = threading.Event(), stop_tokens(writer, tokenizer)
    settings = _settings(model, prompt, decoding) | {
        "eos_token_id": sorted(stops),
        "stopping_criteria": [lambda *_: torch.tensor([stop.is_set()], device=writer.device)],
        "streamer": streamer,
    }
    failures: list[Exception] = []

    def write() -> None:
        try:
            with one_at_a_time, settings_forgotten(writer), as_plain(writer), longest_row_forgotten(writer):
                torch.manual_seed(decoding.seed)
                if stop.is_set():  # while it waited
                    streamer.end()  # type: ignore[no-untyped-call]
                else:
                    writer.generate(**settings)  # type: ignore[operator]
        except Exception as error:
            # Raised in the reader's thread; without the end mark it would wait for ever.
            failures.append(error)
            streamer.end()  # type: ignore[no-untyped-call]

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield from streamer
    finally:
        stop.set()
        thread.join()
        if ending is not None:
            ending.num_tokens = len(streamer.tokens)
            # Who closes the iterator may have found an end of its own.
            ending.finished |= bool(streamer.tokens) and streamer.tokens[-1] in stops
    if failures:
        raise failures[0]


def _settings(
    model: tuple[PreTrainedModel, PreTrainedTokenizerBase], prompt: Sequence[int], decoding: Decoding
) -> dict[str, Any]:
    inputs = torch.tensor([list(prompt)], device=model[0].device)
    drawn: dict[str, Any] = {"do_sample": False}
    if decoding.temperature:
        drawn = {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
    return {
        "input_ids": inputs,
        "attention_mask": torch.ones_like(inputs),
        "max_new_tokens": decoding.max_new_tokens,
        "pad_token_id": model[1].eos_token_id,
        **drawn,
    }


class _CountingStreamer(TextIteratorStreamer):
    """A streamer that keeps the tokens whose text it gives, and the spaces that lines begin with."""

    def __init__(self, *settings: Any, **more: Any) -> None:
        super().__init__(*settings, **more)
        self.tokens: list[int] = []

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, first, or a token of the answer."""
        if not self.next_tokens_are_prompt:
            self.tokens += value.flatten().tolist()
        line = self.token_cache
        super().put(value)  # type: ignore[no-untyped-call]
        if line and not self.token_cache:
            self._begin_line(line)

    def _begin_line(self, ended: Sequence[int]) -> None:
        """Decode the next line behind the line break: LLaMA-2's decoder drops a space before what it is given first."""
        for start in reversed(range(len(ended))):
            text = str(self.tokenizer.decode(list(ended[start:]), **self.decode_kwargs))
            if text:  # Special tokens have none.
                self.token_cache, self.print_len = list(ended[start:]), len(text)
                return
