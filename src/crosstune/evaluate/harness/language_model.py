"""lm-evaluation-harness's model ``crosstune``: packed scoring with the harness's own token rules."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from itertools import pairwise
from typing import Any

import jinja2
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
    resolve_max_length,
)
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crosstune.errors import CrosstuneError
from crosstune.evaluate import ranks
from crosstune.evaluate.generate.generation import Limits, generate
from crosstune.evaluate.outputs import OutputLog
from crosstune.evaluate.scoring import Likelihood, ScoredPair, log_likelihoods
from crosstune.models.chat_template import control_tokens, source_of
from crosstune.models.finite import NotFiniteError
from crosstune.models.jinja_templates import frozen
from crosstune.models.load import load_model, load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.models.stop_tokens import stop_tokens
from crosstune.prompts.controls import as_text, without_marks
from crosstune.recipe.data import TEMPLATE_DATE
from crosstune.terminal.bars import progress
from crosstune.tokens.backends import encode_marked, plain
from crosstune.tokens.bits_per_byte import token_before_text, windows
from crosstune.tokens.encode import encode_behind, encode_prompt

DEFAULT_MAX_GENERATED = 256
_LIKELIHOODS = "(log-likelihoods)"  # in the log, where a task's label cannot have brackets


def _key(pair: ScoredPair) -> str:
    """Return what a pair is found again by: two tasks may ask the same."""
    return hashlib.blake2b(repr((pair.context, pair.continuation)).encode(), digest_size=16).hexdigest()


def _name(request: Instance) -> str:
    """Return what a request asks about, for messages."""
    item = request.doc.get("id", request.doc_id) if isinstance(request.doc, dict) else request.doc_id
    return f"item {item!r} of task {request.task_name!r}"


@register_model("crosstune")
class CrosstuneLM(TemplateLM):  # type: ignore[misc]
    """A causal language model, scored in packed rows; with a ``log``, an interrupted scoring goes on where it was.

    Which tokens are context and which continuation is decided by the harness's ``TemplateLM``; what is ours is how they
    are computed. Equal item by item to the harness's ``hf`` model.
    """

    def __init__(
        self,
        pretrained: str | PreTrainedModel,
        tokenizer: str | PreTrainedTokenizerBase | None = None,
        revision: str | None = None,
        dtype: str = "float32",
        device: str | None = None,
        **options: Any,
    ) -> None:
        """Take a loaded model and tokenizer, or load them from a folder or the hub."""
        super().__init__()
        self._batch_tokens = int(options.pop("batch_tokens", 8192))
        self._max_rows = int(options.pop("max_batch_rows", 128))
        self._log: OutputLog | None = options.pop("log", None)
        # Whether a recipe's own chat template wrote what is asked, as all or none of a scoring's tasks.
        self._is_rendered = bool(options.pop("is_rendered", False))
        # The harness's command line always sends these two; batches here are counted in tokens.
        unknown = set(options) - {"batch_size", "max_batch_size"}
        if unknown:
            raise ValueError(
                f"unknown model arguments for `crosstune`: {', '.join(sorted(unknown))}; supported are pretrained, "
                "tokenizer, revision, dtype, device, batch_tokens, max_batch_rows"
            )
        if isinstance(pretrained, str):
            tokenizer = tokenizer or pretrained
            prepare_libraries()
            pretrained = load_model(pretrained, revision, getattr(torch, dtype))
        if tokenizer is None:
            raise ValueError("a loaded model needs its tokenizer: pass `tokenizer`, loaded or as a folder")
        self.tokenizer = load_tokenizer(tokenizer, revision) if isinstance(tokenizer, str) else tokenizer
        self.model = pretrained
        if ranks.num_ranks() > 1:
            self.model.to(ranks.device())  # type: ignore[arg-type]
        # The harness's command line asks for cuda:0 by default, with or without a GPU.
        elif device and (torch.cuda.is_available() or not device.startswith("cuda")):
            self.model.to(torch.device(device))  # type: ignore[arg-type]
        self._device = self.model.device
        self._asked_for: list[str] = []
        self._controls = tuple(control_tokens(self.tokenizer))
        # Whether the harness lets us render what it asks, as all or none of a scoring's tasks.
        self._renders = False

    @property
    def eot_token_id(self) -> int:
        """The EOS."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without context: BOS, or EOS where there is none."""
        return token_before_text(self.tokenizer)

    @property
    def tokenizer_name(self) -> str:
        """What the harness calls the chat template by."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    @property
    def max_length(self) -> int:
        """The tokens that the model reads."""
        return int(resolve_max_length(self.model.config, self.tokenizer))

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Tokenise; special tokens by the tokenizer's own rule.

        A control token that an item's text spells out is text, as in training, a BOS at its begin, too; the harness's
        ``hf`` model reads it as a token.
        """
        if self._renders:
            return self._tokens_in_chat(string, add_special_tokens)
        if any(name in string for name in self._controls):
            encoded = plain(self.tokenizer).encode(string, add_special_tokens=add_special_tokens in (None, True))
            return list(encoded.ids)
        if add_special_tokens is None:
            return list(self.tokenizer.encode(string))
        return list(self.tokenizer.encode(string, add_special_tokens=add_special_tokens))

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Render messages as the harness's ``hf`` model does; a control token that one spells out is marked as text."""
        self._renders = True
        try:
            return self._rendered(chat_history, add_generation_prompt)
        except jinja2.exceptions.TemplateError:  # as the harness: a template may have no place for a system text
            asked = [message for message in chat_history if message["role"] != "system"]
            return self._rendered(asked, add_generation_prompt)

    def _rendered(self, messages: list[dict[str, str]], ask: bool) -> str:
        marked = [{**message, "content": as_text(message["content"], self._controls)} for message in messages]
        written = source_of(self.tokenizer, "the task is to be asked in the chat template", "remove its chat_template")
        # A template may write today's date: the same item is asked the same tomorrow.
        jinja = frozen(written, {}, TEMPLATE_DATE, str(self.tokenizer.name_or_path))
        return str(
            self.tokenizer.apply_chat_template(
                marked, chat_template=jinja, tokenize=False, add_generation_prompt=ask, continue_final_message=not ask
            )
        )

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        if self._is_rendered:
            behind = encode_behind(self.tokenizer, [continuation], with_controls=True)
            return encode_prompt(self.tokenizer, context, with_controls=True), behind[0]
        if self._renders:
            continuation = as_text(continuation, self._controls)
        encoded: tuple[list[int], list[int]] = super()._encode_pair(context, continuation)
        return encoded

    def _tokens_in_chat(self, string: str, add_special_tokens: bool | None) -> list[int]:
        """Tokenise what a chat template wrote: its control tokens are tokens, and BOS comes once."""
        starts = string.startswith(str(self.tokenizer.decode(self.prefix_token_id)))
        with_special = not starts if add_special_tokens is None else add_special_tokens
        if without_marks(string) == string:
            return list(self.tokenizer.encode(string, add_special_tokens=with_special))
        before = [token for token in self.tokenizer.encode("") if token == self.prefix_token_id]
        return [*(before if with_special else ()), *encode_marked(self.tokenizer, string)]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Score (context, continuation) pairs; progress is shown by our bar, not by the harness's."""
        self._asked_for = [_name(request) for request in requests]
        answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return answers

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[tuple[str, str] | None, list[int], list[int]]], **_options: Any
    ) -> list[tuple[float, bool]]:
        pairs = [ScoredPair(context, continuation) for _, context, continuation in requests]
        likelihoods = self._likelihoods(pairs, self._asked_for)
        answers = [(likelihood.log_probability, likelihood.is_greedy) for likelihood in likelihoods]
        for (text, _, _), answer in zip(requests, answers, strict=True):
            if text is not None:
                self.cache_hook.add_partial("loglikelihood", text, answer)
        return answers

    def _likelihoods(self, pairs: Sequence[ScoredPair], names: Sequence[str]) -> list[Likelihood]:
        """Score pairs, but for those that the log of an interrupted evaluation holds; names say what they are."""
        keys = [_key(pair) for pair in pairs]
        known = {key: Likelihood(*row["answer"]) for key, row in self._known().items()}
        todo = [index for index, key in enumerate(keys) if key not in known]
        with progress("continuations scored", len(pairs)) as advance:
            advance(len(pairs) - len(todo))

            def answered(indices: Sequence[int], answers: Sequence[Likelihood]) -> None:
                advance(len(indices))
                if self._log:
                    for index, answer in zip(indices, answers, strict=True):
                        row = {"task": _LIKELIHOODS, "id": keys[todo[index]], "answer": list(astuple(answer))}
                        self._log.append(row)

            asked = [pairs[index] for index in todo]
            try:
                found = log_likelihoods(self.model, asked, self.max_length, self._batch_tokens, answered)
            except NotFiniteError as error:
                raise self._not_finite(names[todo[error.index]], error.value) from None
        known |= {keys[index]: answer for index, answer in zip(todo, found, strict=True)}
        return [known[key] for key in keys]

    def _not_finite(self, name: str, value: float) -> CrosstuneError:
        model = self.model.config.name_or_path or "the model"
        return CrosstuneError(
            f"{model} was asked for the log-likelihood of {name}, and gave {value}: a score needs a finite number. Its "
            "weights hold NaN or infinity, or its numbers overflow in the precision of scoring: look at how it was "
            "trained or converted, or score it with evaluate.precision: float32. Nothing was written for this system"
        )

    def _known(self) -> dict[str, dict[str, Any]]:
        return self._log.rows_of(_LIKELIHOODS) if self._log else {}

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
        """Score whole texts in windows of ``max_length``: each token of the text once, and no other.

        The harness's ``hf`` model lets the tokenizer add its BOS and then puts BOS before it, by default: it adds the
        log-probability of BOS after BOS to every text. Here BOS is given, not scored.
        """
        pairs: list[ScoredPair] = []
        names: list[str] = []
        ends = []
        for request in requests:
            tokens = self.tok_encode(request.args[0], add_special_tokens=False)
            of_text = windows(tokens, self.prefix_token_id, self.max_length)
            pairs += [ScoredPair(window.context, window.continuation) for window in of_text]
            ends.append(len(pairs))
            names += [_name(request)] * (len(pairs) - len(names))
        found = [likelihood.log_probability for likelihood in self._likelihoods(pairs, names)]
        return [sum(found[first:last]) for first, last in pairwise([0, *ends])]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """Continue contexts greedily until EOS, a stop text, or the limit."""
        results: list[str] = [""] * len(requests)
        groups: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(repr(sorted(request.args[1].items())), []).append(index)
        for members in groups.values():
            for place, text in self._generate_group([requests[index].args for index in members]):
                results[members[place]] = text
        return results

    def _generate_group(self, group: list[tuple[str, dict[str, Any]]]) -> Iterator[tuple[int, str]]:
        settings = normalize_gen_kwargs(group[0][1], DEFAULT_MAX_GENERATED)
        if settings.get("do_sample") or settings.get("temperature"):
            raise CrosstuneError(
                f"the model `crosstune` decodes greedily, but the task asks for {group[0][1]}: remove do_sample and "
                "temperature, or use the harness's model `hf`"
            )
        eos_text = self.tokenizer.decode(self.eot_token_id)
        until = [text for text in handle_stop_sequences(settings.get("until"), eos=eos_text) if text]
        limit = settings["max_gen_toks"]
        room = self.max_length - limit
        if room <= 0:
            raise CrosstuneError(
                f"max_gen_toks {limit} leaves no room for a prompt in the model's {self.max_length} tokens"
            )
        prompts = [self.tok_encode(context)[-room:] for context, _ in group]
        limits = Limits(limit, self.max_length, self._max_rows, self._batch_tokens)
        mine, written = ranks.share([len(prompt) for prompt in prompts]), {}
        asked = [prompts[place] for place in mine]
        stops = stop_tokens(self.model, self.tokenizer)
        for index, generated in generate(self.model, asked, stops, limits, self._stopper(until)):
            text = self.tokenizer.decode(list(generated.tokens), skip_special_tokens=True)
            written[mine[index]] = postprocess_generated_text(generation=text, stop=until, think_end_token=None)
        for place, text in ranks.gather(written).items():
            self.cache_hook.add_partial("generate_until", group[place], text)
            yield place, text

    def _stopper(self, until: list[str]) -> Callable[[list[int]], bool]:
        # A stop text of n characters lies in the last n tokens; a few more hold a character that bytes spell.
        window = max(len(text) for text in until) + 4

        def should_stop(tokens: list[int]) -> bool:
            tail = self.tokenizer.decode(tokens[-window:])
            return any(text in tail for text in until)

        return should_stop
