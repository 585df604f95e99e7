"""Every setting of a run: typed, frozen, described, bounded.

A recipe has the sections ``data``, ``tokenizer``, ``systems``, ``train``, ``evaluate`` and ``report``. This file says
what each may hold; ``recipe_checks`` says how they fit together; ``recipe_file`` reads and writes them as YAML 1.2.
"""

import codecs
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$", description="ISO 639-1 code")]
Direction = Annotated[str, Field(pattern=r"^[a-z]{2}-[a-z]{2}$", description="source-target, as en-ko")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Paths = Annotated[tuple[str, ...], Field(min_length=1)]
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


def _ascii_superset(name: str) -> str:
    """Return Python's name of an encoding; refuse those in which a line feed's byte may belong to another character."""
    try:
        fits = all(bytes([code]).decode(name) == chr(code) for code in range(128))
    except (LookupError, UnicodeError):
        fits = False
    if not fits:
        raise ValueError(
            "read are encodings that Python knows and that hold ASCII, as utf-8, cp949, shift_jis, gb18030"
        )
    return codecs.lookup(name).name


Encoding = Annotated[str, AfterValidator(_ascii_superset)]

TASK_NAMES = Literal[
    "hellaswag",
    "copa_2011_test",
    "copa_2011_test_v04",
    "copa_superglue_val",
    "copa_superglue_val_v04",
    "nsmc_generate",
    "kobest_copa",
    "kobest_hellaswag",
    "kobest_sentineg",
    "translation",
]


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Languages(Section):
    """What the model knows (source) and what it is extended to (target)."""

    source: Language
    target: Language

    @property
    def directions(self) -> tuple[str, str]:
        """Return both translation directions, into the target language first."""
        return f"{self.source}-{self.target}", f"{self.target}-{self.source}"


class World(Section):
    """How much of the miniature world is written, and from which seed."""

    seed: int
    english_documents: Count
    korean_documents: Count
    parallel_pairs: Count
    english_instructions: Count
    korean_instructions: Count
    test_items: Count


class Source(Section):
    """One corpus: where it lies and what it is. Paths are relative to ``data_root``; globs are allowed."""

    kind: Literal["parallel", "instructions", "text"]
    paths: Paths
    format: SourceFormat = Field("auto", description="found out by content if `auto`; `hugging_face` must be named")
    language: Language | None = Field(None, description="of instructions and text; a parallel corpus has both")
    encoding: Encoding = Field("utf-8", description="of text files; old Korean files are often cp949")
    columns: dict[str, str] = Field(
        {},
        description="columns or keys with other names: language, instruction, input, output, messages or text -> name",
    )
    chat_turns: Literal["all", "first"] = Field(
        "all", description="conversations: each answer is a row, with the turns before it as input, or the first only"
    )
    split: str | None = Field(None, description="hugging_face: the split, as train")
    config: str | None = Field(None, description="hugging_face: the configuration, where the data set has several")
    revision: str | None = Field(None, description="hugging_face: the commit, for data sets of the hub")

    @model_validator(mode="after")
    def _settings_fit_format_and_kind(self) -> Self:
        if self.format == "hugging_face" and self.split is None:
            raise ValueError("`format: hugging_face` needs `split` (as train); `paths` names the data set")
        if self.format != "hugging_face" and (self.split or self.config or self.revision):
            raise ValueError("`split`, `config` and `revision` go with `format: hugging_face`, and only with it")
        if self.kind != "instructions" and self.chat_turns != "all":
            raise ValueError("`chat_turns` goes with `kind: instructions`, and only with it")
        fields = {"instructions": {"instruction", "input", "output", "messages"}, "text": {"text"}}.get(self.kind)
        unknown = sorted(set(self.columns) - fields) if fields else []
        if fields and unknown:
            raise ValueError(f"`columns` of {self.kind} may name {', '.join(sorted(fields))}, not {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _language_where_needed(self) -> Self:
        if self.kind != "parallel" and self.language is None:
            raise ValueError(f"a source of kind {self.kind!r} needs `language` (an ISO 639-1 code such as ko)")
        if self.kind == "parallel" and self.language is not None:
            raise ValueError("a parallel source holds both languages of the recipe: remove `language`")
        return self


class MixturePart(Section):
    """What a mixture takes from one source."""

    source: Name
    max_rows: Count | None = Field(None, description="draw at most this many rows (pairs, for a parallel source)")
    repeats: Count = Field(1, description="up-sampling: how often each drawn row occurs; with `weight`, at most")
    weight: Annotated[float, Field(gt=0)] | None = Field(
        None, description="share of the mixture's examples, beside the other parts' weights; all parts have one or none"
    )
    directions: tuple[Direction, ...] = Field((), description="parallel sources: translation directions")
    instruction_languages: tuple[Language, ...] = Field((), description="parallel sources: language of the instruction")
    combinations_per_pair: Count | None = Field(
        None,
        description="use each pair in this many of its direction x instruction language combinations; all if absent",
    )
    wordings: Literal["paper", "train"] = Field(
        "paper", description="the paper's one translation instruction, or all training wordings of the bank"
    )
    as_text: Language | None = Field(None, description="take this language's side as plain text, without instruction")

    @model_validator(mode="after")
    def _either_text_or_translation(self) -> Self:
        if self.as_text is not None and (self.directions or self.instruction_languages):
            raise ValueError("`as_text` takes plain text: remove `directions` and `instruction_languages`")
        if bool(self.directions) != bool(self.instruction_languages):
            raise ValueError("`directions` and `instruction_languages` go together: give both or neither")
        return self


class Quality(Section):
    """Which rows are dropped. Each drop has a reason and is written to ``dropped.jsonl``."""

    drop_duplicates: bool = True
    near_duplicate_threshold: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="drop rows that share this much of their character 5-grams with an earlier row of their source",
    )
    drop_evaluation_overlap: bool = True
    overlap_ngram: Annotated[int, Field(ge=5)] | None = Field(
        13, description="also drop rows that share a run of so many words (characters, without spaces) with an item"
    )
    drop_broken_encoding: bool = True
    drop_markup_only: bool = True
    min_script_share: Share = Field(
        0.2, description="of the letters of a text, and of each side of a pair, in its language's script"
    )
    max_length_ratio: Annotated[float, Field(ge=1)] | None = Field(9.0, description="of a pair's sides, in characters")
    on_bad_row: Literal["stop", "drop"] = "stop"


class Data(Section):
    """The corpora, and the mixtures that tokenizers and systems learn from."""

    prompt: Literal["paper-v1", "alpaca", "kullm", "chat"] = Field(
        "paper-v1", description="the template around instructions; `chat`: the one that the given base tokenizer has"
    )
    sources: dict[Name, Source]
    mixtures: dict[Name, tuple[MixturePart, ...]]
    quality: Quality = Quality()


class LearnedTokenizer(Section):
    """A SentencePiece-style BPE with byte fallback, learnt from a mixture (for a model from scratch)."""

    kind: Literal["learned"]
    mixture: Name
    num_pieces: Annotated[int, Field(ge=300)]


class GivenTokenizer(Section):
    """A tokenizer that exists: a folder or .model file (relative to data_root or here), or a hub id with revision."""

    kind: Literal["given"]
    path: str
    revision: str | None = None


class LearnedExtension(Section):
    """New target-language pieces, learnt from a mixture and added inside the base's BPE model."""

    kind: Literal["learned"]
    mixture: Name
    num_new_pieces: Count = Field(14_336, description="46,336 pieces in all on LLaMA-2's 32,000")
    size_multiple_of: Count = Field(
        128, description="dummy pieces fill the whole vocabulary up to a multiple of this, for fast matrix products"
    )
    required_syllables: Literal["ks_x_1001", "seen"] = Field(
        "ks_x_1001", description="Korean syllables that are pieces of their own: the 2,350 of KS X 1001, or those seen"
    )
    character_coverage: Share = Field(
        0.9999, description="share of the corpus' target letters that get pieces of their own; the rest stays bytes"
    )
    allow: tuple[str, ...] = Field((), description="words that become pieces, however rare they are in the mixture")
    deny: tuple[str, ...] = Field((), description="strings that no learnt piece of several characters may contain")
    write_sentencepiece: bool = Field(
        False,
        description="also write tokenizer.model, and learn every merge that SentencePiece would do with the pieces",
    )


class Tokenizer(Section):
    """The base tokenizer and, where a system uses it, the extended one."""

    base: Annotated[LearnedTokenizer | GivenTokenizer, Field(discriminator="kind")]
    extension: Annotated[LearnedExtension | GivenTokenizer, Field(discriminator="kind")] | None = None


class Architecture(Section):
    """The shape of a model from scratch (a LLaMA)."""

    hidden_size: Count
    num_layers: Count
    num_heads: Count
    intermediate_size: Count
    max_positions: Count = 512
    tie_embeddings: bool = False

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        # Rotary positions turn pairs of numbers, so a head's size is even.
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of twice num_heads {self.num_heads}: "
                f"try {2 * self.num_heads * max(1, round(self.hidden_size / (2 * self.num_heads)))}"
            )
        return self


class NewRows(Section):
    """How the embedding rows of new pieces start."""

    method: Literal["mean_of_subwords", "random"] = "mean_of_subwords"
    noise: Annotated[float, Field(ge=0)] = Field(
        0.0, description="standard deviation of added Gaussian noise, as a share of the old rows' own"
    )


class Lora(Section):
    """Low-rank adapters; merged into the weights at the end of the stage."""

    rank: Count = 8
    alpha: Count = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


class Stage(Section):
    """One training stage of a system: what is learnt, which weights move, how far."""

    mixture: Name
    method: Literal["full", "lora", "new_rows"]
    lora: Lora | None = None
    num_epochs: Annotated[float, Field(gt=0)] | None = None
    num_steps: Count | None = None
    global_batch_size: Count = Field(description="rows per optimiser step, over all devices and accumulation steps")
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Share = 0.05
    adam_betas: tuple[Share, Share] = (0.9, 0.95)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length_tokens: Annotated[int, Field(ge=2)] = 512
    on_too_long: Literal["stop", "drop", "truncate"] = "stop"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.num_epochs is None) == (self.num_steps is None):
            raise ValueError("give exactly one of `num_epochs` and `num_steps`")
        if (self.method == "lora") != (self.lora is not None):
            raise ValueError("`lora` settings go with `method: lora`, and only with it")
        return self


class System(Section):
    """One model of the comparison: what it starts from, its tokenizer, its training stages."""

    start: str = Field(description="`scratch`, another system's name, a model folder, or a hub id (with revision)")
    tokenizer: Literal["base", "extended"]
    label: str = Field("", description="how tables call it; its name if empty")
    revision: str | None = None
    architecture: Architecture | None = None
    new_rows: NewRows = NewRows()
    stages: tuple[Stage, ...] = ()
    paper_system: Literal["llama2", "lora", "continued_pretraining", "ours"] | None = Field(
        None, description="the paper's system whose figures stand beside this one"
    )

    @model_validator(mode="after")
    def _scratch_needs_architecture(self) -> Self:
        if (self.start == "scratch") != (self.architecture is not None):
            raise ValueError("`architecture` goes with `start: scratch`, and only with it")
        if self.start == "scratch" and not self.stages:
            raise ValueError("a system from scratch needs at least one training stage")
        return self


class Train(Section):
    """How training runs on the machine; nothing here changes what is learnt (but for rounding)."""

    precision: Literal["float32", "bf16"] = "float32"
    micro_batch_tokens: Count = Field(4096, description="tokens per forward pass and device")
    gradient_checkpointing: bool = False
    log_every_steps: Count = 1
    save_every_steps: Count = 200
    keep_checkpoints: Count = 2
    validation: Name | None = Field(
        None, description="a mixture of held-out plain text, scored by language while systems train"
    )
    validate_every_steps: Count = 200
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        (), description="where steps are logged besides metrics.jsonl"
    )


class EvaluationTask(Section):
    """One evaluation set: the task and its file (relative to data_root)."""

    task: TASK_NAMES
    paths: Paths
    max_items: Count | None = None
    sample_seed: int = Field(1234, description="which items are drawn when there are more than max_items")
    directions: tuple[Direction, ...] = ()
    instruction_languages: tuple[Language, ...] = ()
    max_new_tokens: Count = 256

    @model_validator(mode="after")
    def _translation_cells(self) -> Self:
        cells = (self.directions, self.instruction_languages)
        if not all(cells) if self.task == "translation" else any(cells):
            raise ValueError("`directions` and `instruction_languages` go with `task: translation`, and only with it")
        return self


class Evaluate(Section):
    """Which tasks are scored, and against which system gain and forgetting are measured."""

    reference_system: Name
    tasks: dict[Name, EvaluationTask]
    precision: Literal["float32", "bf16"] = "float32"
    batch_tokens: Count = Field(8192, description="tokens per forward pass")
    max_batch_rows: Count = Field(128, description="rows generated side by side")
    num_bootstrap: Annotated[int, Field(ge=100)] = 1000


class Report(Section):
    """What the report shows besides the run's own numbers."""

    title: str = ""
    paper_figures: bool = Field(True, description="print the paper's own figures beside ours")
    model_license: str = Field("", description="for the model cards: the hub's name of a licence, as apache-2.0")


class Recipe(Section):
    """A whole run."""

    name: Name
    description: str = ""
    seed: int
    runs_root: Path = Field(Path("runs"), description="the run lies in runs_root/name")
    data_root: Path | None = Field(None, description="folder that source and task paths are relative to")
    world: World | None = Field(None, description="write the miniature world and use it as data_root")
    languages: Languages
    data: Data
    tokenizer: Tokenizer
    systems: Annotated[dict[Name, System], Field(min_length=1)]
    train: Train = Train()
    evaluate: Evaluate
    report: Report = Report()

    @property
    def systems_in_order(self) -> list[str]:
        """Return the names of the systems, each after the one it starts from."""
        ordered: list[str] = []

        def place(name: str) -> None:
            if name in ordered:
                return
            if self.systems[name].start in self.systems:
                place(self.systems[name].start)
            ordered.append(name)

        for name in self.systems:
            place(name)
        return ordered
