"""The mixture that a recipe trains on, and the one that new pieces are learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crosstune.init.benchmarks import translation_cells
from crosstune.init.found import FoundFile
from crosstune.init.sources import Sources
from crosstune.recipe import Languages
from crosstune.tokenizer.bpe import BpeTokenizer

# Source-language text beside target text, so that the source is not forgotten: a quarter of the tokens, at most.
_REPLAY = 0.25
# What instructions in one language may be more than in the other; translations may be twice as many as instructions.
_MOST_TIMES = 2


@dataclass(frozen=True)
class Mixture:
    """What is trained on.

    Attributes:
        parts: as the recipe has them.
        num_rows: of all parts, before documents are packed.
        shares: of each source in them, by its name: of rows, or of tokens where rows are documents.
        why: in a sentence.
    """

    parts: tuple[dict[str, Any], ...]
    num_rows: int
    shares: dict[str, float]
    why: str


def mix(chosen: Sources, languages: Languages, base: BpeTokenizer) -> Mixture | None:
    """Choose the mixture: translations in both directions and instructions in both languages; else text with replay.

    None where nothing is in the target language.
    """
    parallel = chosen.of("parallel") if translation_cells(languages)["instruction_languages"] else []
    own = chosen.of("instructions", languages.target)
    if parallel or own:
        known = chosen.of("instructions", languages.source)
        parts = _balanced(chosen, parallel, own, known, languages)
        why = _what(parallel, own, known)
    else:
        text = chosen.of("text", languages.target)
        if not text:
            return None
        return _text_with_replay(chosen, text, chosen.of("text", languages.source), base)
    rows = _rows(chosen, parts)
    total = sum(rows.values())
    return Mixture(tuple(parts), total, {name: number / max(1, total) for name, number in rows.items()}, why)


def _what(parallel: Sequence[str], own: Sequence[str], known: Sequence[str]) -> str:
    """Say what the mixture holds of what learns most and forgets least, and what it lacks."""
    wanted = {
        "translations in both directions": parallel,
        "instructions in the target language": own,
        "instructions in the source language": known,
    }
    there, lacks = ([what for what, names in wanted.items() if bool(names) == has] for has in (True, False))
    gain = "most gain, least forgetting" if not lacks else f"there are no {' and no '.join(lacks)}"
    return f"{', '.join(there)}: {gain}"


def _balanced(
    chosen: Sources, parallel: Sequence[str], own: Sequence[str], known: Sequence[str], languages: Languages
) -> list[dict[str, Any]]:
    rows = {name: chosen.files[name].rows for name in (*parallel, *own, *known)}
    translations, target = sum(rows[name] for name in parallel), sum(rows[name] for name in own)
    most = _MOST_TIMES * max(target, translations // _MOST_TIMES)
    parts = [_part(name, rows[name], most, sum(rows[one] for one in known)) for name in known]
    parts += [{"source": name} for name in own]
    limit = _largest_source([rows[name] for name in parallel])
    cells = {**translation_cells(languages), "combinations_per_pair": 1, "wordings": "train"}
    for name in parallel:
        cap = {"max_rows": limit} if rows[name] > limit else {}
        parts.append({"source": name, **cap, **cells})
    return parts


def _part(name: str, rows: int, most: int, total: int) -> dict[str, Any]:
    """Return a part that is cut to its share where all parts together are more than they may be."""
    return {"source": name} if total <= most else {"source": name, "max_rows": max(1, most * rows // total)}


def _largest_source(rows: Sequence[int]) -> int:
    """Return how many rows a source may give: no more than all others together, or it floods them with its domain."""
    if len(rows) < 2:
        return max(rows, default=0)
    largest = max(rows)
    return max(sum(rows) - largest, min(largest, 1000))


def _text_with_replay(chosen: Sources, text: Sequence[str], known: Sequence[str], base: BpeTokenizer) -> Mixture:
    """Return all text in the target language, and of the source language's no more than its share.

    Weights would cut the whole mixture down to its scarcest source.
    """
    tokens = {name: _tokens(chosen.files[name], base) for name in (*text, *known)}
    target, source = (sum(tokens[name] for name in names) for names in (text, known))
    kept = min(1.0, target * _REPLAY / (1 - _REPLAY) / max(1.0, source))
    parts: list[dict[str, Any]] = [{"source": name} for name in text]
    for name in known:
        cap = {} if kept == 1.0 else {"max_rows": max(1, round(kept * chosen.files[name].rows))}
        parts.append({"source": name, **cap})
        tokens[name] *= kept
    total = max(1.0, target + kept * source)
    why = "no translations or instructions in the target language: continued pretraining on text"
    most = "at most " if any(chosen.files[name].has_more for name in text) else ""
    share = f", {most}{kept * source / total:.0%} of it in the source language"
    why += share if known else "; without source text it may forget much"
    return Mixture(
        tuple(parts), sum(_rows(chosen, parts).values()), {name: one / total for name, one in tokens.items()}, why
    )


def _tokens(file: FoundFile, base: BpeTokenizer) -> float:
    """Return about how many tokens a file of text has, by those of a sample."""
    sample = [row["text"] for row in file.sample]
    return file.characters * sum(map(len, base.encode_lines(sample))) / max(1, sum(map(len, sample)))


def _rows(chosen: Sources, parts: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {part["source"]: part.get("max_rows", chosen.files[part["source"]].rows) for part in parts}


def pieces_mixture(chosen: Sources, languages: Languages) -> list[dict[str, Any]]:
    """Return what new pieces are learned from: all text in the target language, instructions only where that is all."""
    parts: list[dict[str, Any]] = [{"source": name} for name in chosen.of("text", languages.target)]
    parts += [{"source": name, "as_text": languages.target} for name in chosen.of("parallel")]
    return parts or [{"source": name} for name in chosen.of("instructions", languages.target)]
