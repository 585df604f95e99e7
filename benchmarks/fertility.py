"""Measure how much shorter languages become, on the messages of Django, which are translated into ninety languages.

    pip download django --no-deps --no-binary :none: && unzip django-*.whl -d django
    python benchmarks/fertility.py django TOKENIZER... --languages hi th ka de tr --json results.json

TOKENIZER is a folder with tokenizer.json. Pieces are learnt on four fifths of the messages, and everything is measured
on the last fifth: tokens of the translation per token of the English message by the base, by its extension, and by its
extension with a branch of the pre-tokenizer, where the base parts words; and the share of English words that are cut
otherwise. Results are printed as JSON.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import polib

from crosstune.languages.registry import is_in, shares_letters
from crosstune.runs.files import write_json
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extend import extend
from crosstune.tokenizer.learn import LearnRequest, NewPieces, learn_new_pieces
from crosstune.tokenizer.shared_letters import BothTexts, learn_beside_source
from crosstune.tokenizer.word_branch import with_whole_words


def messages(django: Path, language: str) -> list[tuple[str, str]]:
    """Return English messages and their translations."""
    found = []
    for path in sorted(django.glob("**/locale/*/LC_MESSAGES/*.po")):
        if is_in(path.parents[1].name, language):
            entries = (entry for entry in polib.pofile(str(path)) if entry.translated() and not entry.msgid_plural)
            found += [(entry.msgid, entry.msgstr) for entry in entries]
    return list(dict.fromkeys(found))


def learn(base: BpeTokenizer, pairs: Sequence[tuple[str, str]], setting: LearnRequest) -> NewPieces:
    english, texts = zip(*pairs, strict=True)
    if shares_letters(setting.language, setting.source):
        return learn_beside_source(base, BothTexts(texts, english), setting, unchanged=lambda new: new)
    return learn_new_pieces(base, texts, setting)


def measure(base: BpeTokenizer, pairs: Sequence[tuple[str, str]], setting: LearnRequest) -> dict[str, float]:
    unseen, seen = pairs[::5], [pair for index, pair in enumerate(pairs) if index % 5]
    english, texts = ([pair[side] for pair in unseen] for side in (0, 1))
    num_english = sum(map(len, base.encode_lines(english)))
    row = {"messages": len(pairs), "base": sum(map(len, base.encode_lines(texts))) / num_english}
    is_shared = shares_letters(setting.language, setting.source)
    whole = base if is_shared else with_whole_words(base, setting.language, setting.source)
    for name, learner in {"extended": base, "whole_words": whole}.items():
        if name == "extended" or whole is not base:
            new = learn(learner, seen, setting)
            extended = extend(learner, new, len(new.pieces))
            row[name] = sum(map(len, extended.encode_lines(texts))) / num_english
            words = [f" {word}" for line in english for word in line.split()]
            pairs_of_ids = zip(base.encode_lines(words), extended.encode_lines(words), strict=True)
            row[f"{name}_pieces"] = len(new.pieces)
            row[f"{name}_english_cut_otherwise"] = sum(old != new for old, new in pairs_of_ids) / len(words)
    return {key: round(value, 4) for key, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("django", type=Path)
    parser.add_argument("tokenizers", type=Path, nargs="+")
    parser.add_argument("--languages", nargs="+", default=["hi", "th", "ka", "ko", "de", "tr", "vi"])
    parser.add_argument("--pieces", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for folder in arguments.tokenizers:
        base = BpeTokenizer(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))
        for language in arguments.languages:
            found = measure(
                base, messages(arguments.django, language), LearnRequest(language, arguments.pieces, "seen")
            )
            rows.append({"tokenizer": folder.name, "language": language} | found)
            print(json.dumps(rows[-1]), flush=True)
    if arguments.json:
        write_json(arguments.json, {"pieces": arguments.pieces, "rows": rows})


if __name__ == "__main__":
    main()
