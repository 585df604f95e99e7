"""What the task files under ``tasks/`` call: documents with their prompts, and the scores of generated answers.

Prompts, the keyword rule and the metrics are those of our own loop (``generated_tasks``), so that lm-evaluation-harness
asks and counts the same.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from crosstune.errors import BadInputError
from crosstune.evaluate.items import harness_dataset
from crosstune.evaluate.scores import KEYWORDS, keyword_label, translation_metrics
from crosstune.languages.registry import split_direction
from crosstune.prompts.templates import NSMC_INSTRUCTION, TEMPLATES, Template

Doc = dict[str, Any]


def nsmc_dataset(path: str, prompt: str | Template = "paper-v1", **_: Any) -> dict[str, Any]:
    """Return NSMC's items with the paper's question in a template, and both answers as that template begins them."""
    template = _template(prompt)
    choices = [template.completion(word) for word in KEYWORDS]

    def asked(item: Doc) -> Doc:
        return {
            "query": template.prompt(NSMC_INSTRUCTION, item["document"]),
            "choices": choices,
            "reference": KEYWORDS[item["label"]],
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
            "completion_prefix": template.completion_prefix,
        }

    return _with(path, asked)


def nsmc_results(doc: Doc, results: Sequence[str]) -> Doc:
    """Count one answer by the keyword rule."""
    answer = keyword_label(_output(doc, results))
    is_right = float(answer == doc["label"])
    return {
        "acc": is_right,
        "answered": float(answer is not None),
        "both_keywords": float(all(word in results[0] for word in KEYWORDS)),
        "acc_answered": (float(answer is not None), is_right),
    }


def mean_of_answered(items: Sequence[tuple[float, float]]) -> float:
    """Return the accuracy among answered items; NaN when none was answered."""
    is_right = [right for answered, right in items if answered]
    return sum(is_right) / len(is_right) if is_right else float("nan")


def translation_results(doc: Doc, results: Sequence[str]) -> Doc:
    """Return what the corpus metrics need of one translation."""
    pair = (_output(doc, results), doc["reference"])
    return {"bleu": pair, "chrf++": pair}


def _corpus_score(metric: str, target_language: str, pairs: Sequence[tuple[str, str]]) -> float:
    outputs, references = zip(*pairs, strict=True)
    return float(translation_metrics(target_language)[metric].corpus_score(outputs, [references]).score)


bleu_into_ko = partial(_corpus_score, "bleu", "ko")
bleu_into_en = partial(_corpus_score, "bleu", "en")
chrf = partial(_corpus_score, "chrf++", "en")


def _template(prompt: str | Template) -> Template:
    if isinstance(prompt, Template):
        return prompt
    if prompt not in TEMPLATES:
        raise BadInputError(f"metadata `prompt`: {prompt!r} is no template; there are {', '.join(TEMPLATES)}")
    return TEMPLATES[prompt]


def _with(path: str, asked: Any) -> dict[str, Any]:
    return {split: items.map(asked) for split, items in harness_dataset(path).items()}


def _output(doc: Doc, results: Sequence[str]) -> str:
    return results[0].removeprefix(doc["completion_prefix"])
