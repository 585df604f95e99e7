"""The errors that a user can cause. Each message says what was asked, what was found, what is allowed, what to do."""

import errno
import re


class CrosstuneError(ValueError):
    """A mistake in what the user gave: shown as a message, without a traceback."""


class RecipeError(CrosstuneError):
    """A recipe that cannot be read or does not hold together."""


class BadInputError(CrosstuneError):
    """A file that is not what the recipe says."""


class RunFolderError(CrosstuneError):
    """A run folder that belongs to another recipe, or lacks what an earlier stage should have written."""


_AGAIN = "What was finished is kept: run the same command again to go on"
_ADVICE = {
    errno.ENOSPC: f"the disk is full. Make room, or set runs_root to a larger disk. {_AGAIN}",
    errno.EDQUOT: f"your quota on this disk is used up. Make room, or set runs_root to another disk. {_AGAIN}",
    errno.EFBIG: f"the file grew beyond what its disk or `ulimit -f` allows: raise that, or set runs_root. {_AGAIN}",
    errno.EACCES: "you have no permission to it. Look at it with `ls -l`, and change its owner or mode, or the path",
    errno.EPERM: "you have no permission to it. Look at it with `ls -l`, and change its owner or mode, or the path",
    errno.EROFS: "its disk can only be read. Set runs_root (or --out, --output) to a folder that you may write to",
    errno.EMFILE: f"too many files are open at a time. Raise `ulimit -n`. {_AGAIN}",
    errno.EIO: f"the disk failed to read or write it: check the disk and its cables or mount. {_AGAIN}",
    errno.ESTALE: f"its network disk was mounted anew. {_AGAIN}",
}
# As libraries in Rust and C++ tell of the system's errors, which have no class of their own there.
_TOLD = re.compile(r"os error (\d+)|\[Errno (\d+)\]")
_WORDS = {"No space left on device": errno.ENOSPC, "File too large": errno.EFBIG, "Permission denied": errno.EACCES}


def advice_on(error: BaseException) -> str | None:
    """Return what to do about an error of the disk or of permissions, whichever library tells of it; else None."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        told = _TOLD.search(str(error))
        named = next((code for words, code in _WORDS.items() if words in str(error)), None)
        number = int(next(filter(None, told.groups()))) if told else named
    if number not in _ADVICE:
        return None
    named_files = [str(name) for name in (getattr(error, "filename", None), getattr(error, "filename2", None)) if name]
    what = " -> ".join(named_files) or str(error)
    return f"{what}: {_ADVICE[number]}"
