"""`crosstune plan`: tokens, steps, memory and hours of every training phase, before a cent is spent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crosstune.errors import RecipeError
from crosstune.models.load import load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.plan.case import Case
from crosstune.plan.here import Measured, Stopwatch
from crosstune.plan.machines import Machine
from crosstune.plan.memory import Memory
from crosstune.plan.proposals import Proposal, proposals_for
from crosstune.recipe import Phase, Recipe
from crosstune.runs.folder import MANIFEST, RunFolder
from crosstune.terminal.output import note
from crosstune.tokens.store import mixture_tokens
from crosstune.train.batches import make_schedule
from crosstune.train.cost import Tokens, count_tokens, with_start_measured
from crosstune.train.learning_rate import num_warmup_steps
from crosstune.train.new_rows.rows import read_subwords
from crosstune.train.rows import make_rows
from crosstune.train.start import config_of


@dataclass(frozen=True)
class PhasePlan:
    """One training phase of one system.

    Attributes:
        useful_flops: of the whole stage, recomputation not counted.
        hours: on the machine, at the assumed share of its peak, or as measured here.
        proposals: what would make it fit, where it does not.
        num_weights: of the model, of which ``num_expert_weights`` lie in experts, and ``num_trained_experts`` of these
            are trained.
    """

    system: str
    index: int
    phase: Phase
    tokens: Tokens
    num_warmup_steps: int
    useful_flops: float
    hours: float
    memory: Memory
    fits: bool
    num_weights: int
    num_expert_weights: int
    num_trained_experts: int
    proposals: tuple[Proposal, ...] = ()
    measured: Measured | None = None


def make_plan(recipe: Recipe, run: RunFolder, machine: Machine) -> list[PhasePlan]:
    """Plan every training phase of a recipe whose mixtures and tokenizers are there."""
    prepare_libraries()
    phases = list(_phases_to_plan(recipe, run))
    stopwatch = Stopwatch(len(phases)) if machine.is_here else None
    return [_plan_phase(recipe, run, machine, name, index, stopwatch) for name, index in phases]


def _phases_to_plan(recipe: Recipe, run: RunFolder) -> Iterator[tuple[str, int]]:
    """Yield systems and the numbers of their phases; those that wait for pairs are named and left out."""
    for name in recipe.systems_in_order:
        for index, phase in enumerate(recipe.systems[name].phases):
            if phase.preference and not (run.mixture(phase.mixture) / MANIFEST).is_file():
                note(
                    f"systems.{name}.phases.{index} is not planned: its pairs {phase.mixture!r} are collected from the "
                    f"answers of {recipe.mine[phase.mixture].system!r} once that is trained"
                )
            else:
                if phase.replay:
                    note(f"systems.{name}.phases.{index} is planned without its replay, which is written first")
                yield name, index


def refuse_what_does_not_fit(plans: Sequence[PhasePlan], machine: Machine) -> None:
    """Stop where a phase needs more memory than there is.

    Raises:
        RecipeError: with what each such phase needs, and what would make it fit.
    """
    lines = [
        f"systems.{plan.system}.phases.{plan.index} needs {plan.memory.total / 1e9:.0f} GB"
        f"{'' if machine.gpu.is_processor else ' per GPU'}, and "
        f"{machine.gpu.name} has {machine.gpu.memory_gb:g}. "
        + (
            f"It would fit with: {'; or '.join(proposal.changes for proposal in plan.proposals)}"
            if plan.proposals
            else "No setting was found that fits"
        )
        for plan in plans
        if not plan.fits
    ]
    if lines:
        raise RecipeError("\n".join(lines))


def _plan_phase(
    recipe: Recipe, run: RunFolder, machine: Machine, name: str, index: int, stopwatch: Stopwatch | None
) -> PhasePlan:
    phase = recipe.systems[name].phases[index]
    tokenizer = load_tokenizer(str(run.tokenizer(recipe.systems[name].tokenizer)))
    rows, _ = make_rows(mixture_tokens(run, phase.mixture, recipe.systems[name].tokenizer), phase)
    schedule = make_schedule(len(rows), phase, (recipe.seed_of(name), index))
    tokens = count_tokens(
        rows, schedule, machine.num_gpus, recipe.train.micro_batch_tokens, kept_languages=phase.kept_languages
    )
    if phase.preference and phase.preference.needs_start:
        tokens = with_start_measured(tokens, rows)
    config = config_of(recipe, name, tokenizer)
    old_size = (
        read_subwords(run.tokenizer("extended")).old_size if recipe.systems[name].tokenizer == "extended" else None
    )
    case = Case(config, old_size, phase, recipe.train, tokens, machine.num_gpus)
    useful, memory = case.flops(), case.memory()
    fits = memory.total <= machine.gpu.memory_gb * 1e9
    measured = stopwatch.measure(case, rows, schedule) if stopwatch else None
    return PhasePlan(
        system=name,
        index=index,
        phase=phase,
        tokens=tokens,
        num_warmup_steps=num_warmup_steps(phase, schedule.num_steps),
        useful_flops=useful,
        hours=measured.hours(useful, schedule.num_steps, machine) if measured else case.hours(machine),
        memory=memory,
        fits=fits,
        **case.num_weights(),
        proposals=() if fits else tuple(proposals_for(case, machine)),
        measured=measured,
    )
