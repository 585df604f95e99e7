"""Draw fertility against the number of new pieces, to choose it with eyes open."""

from dataclasses import asdict, dataclass

from rich.table import Table

from crosstune.errors import BadInputError
from crosstune.languages.registry import language_name
from crosstune.recipe import Languages, LearnedExtension, Recipe
from crosstune.runs.files import read_json, write_json, write_text
from crosstune.runs.folder import RunFolder
from crosstune.terminal.output import new_table
from crosstune.tokenizer import fertility
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.extension import by_target, learn_from, learnt_texts, prepared
from crosstune.tokenizer.folder import TOKENIZER
from crosstune.tokenizer.learn import first_pieces
from crosstune.tokenizer.shared_letters import BothTexts
from crosstune.tokenizer.stage import measured_lines
from crosstune.tokenizer.unused import unused_among

_DEFAULT_SHARES = (0.5, 0.75, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Point:
    """The lengths of one target-language text with a number of new pieces; 0 is the base.

    Attributes:
        unused_share: of the new pieces, those that the learning text is never cut into, other than single characters.
    """

    text: str
    num_new_pieces: int
    tokens_per_word: float
    bytes_per_token: float
    unused_share: float = 0.0


def sweep(recipe: Recipe, run: RunFolder, sizes: list[int]) -> list[Point]:
    """Measure each size and write ``sweep.json`` and ``sweep.svg``; without sizes, 0.5 to 2 times the recipe's.

    Pieces are learnt once, for the largest size: those of a smaller one are the first of them. Of several targets, each
    is measured alone, on its own text.

    Raises:
        BadInputError: when the recipe learns no extension, or a size is below the number of single characters.
    """
    settings = recipe.tokenizer.extension
    if not isinstance(settings, LearnedExtension):
        raise BadInputError(
            "sweep: only learned extensions have sizes, but the recipe's tokenizer.extension is "
            f"{'absent' if settings is None else 'given'}. Set tokenizer.extension to `kind: learned`."
        )
    base = BpeTokenizer(read_json(run.tokenizer("base") / TOKENIZER))
    measured, is_alone = measured_lines(recipe, run), len(recipe.languages.pairs) == 1
    points: list[Point] = []
    for own, pair in zip(by_target(settings, recipe.languages), recipe.languages.pairs, strict=True):
        wanted = sorted(set(sizes)) or [round(own.total_new_pieces * share) for share in _DEFAULT_SHARES]
        name = "" if is_alone else f", {language_name(pair.target, 'en')}"
        texts = {f"{label}{name}": sides[pair.target] for label, sides in measured.items() if pair.target in sides}
        largest = own.model_copy(update={"num_new_pieces": wanted[-1]})
        if wanted[-1]:
            points += _points(base, pair, largest, learnt_texts(largest, recipe, run, pair), texts, wanted)
    folder = run.root / "tokenizer"
    write_json(folder / "sweep.json", {"word_splitter": fertility.WORD_SPLITTER, "points": list(map(asdict, points))})
    write_text(folder / "sweep.svg", as_svg(points))
    return points


def _points(
    base: BpeTokenizer,
    pair: Languages,
    largest: LearnedExtension,
    learnt: BothTexts,
    texts: dict[str, list[str]],
    sizes: list[int],
) -> list[Point]:
    """Return one target's texts at each size, from pieces that are learnt for the largest."""
    learner = prepared(largest, [pair], base)
    new = learn_from(largest, pair, learner, learnt)
    points = _measure(0, base, texts)
    for size in sizes:
        part = first_pieces(learner, new, size)
        # Where the mixture gives no more pieces, larger sizes would only repeat the last point.
        if points and len(part.pieces) > points[-1].num_new_pieces:
            unused_share = unused_among(learner, part).share
            points += _measure(len(part.pieces), learner.with_pieces(part.pieces, part.merges), texts, unused_share)
    return points


def as_table(points: list[Point]) -> Table:
    """Return the tokens per word as a table for the terminal, a row for each size and a column for each text."""
    table = new_table(f"tokens per {fertility.WORD_SPLITTER} word")
    for heading in ("new pieces", *_texts(points), "unused pieces"):
        table.add_column(heading, justify="right")
    lengths = {(point.num_new_pieces, point.text): f"{point.tokens_per_word:.3f}" for point in points}
    # Of several targets, not each has every size.
    for size in sorted({point.num_new_pieces for point in points}):
        unused = max(point.unused_share for point in points if point.num_new_pieces == size)
        table.add_row(f"{size:,}", *(lengths.get((size, text), "–") for text in _texts(points)), f"{unused:.0%}")
    table.caption = "unused: new pieces that the text they were learned from never holds, only steps to longer ones"
    return table


def as_svg(points: list[Point]) -> str:
    """Return a line chart of tokens per word, one line for each text; the base, far above the others, is a number."""
    drawn = [point for point in points if point.num_new_pieces]
    most = max(point.num_new_pieces for point in drawn)
    low, high = (choose(point.tokens_per_word for point in drawn) for choose in (min, max))
    left, right, top, bottom = 40, 520, 60, 270

    def place(point: Point) -> tuple[float, float]:
        x = left + (right - left) * point.num_new_pieces / most
        y = top + (bottom - 20 - top) * (high - point.tokens_per_word) / max(high - low, 1e-9)
        return round(x, 1), round(y, 1)

    parts = [
        f'<text x="{left}" y="20">tokens per {fertility.WORD_SPLITTER} word (the axis does not begin at 0)</text>',
        f'<path d="M {left} {bottom} H {right}" stroke="gray"/>',
        f'<text x="{(left + right) / 2}" y="{bottom + 42}" text-anchor="middle">new pieces</text>',
    ]
    for size, x in {point.num_new_pieces: place(point)[0] for point in drawn}.items():
        parts.append(f'<text x="{x}" y="{bottom + 20}" text-anchor="middle">{size:,}</text>')
    for name in _texts(points):
        line = [(point, *place(point)) for point in drawn if point.text == name]
        path = " ".join(f"{x},{y}" for _, x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="black"/>')
        base = next(point.tokens_per_word for point in points if point.text == name)
        parts.append(f'<text x="{right + 12}" y="{line[-1][2] + 4}">{_escape(name)} (base: {base:.2f})</text>')
        for point, x, y in line:
            parts.append(f'<circle cx="{x}" cy="{y}" r="3"/>')
            parts.append(f'<text x="{x + 4}" y="{y - 8}" text-anchor="middle">{point.tokens_per_word:.2f}</text>')
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 324" font-family="sans-serif"'
    return f'{head} font-size="12" style="background: white">\n' + "\n".join(parts) + "\n</svg>\n"


def _texts(points: list[Point]) -> list[str]:
    return list(dict.fromkeys(point.text for point in points))


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _measure(size: int, tokenizer: BpeTokenizer, texts: dict[str, list[str]], unused_share: float = 0.0) -> list[Point]:
    rows = [fertility.measure(name, "", lines, "", tokenizer.tokenizer) for name, lines in texts.items()]
    return [Point(row.text, size, row.tokens_per_word, row.bytes_per_token, unused_share) for row in rows]
