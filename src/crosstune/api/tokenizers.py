"""Tokenizers: choose a number of new pieces, extend a tokenizer, verify one against its base."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.api.arguments import several, within
from crosstune.runs import pipeline

if TYPE_CHECKING:
    from crosstune.recipe import Recipe
    from crosstune.tokenizer.sweep import Point


def sweep(recipe: "Recipe", sizes: Sequence[int] = ()) -> list["Point"]:
    """Measure the length of target-language text with several numbers of new pieces.

    Makes the mixtures and tokenizers if they are not there. Without ``sizes``, 0.5 to 2 times the recipe's number.
    """
    for size in sizes:
        within(1, sizes=size)
    from crosstune.tokenizer.sweep import sweep as measure

    with pipeline.stages_run(recipe, ("data", "tokenizer"), "crosstune.sweep(recipe)", False) as folder:
        return measure(recipe, folder, list(sizes))


def extend_tokenizer(
    base: str | Path,
    out: str | Path,
    texts: Iterable[str],
    *,
    target: str = "ko",
    source: str = "en",
    source_texts: Iterable[str] = (),
    **settings: Any,
) -> dict[str, Any]:
    """Extend a tokenizer to a language by texts, prove the extension, and write it as a folder.

    Args:
        base: a tokenizer or model folder, or a SentencePiece .model file.
        out: the new folder; AutoTokenizer loads it.
        texts: target-language texts to learn pieces from.
        target: the language that is learned.
        source: the language whose text must be cut as before.
        source_texts: source-language texts; needed where both languages share their letters.
        settings: of ``tokenizer.extension`` in a recipe, as ``num_new_pieces=4000``.

    Returns:
        The proof, property by property, as ``verification.json`` holds it, and how many pieces there are.

    Raises:
        CrosstuneError: when the tokenizer cannot be extended so, or a property does not hold.
    """
    texts, source_texts = several("texts", texts), several("source_texts", source_texts)
    from crosstune.tokenizer.from_texts import extend

    return extend(Path(base), Path(out), (target, source), (list(texts), list(source_texts)), settings)


def verify(
    tokenizer: str | Path,
    base: str | Path,
    texts: Sequence[str | Path] = (),
    *,
    parallel: tuple[str | Path, str | Path] | None = None,
    source: str = "en",
    target: str = "ko",
) -> dict[str, Any]:
    """Check that an extended tokenizer keeps what its base does, and measure how much shorter text becomes.

    Args:
        tokenizer: the extended one: a folder or .model file.
        base: what it was made from.
        texts: files of UTF-8 text, one line each; every file is a domain of its own.
        parallel: two files whose n-th lines are translations, the source language first.
        source: the source language.
        target: the target language.

    Returns:
        What ``crosstune verify --json`` prints; ``["holds"]`` says whether all properties hold.
    """
    several("texts", texts)
    from crosstune.recipe import Languages
    from crosstune.tokenizer.verify_command import ComparedTexts, compare

    pair = (Path(parallel[0]), Path(parallel[1])) if parallel else None
    return compare(
        Path(tokenizer),
        Path(base),
        ComparedTexts(list(map(Path, texts)), pair, Languages(source=source, target=target)),
    )
