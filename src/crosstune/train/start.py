"""What a system starts from: a model from scratch, another system's, one here or the hub's, with its tokenizer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from crosstune.errors import BadInputError
from crosstune.models.gguf import model as gguf_model
from crosstune.models.gguf.header import is_gguf
from crosstune.models.licences import license_of
from crosstune.models.load import check_model, load_config, load_model, load_tokenizer
from crosstune.models.pieces import num_rows, refuse_missing_rows, refuse_other_pieces
from crosstune.models.references import refuse_unreadable_kind
from crosstune.models.shapes import shapes_only
from crosstune.models.wrappers import text_config
from crosstune.recipe import Recipe, System
from crosstune.runs.files import read_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of
from crosstune.runs.hashes import hash_model
from crosstune.terminal.output import note
from crosstune.train.new_rows.rows import (
    RowSource,
    extend_embeddings,
    read_subwords,
    refuse_unextendable_kind,
)


@dataclass(frozen=True)
class Start:
    """Where a system starts.

    Attributes:
        model: a folder, GGUF file or hub id; empty for a model from scratch.
        revision: of the hub id.
        identity: what the fingerprint of the system takes in.
        tokenizer: the folder of the tokenizer stage.
        needs_new_rows: whether the model was made for fewer pieces than the tokenizer has.
        gguf: what the GGUF file that its weights were first taken from says of itself; empty where they come from none.
    """

    model: str
    revision: str | None
    identity: str
    tokenizer: Path
    needs_new_rows: bool = False
    gguf: Mapping[str, Any] = field(default_factory=dict)


def find_start(recipe: Recipe, run: RunFolder, name: str) -> Start:
    """Find what a system starts from, without loading it."""
    system = recipe.systems[name]
    tokenizer = run.tokenizer(system.tokenizer)
    if system.start == "scratch":
        return Start("", None, "scratch", tokenizer)
    if system.start in recipe.systems:
        facts = read_json(run.system(system.start) / "system.json")
        needs_new_rows = system.tokenizer == "extended" and recipe.systems[system.start].tokenizer == "base"
        identity = identity_of(run, system.start)
        gguf = facts.get("gguf", {})
        return Start(run.locate(facts["model"]), facts["revision"], identity, tokenizer, needs_new_rows, gguf)
    model, revision = locate_start(recipe, name)
    identity = f"{model}@{revision}" if revision else hash_model(Path(model))
    gguf = gguf_model.facts_of(model) if is_gguf(model) else {}
    start = Start(model, revision, identity, tokenizer, gguf=gguf)
    return replace(start, needs_new_rows=_lacks_new_rows(start, system))


def identity_of(run: RunFolder, system: str) -> str:
    """Return what the fingerprint of a system takes in of another of the run that it is made from."""
    facts = read_json(run.system(system) / "system.json")
    # Not the fingerprint alone: trained anew on other hardware, the same settings end in other weights.
    return fingerprint("system", facts["fingerprint"], facts["files"])


def _merged_with(system: System) -> list[str]:
    return sorted({*system.merge.others().values()}) if system.merge else []


def merge_partners(recipe: Recipe) -> set[str]:
    """Return the systems that others are merged with, whose pieces are matched by text: their numbers may be others."""
    return {other for system in recipe.systems.values() for other in _merged_with(system)}


def locate_start(recipe: Recipe, name: str) -> tuple[str, str | None]:
    """Return the folder or GGUF file, or hub id and revision, that a system starts from, if from none of the recipe's.

    Raises:
        BadInputError: when there is no such folder or file, and no revision for a hub id.
    """
    system = recipe.systems[name]
    for root in (recipe.data_root, Path()):
        place = (root or Path()) / system.start
        if place.is_dir() or is_gguf(place):
            return str(place), None
    if system.revision is None:
        raise BadInputError(
            f"systems.{name}.start: {system.start!r} is not a system of this recipe ({', '.join(recipe.systems)}), nor "
            f"a folder or .gguf file here or under data_root ({recipe.data_root or 'not set'}). Put the model there "
            f"or give its place: systems.{name}.start=PATH. To take it from the hub, also set systems.{name}.revision "
            "to a commit, so that the run is repeatable"
        )
    return system.start, system.revision


def check_start(recipe: Recipe, name: str, base: PreTrainedTokenizerBase | None = None) -> None:
    """Check the model here that a system starts from, without reading weights, and that the base tokenizer fits it.

    The hub is not asked before training.

    Raises:
        BadInputError: when it is no model that can be trained and scored, or has no row for one of the pieces.
    """
    system = recipe.systems[name]
    if system.start in ("scratch", *recipe.systems):
        return
    path, revision = locate_start(recipe, name)
    if revision:
        return
    model = check_model(path)
    _compare_license(recipe, name, Path(path))
    refuse_unreadable_kind(model.config)
    if any(other.tokenizer == "extended" and first_of(recipe, key) == name for key, other in recipe.systems.items()):
        refuse_unextendable_kind(model.config)
    if base is not None:
        names = path, str(base.name_or_path)
        refuse_missing_rows(base, num_rows(model), names, len(base) if system.tokenizer == "extended" else None)
        if name not in merge_partners(recipe):
            _refuse_other_pieces(base, (path, revision), names[1], len(base))


def _compare_license(recipe: Recipe, name: str, path: Path) -> None:
    written = recipe.report.model_license
    said, where = license_of(path)
    if written and said and written.lower() != said:
        note(
            f"systems.{name}.start: {where} of {path.name} says that its license is {said}, and report.model_license "
            f"is {written}: the model cards will say {written}. Check that the license of the start allows it"
        )


def first_of(recipe: Recipe, name: str) -> str:
    """Return the system that begins the line of systems that one starts from, by their starts."""
    while recipe.systems[name].start in recipe.systems:
        name = recipe.systems[name].start
    return name


def inputs_of(recipe: Recipe, run: RunFolder, name: str, start: Start) -> dict[str, Any]:
    """Return everything that decides how a system turns out, for its fingerprint."""
    system = recipe.systems[name]
    settings = system.model_dump(mode="json", exclude={"label", "paper_system", "seed"})
    for phase in settings["phases"]:
        # What was trained before these settings were there stays.
        for setting in ("preference", "replay"):
            if phase[setting] is None:
                del phase[setting]
    if not start.needs_new_rows:
        # Nothing hangs on them: a system stays trained when their default changes. So they stood here before it did.
        settings["new_rows"] = {"method": "mean_of_subwords", "noise": 1.0, "mixture": None}
    return {
        "system": settings,
        "seed": recipe.seed_of(name),
        "precision": recipe.train.precision,
        "weights": recipe.train.weights,
        "optimizer": recipe.train.optimizer,
        "base_weights": recipe.train.base_weights,
        "start": start.identity,
        "merged_with": {other: identity_of(run, other) for other in _merged_with(system)},
        "tokenizer": fingerprint_of(start.tokenizer),
        "mixtures": [fingerprint_of(run.mixture(mixture)) for mixture in mixtures_of(system, start)],
    }


def mixtures_of(system: System, start: Start) -> list[str]:
    """Return the mixtures that a system learns from; what its new rows are learnt from, where it gets any."""
    of_rows = system.new_rows.mixture if start.needs_new_rows else None
    return [*([of_rows] if of_rows else []), *(one for phase in system.phases for one in phase.mixtures(system.start))]


def _lacks_new_rows(start: Start, system: System) -> bool:
    """Return whether a folder's or the hub's model is to be extended, and was not extended before."""
    if system.tokenizer == "base":
        return False
    new_size = read_subwords(start.tokenizer).new_size
    try:
        # Matrices are often padded beyond the vocabulary: the model's own tokenizer knows better than they.
        return len(load_tokenizer(start.model, start.revision)) < new_size
    except BadInputError:
        return bool(text_config(load_config(start.model, start.revision)).vocab_size < new_size)


def own_tokenizer(model: str, revision: str | None) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer beside a model; None beside weights alone, which were made for the run's."""
    try:
        return load_tokenizer(model, revision)
    except BadInputError:
        return None


def _refuse_other_pieces(
    tokenizer: PreTrainedTokenizerBase, model: tuple[str, str | None], name: str, num_pieces: int
) -> None:
    own = own_tokenizer(*model)
    if own is not None:
        refuse_other_pieces(tokenizer, own, (model[0], name), num_pieces)


def check_untrained(start: Start, is_merge_partner: bool = False) -> int:
    """Check a model that is used as it is, without loading its weights, and return its number of parameters.

    Raises:
        BadInputError: when it is no model, has fewer rows than the tokenizer has pieces, or knows them by other numbers
            and is not there to be merged with.
    """
    if Path(start.model).exists():
        model = check_model(start.model)
    else:
        with shapes_only():
            config = text_config(load_config(start.model, start.revision))
            model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    tokenizer = load_tokenizer(str(start.tokenizer))
    refuse_missing_rows(tokenizer, num_rows(model), (start.model, str(start.tokenizer)))
    try:
        _refuse_other_pieces(tokenizer, (start.model, start.revision), str(start.tokenizer), len(tokenizer))
    except BadInputError as error:
        if not is_merge_partner:
            raise
        note(f"what others are merged with is matched by text, but its own scores mean nothing: {error}")
    return sum(parameter.numel() for parameter in model.parameters())


def config_of(recipe: Recipe, name: str, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return the configuration of a system's model, with rows for its tokenizer, before anything is trained."""
    name = first_of(recipe, name)
    system = recipe.systems[name]
    if system.start == "scratch":
        return scratch_config(system, len(tokenizer), (tokenizer.bos_token_id, tokenizer.eos_token_id))
    config: Any = text_config(load_config(*locate_start(recipe, name)))
    config.vocab_size = max(config.vocab_size, len(tokenizer))
    return config


def build_model(
    start: Start, system: System, seed: int, sources: Sequence[RowSource] = ()
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model, with rows for every piece of the tokenizer, and the tokenizer.

    ``sources`` says what the rows of new pieces start from, where the start lacks them.

    Raises:
        BadInputError: when the model has fewer rows than the base tokenizer has pieces, or knows them by other numbers.
    """
    tokenizer = load_tokenizer(str(start.tokenizer))
    if not start.model:
        return _from_scratch(system, tokenizer, seed), tokenizer
    names = start.model, str(start.tokenizer)
    num_known = len(tokenizer) - len(sources) if start.needs_new_rows else len(tokenizer)
    _refuse_other_pieces(tokenizer, (start.model, start.revision), names[1], num_known)
    model = load_model(start.model, start.revision)
    if start.needs_new_rows:
        refuse_missing_rows(tokenizer, num_rows(model), names, num_known)
        extend_embeddings(model, num_known, sources, system.new_rows, seed)
    refuse_missing_rows(tokenizer, num_rows(model), names)
    return model, tokenizer


def _from_scratch(system: System, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    torch.manual_seed(seed)
    return LlamaForCausalLM(scratch_config(system, len(tokenizer), (tokenizer.bos_token_id, tokenizer.eos_token_id)))


def scratch_config(system: System, num_pieces: int, ends: tuple[int | None, int | None]) -> LlamaConfig:
    """Return the configuration of a model from scratch; ``ends`` are BOS and EOS."""
    shape = system.architecture
    assert shape is not None
    return LlamaConfig(
        vocab_size=num_pieces,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.max_positions,
        tie_word_embeddings=shape.tie_embeddings,
        bos_token_id=ends[0],
        eos_token_id=ends[1],
    )
