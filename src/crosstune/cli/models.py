"""The commands with which a person tries a model and hands it over; each loads what it needs when it runs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from crosstune.cli.options import MaxNewTokens
from crosstune.terminal import kept_when_stopped

Model = Annotated[str, typer.Argument(metavar="MODEL", help="a model folder, as runs/miniature/systems/ours/model")]
Prompt = Annotated[
    Literal["paper-v1", "alpaca", "kullm"] | None,
    typer.Option("--prompt", help="the prompt template, for a model without chat template"),
]
Language = Annotated[str, typer.Option(metavar="CODE", help="language code: ko, ckb, pt-BR")]
Dtype = Annotated[Literal["float32", "bf16", "float16"], typer.Option("--dtype", help="precision of the weights")]
Host = Annotated[str, typer.Option("--host", help="0.0.0.0 lets other machines in; there is no password")]


def chat(
    model: Model,
    max_new_tokens: MaxNewTokens = 256,
    temperature: Annotated[float, typer.Option(min=0, help="0: always the likeliest token")] = 0.0,
    top_p: Annotated[float, typer.Option(min=0, max=1, help="draw among the likeliest with so much probability")] = 1.0,
    seed: Annotated[int, typer.Option(help="of the draws, where the temperature is above 0")] = 0,
    system: Annotated[str, typer.Option(metavar="TEXT", help="what the model is told before the first question")] = "",
    history: Annotated[bool, typer.Option("--history", help="send earlier questions and answers along")] = False,
    prompt: Prompt = None,
) -> None:
    """Ask a model questions, and read the answers as they are written.

    In a pipe, each line is a question:  echo "Name a fruit." | crosstune chat MODEL
    """
    from crosstune.serve.assistant import Assistant
    from crosstune.serve.chat import chat as run
    from crosstune.serve.stream import Decoding

    run(Assistant(model, prompt), Decoding(max_new_tokens, temperature, seed, top_p), system, history)


def translate(
    model: Model,
    file: Annotated[Path | None, typer.Argument(help="text, one sentence per line; standard input if absent")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="where a FILE's translation goes [FILE.CODE]")] = None,
    to: Language = "ko",
    source: Annotated[str, typer.Option("--from", metavar="CODE", help="language code: ko, ckb, pt-BR")] = "",
    instruction_language: Annotated[str, typer.Option(metavar="CODE", help="language of the instruction")] = "en",
    max_new_tokens: MaxNewTokens = 256,
    prompt: Prompt = None,
) -> None:
    """Translate line by line: a pipe as its lines come, or a file, with progress.

    A file's translation that was interrupted goes on where it stopped:  crosstune translate MODEL book.txt --to ko
    """
    from crosstune.serve.assistant import Assistant, instructions_of
    from crosstune.serve.stream import Decoding
    from crosstune.serve.translate import Request, translate_file, translate_pipe

    source = source or ("ko" if to == "en" else "en")
    request = Request(f"{source}-{to}", instruction_language, Decoding(max_new_tokens))
    # Asked before the model is loaded: a wrong language is found at once.
    request.instruction(instructions_of(model))
    assistant = Assistant(model, prompt)
    if file is None:
        translate_pipe(assistant, request)
        return
    target = output or file.with_name(f"{file.name}.{to}")
    with kept_when_stopped():
        translate_file(assistant, request, file, target, model)
    sys.stdout.write(f"{target}\n")


def serve(
    model: Model,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8000,
    engine: Annotated[
        Literal["auto", "crosstune", "vllm"], typer.Option(help="auto: vLLM where it is installed, else our own")
    ] = "auto",
) -> None:
    """Serve a model to any OpenAI client of this machine, asked as it was trained."""
    from crosstune.serve.server import serve as run

    run(model, host, port, engine)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="finished runs, as runs/miniature")],
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 7860,
    models_in_memory: Annotated[int, typer.Option(min=1, help="models kept loaded; fewer need less memory")] = 8,
    votes: Annotated[
        Path | None, typer.Option(help="where preferences go [preferences.jsonl of the first RUN]")
    ] = None,
) -> None:
    """Open a local page on which the systems of finished runs answer the same question side by side.

    Say which answer is best, with names hidden or not, and the votes are saved as rows of prompt, chosen and rejected.
    """
    from crosstune.serve.playground import compare as run

    run(runs, port, models_in_memory, votes)


def export(
    model: Model,
    target: Annotated[Path, typer.Argument(metavar="OUT", help="a new folder; with --gguf, a new file")],
    dtype: Dtype = "bf16",
    max_shard_size: Annotated[str, typer.Option(help="of one safetensors file")] = "5GB",
    gguf: Annotated[bool, typer.Option("--gguf", help="write GGUF, with llama.cpp's converter")] = False,
    converter: Annotated[Path | None, typer.Option(help="where convert_hf_to_gguf.py lies, if not on PATH")] = None,
    prompt: Prompt = None,
) -> None:
    """Write a model as safetensors in a chosen precision, adapters merged; or as GGUF."""
    from crosstune.serve.export import export as run
    from crosstune.serve.export import export_gguf

    if gguf:
        export_gguf(Path(model), target, dtype, converter)
    else:
        run(model, target, dtype, max_shard_size, prompt)


def push(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="a model folder")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="the hub repository")],
    public: Annotated[bool, typer.Option("--public", help="let everyone read it [private]")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would go, and send nothing")] = False,
) -> None:
    """Upload a model folder to a hub repository, private unless you say otherwise."""
    from crosstune.serve.push import push as run

    run(model, repository, public, dry_run)


COMMANDS: dict[str, Callable[..., None]] = {
    "chat": chat,
    "translate": translate,
    "compare": compare,
    "serve": serve,
    "export": export,
    "push": push,
}
