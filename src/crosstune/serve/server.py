"""`crosstune serve`: hand a model to an engine that speaks the OpenAI protocol."""

import importlib.util
import os
import sys
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE

from crosstune.errors import BadInputError
from crosstune.terminal import note


def command(model: str, host: str, port: int) -> list[str]:
    """Return the command that serves a model: vLLM's where it is installed, else transformers' own.

    Raises:
        BadInputError: when neither engine is installed, or the model folder has no chat template to ask it with.
    """
    folder = Path(model)
    if folder.is_dir() and not _has_chat_template(folder):
        raise BadInputError(
            f"{model} does not say how it wants to be asked: it has no chat_template.jinja. "
            f"Write it into a folder of its own with: crosstune export {model} OUT --prompt paper-v1"
        )
    where = ["--host", host, "--port", str(port)]
    if _installed("vllm"):
        return [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", model, *where]
    if _installed("fastapi") and _installed("uvicorn"):
        return [sys.executable, "-m", "transformers.cli.transformers", "serve", model, *where]
    raise BadInputError(
        f"to serve {model} an engine is needed, and none is installed: pip install 'crosstune[serve]' brings "
        "transformers' own server, pip install vllm a faster one for GPUs"
    )


def serve(model: str, host: str, port: int) -> None:
    """Become the engine that serves the model; it ends with Ctrl-C."""
    arguments = command(model, host, port)
    engine = "vLLM" if "vllm.entrypoints.cli.main" in arguments else "transformers"
    note(f"{model} is served by {engine}: OpenAI clients find it at http://{host}:{port}/v1 as model {model!r}")
    # transformers' server lists the hub's cache among its models, and fails where there is none yet.
    Path(HF_HUB_CACHE).mkdir(parents=True, exist_ok=True)
    # Its command line would ask the package index for a newer version.
    os.environ.setdefault("HF_HUB_DISABLE_UPDATE_CHECK", "1")
    os.execv(arguments[0], arguments)


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").exists():
        return True
    settings = folder / "tokenizer_config.json"
    return settings.exists() and '"chat_template"' in settings.read_text(encoding="utf-8")


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
