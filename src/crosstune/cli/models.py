"""The commands with which a person tries a model and hands it over; each loads what it needs when it runs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crosstune.cli.options import MaxNewTokens, PrecisionOption, TemplateOptions, template_options
from crosstune.errors import BadInputError
from crosstune.languages.registry import split_direction
from crosstune.terminal.stopping import kept_when_stopped

if TYPE_CHECKING:
    from crosstune.serve.assistant import Assistant

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="a model folder or a GGUF file: runs/miniature/systems/ours/model")
]
Prompt = Annotated[
    Literal["paper-v1", "alpaca", "kullm"] | None,
    typer.Option("--prompt", help="prompt template, for a model without a chat template"),
]
Language = Annotated[str, typer.Option(metavar="CODE", help="language code: ko, ckb, pt-BR")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="port to listen on")]
Dtype = Annotated[Literal["float32", "bf16", "float16"], typer.Option("--dtype", help="precision of the weights")]
Host = Annotated[str, typer.Option("--host", help="0.0.0.0 opens it to other machines; there is no password")]


def chat(
    model: Model,
    max_new_tokens: MaxNewTokens = 256,
    temperature: Annotated[float, typer.Option(min=0, help="0: greedy")] = 0.0,
    top_p: Annotated[
        float, typer.Option(min=0, max=1, help="with --temperature: sample from this much probability mass")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="with --temperature: seed of the samples")] = 0,
    system: Annotated[str, typer.Option(metavar="TEXT", help="system message")] = "",
    history: Annotated[bool, typer.Option("--history", help="include earlier questions and answers")] = False,
    prompt: Prompt = None,
    precision: PrecisionOption = None,
    template_option: TemplateOptions = None,
) -> None:
    """Ask a model questions and stream its answers.

    In a pipe, each line is a question:  echo "Name a fruit." | crosstune chat MODEL
    """
    from crosstune.serve.chat import chat as run
    from crosstune.serve.decoding import Decoding

    if not temperature and (top_p < 1 or seed):
        raise BadInputError(
            "--top-p and --seed are of sampling, and --temperature 0 takes the likeliest token each time: add "
            "--temperature 0.7, or leave them out"
        )
    options = template_options(template_option)

    def load() -> "Assistant":
        from crosstune.serve.assistant import Assistant

        return Assistant(model, prompt, options, precision)

    run(load, Decoding(max_new_tokens, temperature, seed, top_p), system, history)


def translate(
    model: Model,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="text, one sentence per line", show_default="standard input"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="output file for FILE", show_default="FILE.CODE")
    ] = None,
    to: Language = "ko",
    source: Annotated[
        str,
        typer.Option("--from", metavar="CODE", help="language code: ko, ckb, pt-BR", show_default="en, or ko into en"),
    ] = "",
    instruction_language: Annotated[str, typer.Option(metavar="CODE", help="language of the instruction")] = "en",
    max_new_tokens: MaxNewTokens = 256,
    prompt: Prompt = None,
    precision: PrecisionOption = None,
    template_option: TemplateOptions = None,
) -> None:
    """Translate line by line, from a pipe or a file.

    An interrupted translation of a file resumes where it stopped:  crosstune translate MODEL book.txt --to ko
    """
    from crosstune.serve.assistant import Assistant, instructions_of
    from crosstune.serve.decoding import Decoding
    from crosstune.serve.translate import check_files, request_of, translate_file, translate_pipe

    request = request_of(to, source, instruction_language, Decoding(max_new_tokens))
    # Asked before the model is loaded: a wrong language or file is found at once.
    request.instruction(instructions_of(model))
    if file is None:
        if output is not None:
            raise BadInputError("--output is for FILE; of standard input, translations go to standard output")
        translate_pipe(Assistant(model, prompt, template_options(template_option), precision), request)
        return
    target = output or file.with_name(f"{file.name}.{split_direction(request.direction)[1]}")
    check_files(file, target)
    assistant = Assistant(model, prompt, template_options(template_option), precision)
    with kept_when_stopped():
        translate_file(assistant, request, file, target, model)
    sys.stdout.write(f"{target}\n")


def serve(
    model: Model,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    engine: Annotated[
        Literal["auto", "crosstune", "vllm"], typer.Option(help="auto: vLLM if installed, else crosstune's own")
    ] = "auto",
    precision: PrecisionOption = None,
    template_option: TemplateOptions = None,
) -> None:
    """Serve a model as an OpenAI-compatible API, with the prompt it was trained with. Needs the extra `serve`."""
    from crosstune.serve.server import serve as run

    run(model, host, port, engine, precision, template_options(template_option))


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="finished runs, such as runs/miniature")],
    port: Port = 7860,
    models_in_memory: Annotated[int, typer.Option(min=1, help="number of models to keep loaded")] = 8,
    votes: Annotated[
        Path | None, typer.Option(help="file for votes", show_default="preferences.jsonl of the first RUN")
    ] = None,
) -> None:
    """Open a local page where the systems of finished runs answer the same question side by side.

    Vote for the best answer, blind or not; votes are saved as rows of prompt, chosen and rejected. Needs the extra
    `web`.
    """
    from crosstune.serve.playground import compare as run

    run(runs, port, models_in_memory, votes)


def judge(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a finished run, such as runs/miniature")],
    url: Annotated[str, typer.Option(help="OpenAI-compatible endpoint, up to and with /v1")],
    model: Annotated[str, typer.Option(help="the judge's name at the endpoint")],
    system: Annotated[
        list[str] | None,
        typer.Option(help="a system to compare; repeatable", show_default="all that are scored"),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="a task to judge; repeatable", show_default="all with written answers")
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="number of items per task")] = 100,
    votes: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="blind votes to compare with")] = None,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="number of requests at a time")] = 4,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", min=1, help="length limit of a reply, reasoning included")
    ] = 1024,
) -> None:
    """Let a language model compare the answers of systems, each pair in both orders.

    Questions and answers are sent to the endpoint; its key is read from OPENAI_API_KEY. An interrupted call resumes
    where it stopped. Needs the extra `judge`.
    """
    from crosstune.judge.command import Wanted
    from crosstune.judge.command import run as judge_run
    from crosstune.judge.endpoint import Endpoint

    wanted = Wanted(system or (), task or (), items, votes, parallel)
    with kept_when_stopped():
        judge_run(run, Endpoint(url, model, max_new_tokens), wanted)


def export(
    model: Model,
    target: Annotated[Path, typer.Argument(metavar="OUT", help="a new folder; with --gguf, a new file")],
    dtype: Dtype = "bf16",
    max_shard_size: Annotated[
        str | None, typer.Option(help="size limit of one safetensors file", show_default="5GB")
    ] = None,
    gguf: Annotated[bool, typer.Option("--gguf", help="write GGUF with llama.cpp's converter")] = False,
    converter: Annotated[
        Path | None, typer.Option(help="with --gguf: path of convert_hf_to_gguf.py, if not on PATH")
    ] = None,
    prompt: Annotated[
        Literal["paper-v1", "alpaca", "kullm"] | None,
        typer.Option("--prompt", help="prompt template to write as chat template, in place of the model's own"),
    ] = None,
) -> None:
    """Write a model as safetensors in a chosen precision with adapters merged, or as GGUF."""
    from crosstune.serve.export import export as run
    from crosstune.serve.export import export_gguf

    if not gguf and converter:
        raise BadInputError("--converter writes GGUF: add --gguf, or leave --converter out")
    if gguf and (prompt or max_shard_size):
        raise BadInputError(
            "--gguf writes one file with the model's own chat template: leave out --prompt and --max-shard-size; for "
            "another template, export the folder with --prompt first, and that one with --gguf"
        )
    if gguf:
        export_gguf(Path(model), target, dtype, converter)
    else:
        run(model, target, dtype, max_shard_size or "5GB", prompt)


def push(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="a model folder")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="the hub repository")],
    public: Annotated[bool, typer.Option("--public", help="make it public")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be uploaded, and stop")] = False,
) -> None:
    """Upload a model folder to a hub repository, private by default."""
    from crosstune.serve.push import push as run

    run(model, repository, public, dry_run)


COMMANDS: dict[str, Callable[..., None]] = {
    "chat": chat,
    "translate": translate,
    "compare": compare,
    "serve": serve,
    "judge": judge,
    "export": export,
    "push": push,
}
