"""The section ``systems``: the models of the comparison, what each starts from, and how it is trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crosstune.recipe.merge import Merge
from crosstune.recipe.preference import Preference, Replay
from crosstune.recipe.section import Commit, Count, Language, Name, Section, Share


class Architecture(Section):
    """The shape of a model from scratch (a LLaMA)."""

    hidden_size: Count = Field(description="hidden size")
    num_layers: Count = Field(description="transformer layers")
    num_heads: Count = Field(description="attention heads; hidden_size must be a multiple of twice this")
    intermediate_size: Count = Field(description="size of the feed-forward network")
    max_positions: Count = Field(512, description="maximum length of a row")
    tie_embeddings: bool = Field(False, description="one matrix for input and output rows")

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

    method: Literal["mean_of_subwords", "weighted", "focus", "aligned", "random"] = Field(
        "mean_of_subwords",
        description="from the old rows of a piece's own spelling (mean, or weighted by bytes), of similar pieces, of "
        "its translations, or random [`aligned` if the first phases translate into the target language]",
    )
    noise: Annotated[float, Field(ge=0)] = Field(
        0.0, description="standard deviation of added Gaussian noise, relative to that of the old rows"
    )
    mixture: Name | None = Field(
        None, description="what `focus` learns its word vectors from, or `aligned` its dictionary (translations)"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.method in ("focus", "aligned")) != (self.mixture is not None):
            raise ValueError(
                f"`mixture` is only for method `focus` or `aligned`; found method {self.method!r} "
                f"and mixture {self.mixture!r}"
            )
        if self.method == "random" and self.noise:
            raise ValueError(
                "`noise` is added to rows that have a source; method `random` is noise already: leave it out"
            )
        return self


class Lora(Section):
    """Low-rank adapters; merged into the weights at the end of the phase."""

    rank: Count = Field(8, description="rank of the two small matrices: higher learns more and costs more")
    alpha: Count = Field(16, description="adapters are scaled by alpha / rank")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.05, description="dropout on the adapters' inputs")
    targets: tuple[str, ...] | Literal["all-linear"] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj"),
        description="linear layers that get adapters, by the end of their names, each in every layer of the model; or "
        "all-linear: all of them but the output matrix",
    )
    train_new_rows: bool = Field(
        False, description="also train the input and output rows of new pieces, in full, beside the adapters"
    )
    keep_adapter: bool = Field(False, description="also save the adapters separately, to systems/NAME/adapter")


class KlToStart(Section):
    """A pull of the predictions towards those of the model as the phase began, on some of the rows."""

    weight: Annotated[float, Field(gt=0)] = Field(
        description="weight of the divergence relative to the cross-entropy, per token"
    )
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = Field(
        description="languages of the completions it applies to: those that should not be forgotten"
    )


Part = Literal["all", "new_input_rows", "new_output_rows", "output_rows", "layers", "top_layers"]
ROW_PARTS: frozenset[Part] = frozenset({"new_input_rows", "new_output_rows"})


class Phase(Section):
    """One training phase of a system: what is learned, which weights move, how far."""

    mixture: Name = Field(description="training mixture; with method preference, pairs of the section `mine`")
    method: Literal["full", "lora", "preference"] = Field(
        description="all weights (or those of `trains`), low-rank adapters, or either of them by pairs of answers"
    )
    trains: Annotated[tuple[Part, ...], Field(min_length=1)] = Field(
        ("all",),
        description="without adapters, what is trained: all, or some of new_input_rows, new_output_rows, "
        "output_rows (old and new), layers (all but the embedding matrices), top_layers",
    )
    num_top_layers: Count | None = Field(None, description="number of `top_layers`, counted from the output")
    lora: Lora | None = Field(None, description="the adapters, of method lora or preference")
    preference: Preference | None = Field(None, description="with method preference: what is learned from pairs")
    num_epochs: Annotated[float, Field(gt=0)] | None = Field(None, description="passes over the data; or num_steps")
    num_steps: Count | None = Field(None, description="optimizer steps; or num_epochs")
    global_batch_size: Count = Field(
        description="rows per optimizer step, over all devices and accumulation steps; texts are joined into rows of "
        "`max_length_tokens`"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        description="peak learning rate; the 7B recipes use 2e-5 for full, 3e-4 for lora"
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="after the warmup: cosine and linear end at 0"
    )
    warmup_ratio: Share = Field(0.05, description="share of the steps with rising learning rate")
    adam_betas: tuple[Share, Share] = Field(
        (0.9, 0.95), description="AdamW's decay rates; 0.95 recovers from an outlier gradient sooner than 0.999"
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        0.0, description="decay toward zero; 0 keeps pretrained weights"
    )
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(
        1.0, description="gradient clipping: larger norms are scaled down to this"
    )
    l2_to_start: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="decay weights toward their values at the start of the phase, as weight_decay does toward zero",
    )
    kl_to_start: KlToStart | None = Field(
        None, description="keep predictions in some languages near those at the start of the phase"
    )
    replay: Replay | None = Field(
        None, description="also learn what the start of the system answers to prompts, so that it keeps what it did"
    )
    max_length_tokens: Annotated[int, Field(ge=2)] = Field(
        512, description="maximum length of a row; longer text is split into windows"
    )
    on_too_long: Literal["stop", "drop", "truncate"] = Field("stop", description="what to do with longer instructions")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.num_epochs is None) == (self.num_steps is None):
            raise ValueError("give exactly one of `num_epochs` and `num_steps`")
        if (self.method == "lora" and self.lora is None) or (self.method == "full" and self.lora is not None):
            raise ValueError("`lora` settings are only for `method: lora`, which needs them, and `method: preference`")
        if (self.method == "preference") != (self.preference is not None):
            raise ValueError("`preference` settings are for `method: preference`, which needs them")
        if self.preference and self.replay:
            raise ValueError("`replay` is for phases that learn a mixture, and pairs are none: use `objective: dpo`")
        if self.preference and self.kl_to_start:
            raise ValueError("`kl_to_start` has no languages to act on in pairs: use `objective: dpo`, or l2_to_start")
        self._check_parts()
        return self

    def mixtures(self, start: str) -> list[str]:
        """Return what is learnt, as folders of mixtures, in a system that starts there: replay, too."""
        return [self.mixture, *([self.replay.folder_of(start)] if self.replay else [])]

    @property
    def trains_rows(self) -> bool:
        """Return whether rows of new pieces move while the old rows of the same matrix stay."""
        return bool(ROW_PARTS & set(self.trains))

    @property
    def moves_all_layers(self) -> bool:
        """Return whether the weights inside all layers move."""
        return self.lora is None and bool({"all", "layers"} & set(self.trains))

    @property
    def title(self) -> str:
        """Return what moves, in a few words: the method, or the parts where only some weights move."""
        by = f"{self.preference.objective}, " if self.preference else ""
        what = "lora" if self.lora else "full" if self.trains == ("all",) else " + ".join(self.trains)
        return by + what

    @property
    def kept_languages(self) -> tuple[str, ...]:
        """Return the languages of the rows that pass through the phase's start, too."""
        return self.kl_to_start.languages if self.kl_to_start else ()

    @property
    def pulls(self) -> list[str]:
        """Return the settings that hold a phase near its start, by name."""
        settings = {"l2_to_start": self.l2_to_start, "kl_to_start": self.kl_to_start}
        found = [name for name, value in settings.items() if value is not None]
        return [*found, *(["objective: dpo"] if self.preference and self.preference.needs_start else [])]

    @property
    def pulls_on_whole_weights(self) -> list[str]:
        """Return those of them that weights cannot be split for over GPUs."""
        return [name for name in self.pulls if name != "l2_to_start"]

    def _check_parts(self) -> None:
        parts = set(self.trains)
        if self.lora and parts != {"all"}:
            raise ValueError("`trains` is for phases without `lora`; for new rows beside it, set lora.train_new_rows")
        for first, others in {"all": parts - {"all"}, "layers": parts & {"top_layers"}}.items():
            if first in parts and others:
                raise ValueError(f"trains: `{first}` includes {', '.join(sorted(others))}: name only one of them")
        if len(parts) < len(self.trains):
            raise ValueError(f"trains: {', '.join(self.trains)} names a part twice")
        if ("top_layers" in parts) != (self.num_top_layers is not None):
            raise ValueError("`num_top_layers` is only for `trains: [top_layers]`")


class System(Section):
    """One model of the comparison: what it starts from, its tokenizer, its training phases."""

    start: str = Field(
        description="`scratch`, another system's name, a model folder, a .gguf file, or a hub id (with revision)"
    )
    tokenizer: Literal["base", "extended"] = Field(description="base or extended tokenizer")
    label: str = Field("", description="name in tables [the system's name]")
    revision: Commit | None = Field(None, description="commit of a hub id")
    architecture: Architecture | None = Field(None, description="with `start: scratch`: the model's shape")
    new_rows: NewRows = Field(NewRows(), description="initialization of the rows of new pieces")
    phases: tuple[Phase, ...] = Field((), description="training phases, in order; none: not trained")
    merge: Merge | None = Field(
        None,
        description="after training: interpolate with an ancestor to restore what was forgotten, add a chat vector, "
        "copy weights back",
    )
    seed: int | None = Field(
        None, description="seed of its training (order of examples, new rows, adapters, dropout) [the recipe's]"
    )
    paper_system: Literal["llama2", "lora", "continued_pretraining", "ours"] | None = Field(
        None, description="the paper's system to show beside this one"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.start == "scratch") != (self.architecture is not None):
            raise ValueError("`architecture` is only for `start: scratch`; a folder of that name is ./scratch")
        if self.start == "scratch" and not self.phases:
            raise ValueError("a system from scratch needs at least one training phase")
        if any(phase.lora and phase.lora.keep_adapter for phase in self.phases[1:]):
            raise ValueError(
                "`lora.keep_adapter` is for the first phase only: adapters alone fit only the model it starts from"
            )
        for index, phase in enumerate(self.phases):
            if self.tokenizer == "base" and (phase.trains_rows or (phase.lora and phase.lora.train_new_rows)):
                raise ValueError(
                    f"phases.{index} trains the rows of new pieces, but this system's tokenizer is `base`, which has "
                    "none: set `tokenizer: extended`, or train other parts"
                )
        if self.merge and self.merge.weight is not None and self.start == "scratch":
            raise ValueError("`merge` needs a system to merge with, and this system starts from scratch")
        return self
