"""What the task files under ``tasks/`` call: documents with their prompts, and the scores of generated answers.

Prompts, the keyword rule and the metrics are those of our own loop (``generated_tasks``), so that lm-evaluation-harness
asks and counts the same.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from crosstune.errors import BadInputError
from crosstune.evaluate.items import harness_dataset
from crosstune.evaluate.scores import keyword_label, translation_metrics
from crosstune.languages.registry import split_direction
from crosstune.prompts.templates import TEMPLATES, Template
from crosstune.tasks.pawsx import BETWEEN
from crosstune.tasks.registry import all_tasks

Doc = dict[str, Any]


def keyword_dataset(path: str, task: str, prompt: str | Template = "paper-v1", **_: Any) -> dict[str, Any]:
    """Return a task's items with its instruction in a template, and its keywords as that template begins an answer."""
    template, spec = _template(prompt), all_tasks()[task]
    choices = [template.completion(word) for word in spec.keywords]

    def asked(item: Doc) -> Doc:
        return {
            "query": template.prompt(spec.instruction, item[spec.asked]),
            "choices": choices,
            "keywords": spec.keywords,
            "reference": spec.keywords[item["label"]],
            "completion_prefix": template.completion_prefix,
        }

    return _with(path, asked)


def translation_dataset(
    path: str, direction: str, instruction_language: str, prompt: str | Template = "paper-v1", **_: Any
) -> dict[str, Any]:
    """Return translation items with the paper's instruction for a direction, in a language."""
    template = _template(prompt)
    instruction = template.translation_instructions(direction, instruction_language, "paper")[0]
    source, target = split_direction(direction)

    def asked(item: Doc) -> Doc:
        return {
            "query": template.prompt(instruction, item[source]),
            "reference": item[target],
            "target_language": target,
            "completion_prefix": template.completion_prefix,
        }

    return _with(path, asked)


def paraphrase_dataset(path: str, language: str = "", **_: Any) -> dict[str, Any]:
    """Return pairs of sentences, joined by what says in a language that they mean the same or not.

    Raises:
        BadInputError: without a language whose words are known.
    """
    if language not in BETWEEN:
        raise BadInputError(f"metadata `language`: {language!r} is not one of {', '.join(BETWEEN)}")
    return _with(
        path, lambda item: {"choices": [item["sentence1"] + words + item["sentence2"] for words in BETWEEN[language]]}
    )


def click_text(doc: Doc) -> str:
    """Return a question of CLIcK with all of its choices, in the authors' words."""
    letters = click_letters(doc)
    lettered = zip(letters, doc["choices"], strict=True)
    options = ", ".join(f"{letter}:{' ' * (letter != 'A')}{text}" for letter, text in lettered)
    text = f"주어진 {'맥락을' if doc['paragraph'] else '질문을'} 천천히 읽고, "
    text += "질문에 대한 적절한 정답을" if doc["paragraph"] else "적절한 정답을"
    text += f" {', '.join(letters)} 중에 골라 알파벳 하나로 답하시오.\n\n"
    text += f"맥락: {doc['paragraph']}\n" if doc["paragraph"] else ""
    return f"{text}질문: {doc['question']}\n보기:\n{options}\n정답:"


def click_letters(doc: Doc) -> list[str]:
    """Return the letters of a question's choices."""
    return list("ABCDE"[: len(doc["choices"])])


def keyword_results(doc: Doc, results: Sequence[str]) -> Doc:
    """Count one answer by the keyword rule."""
    answer = keyword_label(_output(doc, results), doc["keywords"])
    is_right = float(answer == doc["label"])
    return {
        "acc": is_right,
        "answered": float(answer is not None),
        "both_keywords": float(all(word in results[0] for word in doc["keywords"])),
        "acc_answered": (float(answer is not None), is_right),
    }


def mean_of_answered(items: Sequence[tuple[float, float]]) -> float:
    """Return the accuracy among answered items; NaN when none was answered."""
    is_right = [right for answered, right in items if answered]
    return sum(is_right) / len(is_right) if is_right else float("nan")


def translation_results(doc: Doc, results: Sequence[str]) -> Doc:
    """Return what the corpus metrics need of one translation."""
    pair = (_output(doc, results), doc["reference"], doc["target_language"])
    return {"bleu": pair, "chrf++": pair}


def _corpus_score(metric: str, pairs: Sequence[tuple[str, str, str]]) -> float:
    outputs, references, languages = zip(*pairs, strict=True)
    return float(translation_metrics(languages[0])[metric].corpus_score(outputs, [references]).score)


bleu = partial(_corpus_score, "bleu")
chrf = partial(_corpus_score, "chrf++")


def _template(prompt: str | Template) -> Template:
    if isinstance(prompt, Template):
        return prompt
    if prompt not in TEMPLATES:
        raise BadInputError(f"metadata `prompt`: {prompt!r} is not a template; choose one of {', '.join(TEMPLATES)}")
    return TEMPLATES[prompt]


def _with(path: str, asked: Any) -> dict[str, Any]:
    return {split: items.map(asked) for split, items in harness_dataset(path).items()}


def _output(doc: Doc, results: Sequence[str]) -> str:
    return results[0].removeprefix(doc["completion_prefix"])
