"""Models: score one on published benchmarks, load one to ask it, translate with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crosstune.api.arguments import several, within
from crosstune.terminal.output import console, results
from crosstune.terminal.output import quiet as silent

if TYPE_CHECKING:
    from crosstune.precision import Precision
    from crosstune.serve.assistant import Assistant


def score(
    model: str | Path,
    data_root: str | Path | None = None,
    suite: Literal["paper", "korean", "multilingual", "chat", "all"] = "paper",
    *,
    tasks: Sequence[str] = (),
    language: Sequence[str] = (),
    num_fewshot: int | None = None,
    chat_template: bool = False,
    copies: str | Path | None = None,
    source: str = "en",
    target: str = "ko",
    split: Literal["test", "dev"] = "test",
    limit: int | None = None,
    skip_missing: bool = False,
    prompt: Literal["paper-v1", "alpaca", "kullm", "chat"] = "paper-v1",
    template_options: Mapping[str, bool | int | float | str | None] | None = None,
    max_new_tokens: int = 256,
    tokenizer: str | Path = "",
    out: str | Path | None = None,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Score a model on published benchmarks whose files lie under a folder, as ``crosstune score``.

    Args:
        model: a model folder, or a hub id.
        data_root: folder with the benchmark files; the suite ``chat`` needs none in English and Korean.
        suite: which benchmarks, of those that exist in the two languages.
        tasks: only these, of any suite, as ``instructions``.
        language: instead of a suite, all benchmarks that lm-evaluation-harness has in these languages, as ``["ko"]``.
        num_fewshot: with ``language``, solved examples before each question; each task's own number if absent.
        chat_template: with ``language``, ask in the model's chat template.
        copies: with ``language``, a folder with copies of the hub's data sets, each in OWNER/NAME.
        source: the language that the model knew.
        target: the language that it was extended to.
        split: ``dev`` takes development files, of benchmarks that have them.
        limit: draw at most so many items of each benchmark.
        skip_missing: continue without files that are not there.
        prompt: the template around instructions; ``chat`` is the tokenizer's own.
        template_options: with the prompt ``chat``, what the template may be asked for: ``{"enable_thinking": False}``.
        max_new_tokens: maximum length of an answer, in tokens.
        tokenizer: a folder or hub id; the model's own if empty.
        out: where the scores go; below ``runs`` if absent.
        quiet: print nothing.

    Returns:
        A row for each score: system, task, metric, value, interval, number of items.
    """
    tasks, language = several("tasks", tasks), several("language", language)
    within(1, limit=limit, max_new_tokens=max_new_tokens)
    within(0, num_fewshot=num_fewshot)
    from crosstune.evaluate.find_benchmarks import Choice
    from crosstune.evaluate.score import Asked, language_suite
    from crosstune.evaluate.score import score as score_model
    from crosstune.report.scores import to_rows

    asked = Asked(str(model), str(tokenizer or model), None, prompt, max_new_tokens, "float32", template_options or {})
    root = None if data_root is None else Path(data_root)
    choice = Choice(suite, root, split, limit, skip_missing, source, target, tuple(tasks))
    with silent(console, quiet), silent(results, quiet):
        folder = Path(copies) if copies else None
        in_languages = language_suite(choice, ",".join(language), num_fewshot, chat_template, folder)
        return to_rows(*score_model(asked, choice, Path(out) if out else None, in_languages))


def load_assistant(
    model: str | Path, prompt: str | None = None, *, precision: "Precision | None" = None
) -> "Assistant":
    """Load a model to ask it questions.

    Args:
        model: a folder, a GGUF file or a hub id.
        prompt: the template of a model without a chat template.
        precision: of the weights; without one float32, and bf16 on a GPU.
    """
    from crosstune.serve.assistant import Assistant

    return Assistant(str(model), prompt, precision=precision)


def translate(
    model: "str | Path | Assistant",
    lines: Sequence[str],
    to: str = "ko",
    *,
    source: str = "",
    instruction_language: str = "en",
    max_new_tokens: int = 256,
) -> list[str]:
    """Translate lines, each by itself; says how many translations were cut off, and how many lines came back unchanged.

    Args:
        model: a model folder, a hub id, or what `load_assistant` returned.
        lines: one text each; blank ones stay blank.
        to: the language of the translations.
        source: the language of the lines; English without one, and Korean into English.
        instruction_language: of the instruction that asks for the translation.
        max_new_tokens: where a translation is cut.
    """
    several("lines", lines)
    within(1, max_new_tokens=max_new_tokens)
    from crosstune.serve.decoding import Decoding
    from crosstune.serve.translate import is_copy, request_of, tell_failures, translate_lines

    request = request_of(to, source, instruction_language, Decoding(max_new_tokens))
    assistant = load_assistant(model) if isinstance(model, str | Path) else model
    found = translate_lines(assistant, request, lines)
    num_cut = sum(not finished for _, finished in found)
    num_copies = sum(is_copy(line, text) for line, (text, _) in zip(lines, found, strict=True))
    tell_failures(len(lines), num_cut, num_copies, request)
    return [text for text, _ in found]
