"""The section ``data``: corpora, mixtures, and which rows are dropped; and the miniature ``world``."""

import codecs
from datetime import date
from typing import Annotated, Any, Literal, Self
from unicodedata import normalize

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from crosstune.languages.registry import usual_code
from crosstune.prompts.wordings import Wordings
from crosstune.recipe.section import Commit, Count, DirectionSet, Language, LanguageSet, Name, Paths, Section, Share

# What Llama-3.1's template writes where it is given no clock.
TEMPLATE_DATE = date(2024, 7, 26)

SourceFormat = Literal[
    "auto",
    "aihub_json",
    "aligned_text",
    "csv",
    "hugging_face",
    "json",
    "jsonl",
    "parquet",
    "po",
    "text",
    "tmx",
    "tsv",
    "xlsx",
]


def _numbers_as_text(columns: Any) -> Any:
    """Return columns with their numbers, which name places in a table without header, as text."""
    if not isinstance(columns, dict):
        return columns
    return {field: str(name) if type(name) is int else name for field, name in columns.items()}


def _by_usual_codes(columns: dict[str, str]) -> dict[str, str]:
    """Return columns with languages by their usual codes, as the rest of a recipe has them, and headers in NFC."""
    return {usual_code(field): normalize("NFC", header) for field, header in columns.items()}


def _ascii_superset(name: str) -> str:
    """Return Python's name of an encoding; refuse those in which a line feed's byte may belong to another character."""
    try:
        fits = all(bytes([code]).decode(name) == chr(code) for code in range(128))
    except (LookupError, UnicodeError):
        fits = False
    if not fits:
        raise ValueError(
            "use an encoding that Python knows and that contains ASCII, such as utf-8, cp949, shift_jis, gb18030"
        )
    return codecs.lookup(name).name


Encoding = Annotated[str, AfterValidator(_ascii_superset)]
ColumnNames = Annotated[dict[str, str], BeforeValidator(_numbers_as_text), AfterValidator(_by_usual_codes)]


class World(Section):
    """How much of the miniature world is written, and from which seed."""

    seed: int = Field(description="seed of the world's words and sentences")
    english_documents: Count = Field(description="plain texts in English")
    korean_documents: Count = Field(description="plain texts in Korean")
    parallel_pairs: Count = Field(description="sentences in both languages")
    english_instructions: Count = Field(description="instructions in English")
    korean_instructions: Count = Field(description="instructions in Korean")
    test_items: Count = Field(description="items of each benchmark")


class Source(Section):
    """One corpus: where it lies and what it is. Paths are relative to ``data_root``; globs are allowed."""

    kind: Literal["parallel", "instructions", "text"] = Field(
        description="translation pairs, instructions with answers, or plain text"
    )
    paths: Paths = Field(description="files or globs, below data_root; with hugging_face, the name of the data set")
    format: SourceFormat = Field("auto", description="`auto`: detected from the content; `hugging_face` must be named")
    language: Language | None = Field(None, description="language of instructions and text; a parallel corpus has two")
    languages: tuple[Language, Language] | None = Field(
        None,
        description="parallel sources: their two languages, that of the first file or column first; needed where the "
        "recipe has several targets [its source and target]",
    )
    encoding: Encoding = Field("utf-8", description="encoding of text files; old Korean files are often cp949")
    columns: ColumnNames = Field(
        {},
        description="other column names or keys: language, instruction, input, output, messages or text -> name; by "
        "number, from 1, in a table without a header",
    )
    chat_turns: Literal["all", "first"] = Field(
        "all",
        description="conversations: each answer is a row, with the earlier turns as input, or only the first answer",
    )
    split: str | None = Field(None, description="hugging_face: the split, such as train")
    config: str | None = Field(None, description="hugging_face: the configuration, if the data set has several")
    revision: Commit | None = Field(None, description="hugging_face: the commit, for data sets of the hub")

    @model_validator(mode="after")
    def _settings_fit_format_and_kind(self) -> Self:
        if self.format == "hugging_face" and self.split is None:
            raise ValueError("`format: hugging_face` needs `split` (as train); `paths` names the data set")
        if self.format != "hugging_face" and (self.split or self.config or self.revision):
            raise ValueError("`split`, `config` and `revision` are only for `format: hugging_face`")
        if self.kind != "instructions" and self.chat_turns != "all":
            raise ValueError("`chat_turns` is only for `kind: instructions`")
        fields = {"instructions": {"instruction", "input", "output", "messages"}, "text": {"text"}}.get(self.kind)
        unknown = sorted(set(self.columns) - fields) if fields else []
        if fields and unknown:
            raise ValueError(f"`columns` of {self.kind} may name {', '.join(sorted(fields))}, not {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _language_where_needed(self) -> Self:
        if self.kind != "parallel" and self.language is None:
            raise ValueError(f"a source of kind {self.kind!r} needs `language` (a language code such as ko)")
        if self.kind == "parallel" and self.language is not None:
            raise ValueError("a parallel source holds two languages: remove `language`; `languages` names both")
        if self.kind != "parallel" and self.languages is not None:
            raise ValueError("`languages` are the two of a parallel source: name one `language`")
        if self.languages and len({*self.languages}) == 1:
            raise ValueError(f"`languages` of a parallel source are two: found {self.languages[0]!r} twice")
        return self


class MixturePart(Section):
    """What a mixture takes from one source."""

    source: Name = Field(description="a name of data.sources")
    max_rows: Count | None = Field(None, description="sample at most this many rows (pairs, for a parallel source)")
    repeats: Count = Field(1, description="upsampling: how often each sampled row occurs; with `weight`, at most")
    weight: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="share of the mixture's examples, relative to the other weights; set it on all parts or on none",
    )
    directions: DirectionSet = Field((), description="parallel sources: translation directions")
    instruction_languages: LanguageSet = Field((), description="parallel sources: language of the instruction")
    combinations_per_pair: Count | None = Field(
        None,
        description="use each pair in this many of its direction x instruction language combinations; all if absent",
    )
    wordings: Literal["paper", "train"] = Field(
        "paper", description="the paper's one translation instruction, or the training wordings of the bank"
    )
    num_wordings: Count | None = Field(None, description="with `wordings: train`, only this many of them; default: all")
    wording_noise: Share = Field(
        0.0,
        description="share of the translation rows whose instruction is perturbed: words other than the target "
        "language's name are dropped, swapped or replaced, also by words of the mixture's other "
        "instructions, so that the model has to rely on the name",
    )
    as_text: Language | None = Field(None, description="take this language's side as plain text, without instruction")

    @model_validator(mode="after")
    def _either_text_or_translation(self) -> Self:
        if self.as_text is not None and (self.directions or self.instruction_languages):
            raise ValueError("`as_text` takes plain text: remove `directions` and `instruction_languages`")
        if bool(self.directions) != bool(self.instruction_languages):
            raise ValueError("give both `directions` and `instruction_languages`, or neither")
        if self.num_wordings is not None and self.wordings != "train":
            raise ValueError("`num_wordings` needs `wordings: train`")
        asked = {"combinations_per_pair": None, "wordings": "paper", "wording_noise": 0.0}
        given = [name for name, default in asked.items() if getattr(self, name) != default]
        if given and not self.directions:
            raise ValueError(
                f"{', '.join(f'`{name}`' for name in given)}: only for translation instructions, which need "
                "`directions` and `instruction_languages`"
            )
        return self


class Quality(Section):
    """Which rows are dropped. Each drop has a reason and is written to ``dropped.jsonl``."""

    drop_duplicates: bool = Field(True, description="drop rows that occurred before in the same source")
    near_duplicate_threshold: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="drop rows that share this much of their character 5-grams with an earlier row of their source",
    )
    drop_evaluation_overlap: bool = Field(True, description="drop rows that contain an item of an evaluation set")
    overlap_ngram: Annotated[int, Field(ge=5)] | None = Field(
        13,
        description="also drop rows that share this many consecutive words with an item (characters in scripts "
        "without spaces; 1.5 times as many, at least 15, in Hangul); null: whole items only",
    )
    drop_broken_encoding: bool = Field(True, description="drop rows with U+FFFD or mojibake")
    drop_special_tokens: bool = Field(True, description="drop rows that contain a control token")
    drop_markup_only: bool = Field(True, description="drop rows of tags, links or numbers without text")
    min_script_share: Share = Field(
        0.2, description="smallest share of letters in the language's script, for a text and for each side of a pair"
    )
    max_length_ratio: Annotated[float, Field(ge=1)] | None = Field(
        9.0, description="largest ratio of the lengths of a pair's sides, in characters; null: any"
    )
    on_bad_row: Literal["stop", "drop"] = Field("stop", description="an unreadable row stops the run or is dropped")


class Data(Section):
    """The corpora, and the mixtures that tokenizers and systems learn from."""

    prompt: Literal["paper-v1", "alpaca", "kullm", "chat"] = Field(
        "paper-v1", description="prompt template; `chat`: that of the given base tokenizer"
    )
    template_options: dict[Annotated[str, Field(pattern="^[a-z_][a-z0-9_]*$")], bool | int | float | str | None] = (
        Field({}, description="options for the chat template, such as `enable_thinking: false`, in training and in use")
    )
    template_date: date = Field(TEMPLATE_DATE, description="date that a chat template prints instead of today's")
    translation_instructions: dict[Language, Wordings] = Field(
        {}, description="by language; English and Korean are built in"
    )
    sources: dict[Name, Source] = Field(description="corpora by name")
    mixtures: dict[Name, tuple[MixturePart, ...]] = Field(
        description="training mixtures by name, each a list of parts of sources"
    )
    quality: Quality = Field(Quality(), description="which rows are dropped")
