"""What a benchmark is: one object, read by readers, overlap check, scoring, reports and the check of forgetting."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crosstune.tasks.in_harness import InHarness
from crosstune.tasks.layout import ColumnLayout, NoItem
from crosstune.tasks.published import Published

Item = dict[str, Any]
Judge = Literal["choice", "keywords", "translation", "text", "rules", "language", "harness"]
# How an answer is judged -> the metric that stands for the task where one number must.
_MAIN_METRICS = {"choice": "acc", "keywords": "acc", "text": "bits_per_byte"}
_MAIN_METRICS |= {"rules": "pass_rate", "language": "in_language"}
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Field:
    """A part of an item: a text, or a list of texts.

    Attributes:
        lengths: how many texts a list may hold; empty for a single text.
        values: all that may stand there; empty where anything may.
        may_be_empty: whether an item without it is still one.
        is_own: whether it is a text of the item's own, which no training row may hold; "he" and "cause" are not.
        is_option: whether it is one of the answers to choose from. "The dog barked." stands in any book: it gives an
            item away where a row is nothing else, not where a longer text says it, too.
    """

    name: str
    lengths: tuple[int, ...] = ()
    values: tuple[str, ...] = ()
    may_be_empty: bool = False
    is_own: bool = True
    is_option: bool = False

    def problem(self, value: Any) -> str:
        """Return why a value is none of this field, or nothing."""
        if self.lengths:
            is_list = isinstance(value, list) and len(value) in self.lengths
            if is_list and all(isinstance(text, str) and text.strip() for text in value):
                return ""
            return f"`{self.name}` does not hold {' or '.join(map(str, self.lengths))} texts"
        if not isinstance(value, str):
            return f"`{self.name}` is not a text"
        if self.values and value not in self.values:
            return f"{self.name} {value!r} is not one of {', '.join(self.values)}"
        return ""


@dataclass(frozen=True)
class Task:
    """A benchmark.

    Attributes:
        name: what recipes call it, and its YAML under ``harness/``.
        title: what tables call it.
        judge: how an answer is judged: by the likeliest of the choices, by the keyword that it names, against
            translations, by the bits of a text, by the rules that an item asks to be kept, by the language that it is
            in, or by a task of lm-evaluation-harness that brings its own items.
        languages: those that it exists in; empty for any. Where there are several, the recipe says which.
        fields: the parts of an item, besides its id and label; a translation's are the recipe's languages.
        joined: fields that are read as one text, of which some may be empty.
        num_labels: how many answers there are to choose from; 0 without labels.
        choices: the field that lists an item's own answers, where their number differs.
        layouts: the forms in which its rows are published.
        has_quoted_cells: whether its tab-separated files quote cells as CSV does; in others quotes are text.
        published: its files, for `crosstune score`.
        in_harness: under which names lm-evaluation-harness has it, in which languages; None where it has not.
        own_file: of a task that needs no files of the user's in some languages, the one that crosstune brings.
        instruction: what is asked, of a task whose answers are generated or are words of the task's own.
        keywords: the words that answer it, by label.
        asked: the field that the instruction asks about.
        group: what a table of its metrics is called.
        paper: the paper's figures, by its system; empty for what the paper does not report.
        table_3: its place in the paper's Table 3; 0 where that does not hold it.
    """

    name: str
    title: str
    judge: Judge
    languages: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    joined: tuple[str, ...] = ()
    num_labels: int = 0
    choices: str = ""
    layouts: tuple[ColumnLayout, ...] = ()
    has_quoted_cells: bool = False
    published: Published | None = None
    in_harness: InHarness | None = None
    own_file: str = ""
    instruction: str = ""
    keywords: tuple[str, ...] = ()
    asked: str = ""
    group: str = ""
    paper: tuple[tuple[str, float], ...] = ()
    table_3: int = 0

    @property
    def language(self) -> str | None:
        """The language of its items, where it exists in one."""
        return self.languages[0] if len(self.languages) == 1 else None

    @property
    def is_generated(self) -> bool:
        """Whether systems write an answer, by our own loop."""
        return self.judge in ("keywords", "translation", "rules", "language")

    def file_of(self, language: str | None) -> Path | None:
        """Return the file that crosstune brings for the items in a language; None where the user has to."""
        path = _FOLDER / self.own_file.replace("{language}", language or "")
        return path if self.own_file and path.is_file() else None

    @property
    def own_languages(self) -> list[str]:
        """Return the languages whose items need no file of the user's."""
        before, _, after = self.own_file.partition("{language}")
        found = _FOLDER.glob(self.own_file.replace("{language}", "*")) if self.own_file else ()
        return sorted(path.relative_to(_FOLDER).as_posix().removeprefix(before).removesuffix(after) for path in found)

    @property
    def metric(self) -> str:
        """The metric that stands for the task; empty where the task does not say."""
        return _MAIN_METRICS.get(self.judge, "")

    @property
    def chance(self) -> float | None:
        """The share of items that guessing gets right, if each has ``num_labels`` answers; None without labels."""
        return 1 / self.num_labels if self.num_labels else None

    def chance_of(self, item: Item) -> float:
        """Return how likely guessing is right on an item."""
        return 1 / (len(item[self.choices]) if self.choices else self.num_labels)

    def item(self, row: Any) -> Item:
        """Make an item of a published row, with an ``id`` where the row has one.

        Raises:
            NoItem: when the row is none of the task's.
        """
        if not isinstance(row, Mapping):
            raise NoItem(f"not an object with the keys {', '.join(self.layouts[0].columns)}")
        item = self.layout_of(row).item(row)
        # Some published rows end in white space: no matter in a text, but these are compared whole.
        closed = [field.name for field in self.fields if field.values]
        return item | {name: item[name].strip() for name in closed if isinstance(item[name], str)}

    def layout_of(self, columns: Mapping[str, Any] | Sequence[str]) -> ColumnLayout:
        """Return the published form that has these columns.

        Raises:
            NoItem: when some are missing of every form.
        """
        for layout in self.layouts:
            if all(column in columns for column in layout.columns):
                return layout
        nearest = max(self.layouts, key=lambda layout: sum(column in columns for column in layout.columns))
        missing = " and ".join(repr(column) for column in nearest.columns if column not in columns)
        needed = "; or: ".join(", ".join(layout.columns) for layout in self.layouts)
        raise NoItem(f"no key {missing}; needed: {needed}; there are {', '.join(map(str, columns)) or 'none'}")

    def fields_of(self, languages: Sequence[str]) -> tuple[Field, ...]:
        """Return the fields of an item in a recipe of these languages."""
        return tuple(map(Field, languages)) if self.judge == "translation" else self.fields

    def problem(self, item: Item, languages: Sequence[str]) -> str:
        """Return what is wrong with an item, or nothing; an empty text is told by `empty_field`."""
        for field in self.fields_of(languages):
            problem = field.problem(item.get(field.name))
            if problem:
                return problem
        if not self.num_labels:
            return ""
        label = item.get("label")
        num_labels = len(item[self.choices]) if self.choices else self.num_labels
        is_label = isinstance(label, int) and not isinstance(label, bool) and 0 <= label < num_labels
        return "" if is_label else f"label {label!r} lies outside 0 to {num_labels - 1}"

    def empty_field(self, item: Item, languages: Sequence[str]) -> str:
        """Return the name of a field that is empty and may not be, or nothing."""
        for field in self.fields_of(languages):
            if not field.may_be_empty and not field.lengths and not item[field.name].strip():
                return field.name
        return self.joined[0] if self.joined and not self._joined(item).strip() else ""

    def own_texts(self, item: Item, options: bool = False) -> Iterator[str]:
        """Yield the texts that no training row may hold; with ``options`` the answers to choose from instead."""
        own = {field.name for field in self.fields if field.is_own and field.is_option == options}
        if not self.fields and not options:
            own = set(item) - {"id", "origin"}
        for name in (name for name in item if name in own):
            yield from item[name] if isinstance(item[name], list) else [item[name]]
        if self.joined and not options:
            yield self._joined(item)

    def _joined(self, item: Item) -> str:
        return " ".join(item[name] for name in self.joined if item[name])
