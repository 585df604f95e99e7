"""`crosstune serve`: a model behind the OpenAI protocol, by our own server, or by vLLM where it is installed."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from crosstune.errors import BadInputError
from crosstune.models.gguf.header import is_gguf, refuse_in_vllm
from crosstune.precision import Precision
from crosstune.terminal.output import note

Engine = Literal["auto", "crosstune", "vllm"]
_VLLM = "vllm.entrypoints.cli.main"


def serve(
    model: str,
    host: str,
    port: int,
    engine: Engine = "auto",
    precision: Precision | None = None,
    template_options: Mapping[str, Any] | None = None,
) -> None:
    """Serve a model; it ends with Ctrl-C. Our own engine knows options of its chat template.

    Raises:
        BadInputError: when no engine is installed, or the model folder has no chat template to ask it with.
    """
    if template_options and engine == "vllm":
        raise BadInputError("--template-option: vLLM takes no such option here; leave it out, or --engine crosstune")
    chosen, name = engine_for(model, "crosstune" if template_options else engine), name_of(model)
    if Path(model).exists():
        # Before anything of the hub's client is imported: it would ask the hub about who runs it.
        os.environ["HF_HUB_OFFLINE"] = "1"
    address = f"http://{host}:{port}/v1"
    if chosen == "vllm":
        note(f"{model} is served by vLLM: OpenAI clients find it at {address} as model {name!r}")
        arguments = vllm_command(model, host, port, precision)
        os.execv(arguments[0], arguments)
    # Imported here: an engine that is not used may be not installed.
    import uvicorn

    from crosstune.serve.api import application
    from crosstune.serve.assistant import Assistant

    app = application(Assistant(model, options=template_options, precision=precision), name, model)
    note(f"{model} is served: OpenAI clients find it at {address} as model {name!r} (Ctrl-C ends)")
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False)


def engine_for(model: str, engine: Engine) -> Literal["crosstune", "vllm"]:
    """Return the engine that serves a model: vLLM where it is installed, else our own.

    Raises:
        BadInputError: when it is not installed, or the model folder has no chat template.
    """
    folder = Path(model)
    if folder.is_dir() and not _has_chat_template(folder):
        raise BadInputError(
            f"{model} has no chat_template.jinja, so its prompt is unknown. Export it to a new folder with one: "
            f"crosstune export {model} OUT --prompt paper-v1"
        )
    if engine == "vllm":
        refuse_in_vllm(model, "--engine vllm")
    if engine != "crosstune" and is_installed("vllm") and not is_gguf(model):
        return "vllm"
    if engine == "vllm":
        raise BadInputError("--engine vllm: vLLM is not installed (pip install vllm); --engine crosstune needs no GPU")
    if is_installed("starlette") and is_installed("uvicorn"):
        return "crosstune"
    raise BadInputError(
        f"to serve {model} a web server is needed: pip install 'crosstune[serve]'; for GPUs, "
        "pip install vllm brings a faster engine"
    )


def vllm_command(model: str, host: str, port: int, precision: Precision | None = None) -> list[str]:
    """Return the command that serves a model by vLLM, behind our guard and under its short name."""
    where = ["--host", host, "--port", str(port), "--served-model-name", name_of(model)]
    guard = ["--middleware", "crosstune.serve.guard.Guard"]
    dtype = ["--dtype", {"float32": "float32", "bf16": "bfloat16"}[precision]] if precision else []
    return [sys.executable, "-m", _VLLM, "serve", model, *where, *guard, *dtype]


def name_of(model: str) -> str:
    """Return the name under which clients ask for a model: no path of this machine goes out."""
    folder = Path(model)
    if not folder.exists():
        return model
    parts = folder.resolve().parts
    return parts[-2] if parts[-1] == "model" and len(parts) > 2 else parts[-1]


def _has_chat_template(folder: Path) -> bool:
    if any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    settings = folder / "tokenizer_config.json"
    return settings.exists() and '"chat_template"' in settings.read_text(encoding="utf-8", errors="replace")


def is_installed(module: str) -> bool:
    """Return whether a module can be imported; nothing is imported for that."""
    return importlib.util.find_spec(module) is not None
