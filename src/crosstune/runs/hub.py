"""What the Hugging Face hub's client says when something is not to be had, in one sentence that says what to do."""

import errno
import os
import socket
from functools import cache
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants

What = Literal["model", "data set"]
# By the names of the client's classes: a subclass comes before its base.
_BY_CLASS = (
    ("GatedRepoError", "it is gated: accept its terms on {page}, then run `hf auth login`"),
    (
        "RepositoryNotFoundError",
        "the hub has no {what} of this name, or it is private: correct the name, or `hf auth login`",
    ),
    ("RevisionNotFoundError", "it has no such revision: give a commit from {page}/commits/main"),
    ("HFValidationError", "a hub id is OWNER/NAME, of letters, digits, '-', '_' and '.': correct the name"),
    ("BadRequestError", "the hub does not accept the request: correct the name and the revision"),
)
_OFFLINE = {"OfflineModeIsEnabled", "LocalEntryNotFoundError"}
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_BY_STATUS = {
    401: "the hub does not know who asks, or has no {what} of this name: correct the name, or run `hf auth login`",
    403: "your account may not read it: ask for access on {page}, then run `hf auth login`",
    404: "the hub has no {what} of this name, or it is private: correct the name, or run `hf auth login`",
    429: "the hub takes no more requests for now: wait a few minutes, or log in with `hf auth login`",
}


@cache
def stay_offline_without_network() -> None:
    """Let the hub's client look only at what it has downloaded, if the hub's address cannot be found.

    Otherwise it asks for each file six times, which takes most of a minute. Behind a proxy it is the proxy that knows
    the address.
    """
    if constants.HF_HUB_OFFLINE or getproxies():
        return
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except OSError:
        constants.HF_HUB_OFFLINE = True


def why_not(error: BaseException, what: What, name: str) -> str:
    """Return why the hub gave no model or data set, and what to do.

    The client's own messages carry request ids, links and other versions' classes, and end in the middle of a sentence
    when they are cut.
    """
    page = f"https://huggingface.co/{'datasets/' if what == 'data set' else ''}{name}"
    kind = " --repo-type dataset" if what == "data set" else ""
    copy = f"download it elsewhere (hf download{kind} {name} --local-dir FOLDER) and give the folder"
    return _sentence(error).format(what=what, page=page, copy=copy)


def _sentence(error: BaseException) -> str:
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    names = {base.__name__ for one in chain for base in type(one).__mro__}
    if names & _OFFLINE and os.environ.get("HF_HUB_OFFLINE"):
        return "HF_HUB_OFFLINE is set: unset it, or {copy}"
    if sentence := next((sentence for name, sentence in _BY_CLASS if name in names), ""):
        return sentence
    status = next((code for one in chain if (code := _status(one))), 0)
    if status:
        return _BY_STATUS.get(status, f"the hub answered with status {status}: try again later, or {{copy}}")
    for one in chain:
        # A network may not be permitted either; what a file is refused for names the file.
        is_permission = isinstance(one, PermissionError) and one.filename
        if isinstance(one, OSError) and (is_permission or one.errno in _OF_THE_DISK):
            why = os.strerror(one.errno or 0)
            return f"its copy cannot be written ({why}): make room, or set HF_HOME to another folder"
    # What the system refuses without naming a file is the way there: no route, no name, no certificate, no permission.
    if names & {*_OFFLINE, "TransportError"} or any(isinstance(one, OSError) and not one.filename for one in chain):
        return "the hub cannot be reached: check the network, or {copy}"
    said = " ".join(str(error).split()).replace("{", "{{").replace("}", "}}")
    return f"the hub's client stops with {type(error).__name__}{': ' if said else ''}{said}. Try again, or {{copy}}"


def _status(error: BaseException) -> int:
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)
