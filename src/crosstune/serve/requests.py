"""What an OpenAI client asks for, checked: each mistake of a client has a message that names it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from crosstune.errors import BadInputError
from crosstune.prompts.conversation import Role, Turn
from crosstune.serve.decoding import Decoding

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_DEFAULT_NEW_TOKENS = 1024
_MAX_STOPS = 4
# What would change the answer, and is not done here. What is only noted (user, metadata, store) may be anything.
_NOT_SERVED = (
    *("tools", "tool_choice", "functions", "function_call", "response_format", "logprobs", "top_logprobs"),
    *("presence_penalty", "frequency_penalty", "logit_bias", "audio", "prediction", "suffix", "echo"),
    # Of other servers.
    *("min_p", "typical_p", "min_tokens", "ignore_eos", "stop_token_ids", "bad_words", "allowed_token_ids"),
    *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs", "use_beam_search"),
    *("chat_template", "chat_template_kwargs", "continue_final_message", "prompt_logprobs"),
)
# The same, where another value than nothing says that nothing is changed.
_UNCHANGED = {"top_k": (-1, 0), "repetition_penalty": (1,), "length_penalty": (1,), "add_generation_prompt": (True,)}
# Parts of a message that change what it says.
_NOT_READ = ("tool_calls", "function_call", "audio")


@dataclass(frozen=True)
class Request:
    """A request that can be answered: a conversation, or a text that is gone on with.

    Attributes:
        stops: texts that end the answer, and are no part of it.
    """

    turns: tuple[Turn, ...]
    text: str
    decoding: Decoding
    stops: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False

    def within(self, room: int) -> Decoding:
        """Return how the answer is chosen, no longer than there is room for."""
        return replace(self.decoding, max_new_tokens=min(room, self.decoding.max_new_tokens))


def read_request(content: Any, is_chat: bool) -> Request:
    """Return what a request's JSON asks for.

    Raises:
        BadInputError: when a field is missing, is of the wrong type or range, or asks for what is not served.
    """
    if not isinstance(content, dict):
        raise BadInputError(f"a request is a JSON object, not {type(content).__name__}")
    # What a client sets to nothing is not set.
    given = {name: value for name, value in content.items() if value is not None}
    for name in _NOT_SERVED:
        if given.get(name) not in (None, False, 0, {}, [], "", "none"):
            raise BadInputError(f"{name!r} is not supported here: remove it")
    for name, unchanged in _UNCHANGED.items():
        if name in given and given[name] not in unchanged:
            raise BadInputError(f"{name!r} is not supported here: remove it")
    for name in ("n", "best_of"):
        if given.get(name, 1) != 1:
            raise BadInputError(f"{name!r}: a request gets one answer, not {given[name]!r}")
    options = given.get("stream_options", {})
    if not isinstance(options, dict):
        raise BadInputError("'stream_options' is a JSON object")
    return Request(
        turns=_turns(given.get("messages")) if is_chat else (),
        text="" if is_chat else _text(given.get("prompt"), "prompt"),
        decoding=_decoding(given),
        stops=_stops(given.get("stop", [])),
        stream=_flag(given, "stream"),
        include_usage=_flag(options, "include_usage"),
    )


def _decoding(given: Mapping[str, Any]) -> Decoding:
    asked = given.get("max_completion_tokens", given.get("max_tokens", _DEFAULT_NEW_TOKENS))
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise BadInputError(f"'max_tokens' is a whole number from 1, not {asked!r}")
    seed = given.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not -(2**63) <= seed < 2**63:
        raise BadInputError(f"'seed' is a whole number of 64 bits, not {seed!r}")
    # Not OpenAI's 1: without a word of the client, the likeliest answer, as `crosstune chat` and `translate` give it.
    temperature = _number(given, "temperature", 0.0, (0.0, 2.0))
    top_p = _number(given, "top_p", 1.0, (0.0, 1.0))
    if top_p == 0:
        raise BadInputError("'top_p' must be above 0")
    if top_p < 1 and "temperature" not in given:
        raise BadInputError("'top_p' draws tokens only with a 'temperature' above 0, which is 0 here if not sent")
    return Decoding(asked, temperature, seed, top_p)


def _number(given: Mapping[str, Any], name: str, default: float, bounds: tuple[float, float]) -> float:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not bounds[0] <= value <= bounds[1]:
        raise BadInputError(f"{name!r} is a number from {bounds[0]:g} to {bounds[1]:g}, not {value!r}")
    return float(value)


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise BadInputError(f"{name!r} is true or false, not {value!r}")
    return value


def _stops(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if (
        not isinstance(listed, list)
        or len(listed) > _MAX_STOPS
        or not all(isinstance(one, str) and one for one in listed)
    ):
        raise BadInputError(f"'stop' is a text or a list of at most {_MAX_STOPS}, not {value!r}")
    return tuple(listed)


def _turns(messages: Any) -> tuple[Turn, ...]:
    if not isinstance(messages, list) or not messages:
        raise BadInputError("'messages' is a list of at least one message, the last a user's")
    turns = []
    for number, message in enumerate(messages, start=1):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in _ROLES:
            raise BadInputError(f"message {number} has the role {role!r}; supported are {', '.join(_ROLES)}")
        for name in _NOT_READ:
            if message.get(name):
                raise BadInputError(f"message {number} has {name!r}, which this model cannot read")
        turns.append(Turn(_ROLES[role], _content(message.get("content"), f"'content' of message {number}")))
    return tuple(turns)


def _content(content: Any, name: str) -> str:
    """Return a message's text; it may come in parts, all of them text."""
    if not isinstance(content, list):
        return _text(content, name)
    for part in content:
        if not isinstance(part, dict) or part.get("type") not in ("text", "input_text"):
            raise BadInputError(f"{name} has a part that is not text; this model reads text only")
    return "\n".join(_text(part.get("text"), name) for part in content)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadInputError(f"{name} is a text, not {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise BadInputError(f"{name} contains half of a surrogate pair, which is not a character") from None
    return value
