"""What BLEU of translations into a language needs beside sacreBLEU itself."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from crosstune.errors import BadInputError
from crosstune.languages.registry import language, language_name


def bleu_problem(code: str) -> str | None:
    """Return what is missing for BLEU of translations into a language, and how to get it; None if nothing is."""
    tokenizer = language(code).bleu_tokenizer
    if tokenizer == "ja-mecab" and not (find_spec("MeCab") and find_spec("ipadic")):
        return 'BLEU into Japanese cuts words with MeCab, which is not installed: pip install "sacrebleu[ja]"'
    if tokenizer == "flores200" and not _flores_model().is_file():
        return (
            f"BLEU into {language_name(code, 'en')} cuts text by FLORES-200's SentencePiece model, which sacreBLEU "
            "downloads when it first needs it. Run this once with a network, or put the file to "
            f"{_flores_model()}: python -c \"import sacrebleu; sacrebleu.BLEU(tokenize='flores200')\""
        )
    return None


def refuse_missing_bleu(targets: Iterable[str]) -> None:
    """Check that BLEU can be computed of translations into some languages.

    Raises:
        BadInputError: with what is missing.
    """
    problems = [problem for code in sorted({*targets}) if (problem := bleu_problem(code))]
    if problems:
        raise BadInputError("evaluate.tasks: translations cannot be scored: " + "; ".join(problems))


def _flores_model() -> Path:
    from sacrebleu.utils import SACREBLEU_DIR

    return Path(SACREBLEU_DIR) / "models" / "flores200sacrebleuspm"
