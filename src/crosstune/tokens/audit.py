"""The audit of what training will read: rendered examples with supervised tokens marked, shares, lengths, cuts."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from crosstune.errors import BadInputError
from crosstune.models.load import load_tokenizer
from crosstune.recipe import Recipe
from crosstune.runs.files import write_json
from crosstune.runs.folder import RunFolder
from crosstune.terminal.output import new_table
from crosstune.tokens.encode import encode_prompts
from crosstune.tokens.store import mixture_tokens, rendered_with_controls

_SHOWN = 3
_SHOWN_CHARACTERS = 600
_PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True)
class SourceAudit:
    """What one source gives to a training phase.

    Attributes:
        prompts: share of the examples that have a prompt; the others are plain text.
        supervised: share of the tokens that the loss counts.
        lengths: in tokens; the 50th, 90th, 99th percentile and the longest.
        cut: completions longer than the stage's maximum length (plain text goes on in the next row instead).
        crossing: examples whose whole text, tokenized at once, would have a piece across the border of the prompt.
    """

    source: str
    examples: int
    prompts: float
    tokens: int
    supervised: float
    lengths: tuple[int, ...]
    cut: int
    crossing: int


@dataclass(frozen=True)
class Use:
    """A mixture under a tokenizer, as some phases of some systems train on it."""

    mixture: str
    tokenizer: str
    max_length_tokens: int
    on_too_long: str
    systems: tuple[str, ...]

    @property
    def title(self) -> str:
        """Return how the audit is headed."""
        limit = f"at most {self.max_length_tokens} tokens"
        return f"mixture {self.mixture}, {self.tokenizer} tokenizer, {limit} (for {', '.join(self.systems)})"


def audit(recipe: Recipe, run: RunFolder, console: Console) -> None:
    """Print the audit of every mixture that a phase trains on, and write it to ``data/audit.json``.

    Raises:
        BadInputError: after all is printed, when an example breaks a rule, or a completion would be cut and its phase
            does not say what then.
    """
    problems: list[str] = []
    facts = []
    for use in _uses(recipe):
        tokens = mixture_tokens(run, use.mixture, use.tokenizer)
        tokenizer = load_tokenizer(str(run.tokenizer(use.tokenizer)))
        examples = pq.read_table(run.mixture(use.mixture) / "examples.parquet")
        with_controls = rendered_with_controls(run, use.mixture)
        problems += check(tokens, examples, tokenizer, use.mixture, with_controls)
        sources = audit_sources(tokens, use.max_length_tokens)
        facts.append({**asdict(use), "sources": [asdict(source) for source in sources]})
        console.print(_as_table(use.title, sources), soft_wrap=True)
        for part in recipe.data.mixtures[use.mixture]:
            if part.wording_noise:
                console.print(
                    f"{part.source}: wording_noise in {part.wording_noise:.0%} of the translation instructions"
                )
        for source in sources:
            console.print(f"\n{source.source}:", style="bold")
            for example in rendered(tokens, source.source, tokenizer, use.max_length_tokens):
                console.print(example, soft_wrap=True)
        console.print()
        problems += _too_long(use, sources)
    write_json(run.root / "data" / "audit.json", facts)
    if problems:
        raise BadInputError("the audit found:\n" + "\n".join(f"  {problem}" for problem in problems))


def check(
    tokens: pa.Table,
    examples: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    mixture: str,
    with_controls: bool = False,
) -> Iterator[str]:
    """Yield a line for each rule that examples break, with the first of them.

    The rules: a row begins with the tokens that generation will be prompted with; it has a token to learn; its last one
    is EOS and learnt.
    """
    column = tokens["tokens"].combine_chunks()
    values, offsets = column.flatten().to_numpy(), column.offsets.to_numpy()
    num_prompt = tokens["num_prompt"].to_numpy()
    num_learnt = np.diff(offsets) - num_prompt
    expected = encode_prompts(tokenizer, examples["prompt"].to_pylist(), with_controls)
    broken = {
        "end without EOS in the loss": (values[offsets[1:] - 1] != tokenizer.eos_token_id) | (num_learnt < 1),
        "have nothing to learn but EOS": num_learnt < 2 - tokens["is_text"].to_numpy(),
        "do not begin with their prompt's own tokens": _other_prompts(values, offsets, num_prompt, expected, examples),
    }
    for rule, rows in broken.items():
        if rows.any():
            first = tokens["origin"][int(np.flatnonzero(rows)[0])].as_py()
            yield f"mixture {mixture}: {int(rows.sum())} examples {rule} (first: {first}). Remove them from the source"


def _other_prompts(
    values: NDArray[np.int32],
    offsets: NDArray[np.int64],
    num_prompt: NDArray[np.int32],
    expected: list[list[int]],
    examples: pa.Table,
) -> NDArray[np.bool_]:
    prompts = examples["prompt"].to_pylist()
    starts = offsets[:-1].tolist()
    return np.array(
        [
            bool(prompt) and values[start : start + num].tolist() != tokens
            for prompt, start, num, tokens in zip(prompts, starts, num_prompt.tolist(), expected, strict=True)
        ]
    )


def audit_sources(tokens: pa.Table, max_length_tokens: int) -> list[SourceAudit]:
    """Return what each source gives, in alphabetical order."""
    found = []
    for source in sorted(pc.unique(tokens["source"]).to_pylist()):
        part = tokens.filter(pc.equal(tokens["source"], source))
        sizes = pc.list_value_length(part["tokens"]).to_numpy()
        is_text = part["is_text"].to_numpy()
        found.append(
            SourceAudit(
                source=source,
                examples=len(sizes),
                prompts=float(1 - is_text.mean()),
                tokens=int(sizes.sum()),
                supervised=float(1 - part["num_prompt"].to_numpy().sum() / sizes.sum()),
                lengths=tuple(int(np.percentile(sizes, p, method="higher")) for p in _PERCENTILES),
                cut=int(((sizes > max_length_tokens) & ~is_text).sum()),
                crossing=int(part["crosses"].to_numpy().sum()),
            )
        )
    return found


def rendered(
    tokens: pa.Table, source: str, tokenizer: PreTrainedTokenizerBase, max_length_tokens: int
) -> Iterator[Text]:
    """Yield a source's first, middle and last example of the mixture as the model sees them.

    What is learnt is green and stands between ``⟦`` and ``⟧``; what the maximum length cuts off is red behind ``✂``.
    """
    part = tokens.filter(pc.equal(tokens["source"], source))
    for index in np.unique(np.linspace(0, len(part) - 1, _SHOWN).round().astype(int)).tolist():
        row = part.slice(index, 1).to_pylist()[0]
        limit = len(row["tokens"]) if row["is_text"] else max_length_tokens
        borders = (0, row["num_prompt"], max(row["num_prompt"], limit), None)
        given, learnt, cut = (
            _shortened(str(tokenizer.decode(row["tokens"][first:last]))) for first, last in pairwise(borders)
        )
        text = Text(f"{row['origin']}: ", style="dim")
        text.append(given, style="not dim").append(f"⟦{learnt}⟧", style="not dim green")
        yield text.append(f"✂{cut}", style="not dim red") if cut else text


def _shortened(text: str) -> str:
    half = _SHOWN_CHARACTERS // 2
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:half]} […] {text[-half:]}"


def _uses(recipe: Recipe) -> list[Use]:
    """Return every mixture that is trained on, once for each tokenizer and treatment of long examples."""
    systems: dict[tuple[str, str, int, str], list[str]] = {}
    for name in recipe.systems_in_order:
        # Pairs are not there before a system is trained.
        for phase in (phase for phase in recipe.systems[name].phases if not phase.preference):
            key = (phase.mixture, recipe.systems[name].tokenizer, phase.max_length_tokens, phase.on_too_long)
            systems.setdefault(key, []).append(name)
    return [Use(*key, tuple(dict.fromkeys(names))) for key, names in systems.items()]


def _too_long(use: Use, sources: list[SourceAudit]) -> Iterator[str]:
    cut = {source.source: source.cut for source in sources if source.cut}
    if cut and use.on_too_long == "stop":
        counts = ", ".join(f"{count} of {name}" for name, count in cut.items())
        yield f"{use.title}: longer are {counts}. Raise max_length_tokens, or set on_too_long to drop or truncate"


def _as_table(title: str, sources: list[SourceAudit]) -> Table:
    table = new_table(title)
    percentiles = [f"p{percentile}" if percentile < 100 else "longest" for percentile in _PERCENTILES]
    for column in ("source", "examples", "prompts", "tokens", "supervised", *percentiles, "cut", "crossing"):
        table.add_column(column, justify="left" if column == "source" else "right")
    for row in sources:
        numbers = [f"{row.examples:,}", f"{row.prompts:.0%}", f"{row.tokens:,}", f"{row.supervised:.1%}"]
        lengths = (f"{length:,}" for length in row.lengths)
        table.add_row(row.source, *numbers, *lengths, f"{row.cut:,}", f"{row.crossing:,}")
    return table
