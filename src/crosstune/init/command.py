"""`crosstune init MODEL DIR --to ko`: look into a folder, at a model and a machine, and write a recipe that runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from rich.text import Text

from crosstune.doctor.architecture import look_at_architecture
from crosstune.doctor.chat import look_at_chat
from crosstune.doctor.findings import Finding
from crosstune.doctor.licences import look_at_license
from crosstune.doctor.subject import Subject
from crosstune.errors import BadInputError, CrosstuneError
from crosstune.init.benchmarks import as_label, recognise
from crosstune.init.budget import minutes
from crosstune.init.corpus import Mixture, mix
from crosstune.init.folders import Walked, walk
from crosstune.init.found import FoundFile, look_at_data_sets, look_into
from crosstune.init.held_out import HeldOut, hold_out
from crosstune.init.overlap import NUM_ROWS, overlaps
from crosstune.init.pieces import try_pieces
from crosstune.init.plan_hours import Training, plan_hours
from crosstune.init.proposal import Found, longest_row, propose, template_of
from crosstune.init.request import InitRequest
from crosstune.init.scoring import ScoringPlan
from crosstune.init.sources import Sources, choose_sources
from crosstune.init.yaml_text import as_yaml
from crosstune.languages.registry import language_name
from crosstune.models.process import prepare_libraries
from crosstune.recipe import Languages, Recipe
from crosstune.recipe.yaml_file import load_recipe
from crosstune.runs.files import write_text
from crosstune.terminal.output import console, new_table, note, quiet, results
from crosstune.tokenizer import given
from crosstune.tokenizer.bpe import BpeTokenizer

_LONGEST_REASON = 160


def init(asked: InitRequest, dry_run: Callable[[Recipe], None]) -> None:
    """Print what was found, and write a recipe that ``dry_run`` accepts.

    Raises:
        BadInputError: when the model cannot be used, nothing can be trained on, or the dry run refuses the recipe.
    """
    prepare_libraries()
    _refuse_bad_paths(asked)
    findings = _findings(asked.subject)
    # Data sets alone come with no folder: what lies where the command was typed is none of them.
    walked = walk(asked.root) if asked.has_folder else Walked([], [])
    paths = [path for path in walked.files if path.resolve() != asked.out.resolve()]
    recognised = recognise(asked.root, paths, asked.languages)
    others = [path for path in paths if path.relative_to(asked.root).as_posix() not in recognised.files]
    files = [*walked.left_out, *look_into(asked.root, others, asked.languages)]
    files += look_at_data_sets(asked.data_sets, asked.root, asked.languages)
    chosen = choose_sources(files, recognised, asked.languages)
    benchmarks = {*chosen.tasks}
    base = BpeTokenizer(given.load(asked.subject.path, "MODEL")[0])
    mixture = mix(chosen, asked.languages, base)
    _print_files([*files, *recognised.files.values()], chosen, mixture, asked.languages)
    if mixture is None:
        raise BadInputError(_nothing(asked, len(paths) + len(walked.left_out)))
    found = _look_further(asked, chosen, mixture, base, findings)
    content, reasons = propose(found, as_label(asked.out.stem) or "mine")
    recipe = _write(asked, content, reasons, dry_run)
    _print_leaks(recipe, benchmarks)
    _print_summary(found, asked)


def _refuse_bad_paths(asked: InitRequest) -> None:
    if not asked.root.is_dir():
        raise BadInputError(f"{asked.root} is not a folder: DIR is the folder of your files")
    if asked.has_folder and not asked.data_sets and not any(vars(walk(asked.root)).values()):
        raise BadInputError(_nothing(asked, 0))
    if asked.out.exists():
        raise BadInputError(f"{asked.out} already exists: remove it, or name another file with --out")
    # Of a hub id the weights are fetched when training begins.
    if not asked.subject.has_weights and asked.subject.revision is None:
        raise BadInputError(
            f"{asked.subject.name} holds no weights, so nothing can be trained from it: copy them into the folder. "
            f"`crosstune doctor` works without them"
        )


def _findings(subject: Subject) -> dict[str, Finding]:
    """Return the doctor's findings by name.

    Raises:
        BadInputError: when the model cannot be used.
    """
    found = list(look_at_architecture(subject))
    for finding in found:
        if finding.verdict == "stop":
            raise BadInputError(finding.says)
    with quiet(console):
        found += [*look_at_chat(subject), *look_at_license(subject)]
    for finding in found:
        if finding.verdict == "stop":
            raise BadInputError(finding.says)
    return {finding.name: finding for finding in found}


def _look_further(
    asked: InitRequest, chosen: Sources, mixture: Mixture, base: BpeTokenizer, findings: dict[str, Finding]
) -> Found:
    held_out = hold_out(chosen, asked.root, _folder_of_tests(asked.out), asked.languages)
    if not chosen.tasks:
        raise BadInputError(
            f"{asked.root} has nothing to score a model with: no benchmark, no test file, and too few rows to hold "
            "some out, which takes 20. Add rows, or a file with test in its name"
        )
    note("trying how many new pieces are worth it")
    with quiet(console):
        pieces = try_pieces(chosen, asked.root, asked.languages, base)
    if not asked.gpu:
        note("measuring how fast this machine trains the model")
    plan = plan_hours(asked, Training(chosen, mixture, base, template_of(findings), longest_row(findings)), pieces)
    kept = _without_unscored(held_out, plan.budget.scored.too_long)
    return Found(asked.subject, asked.languages, asked.root, chosen, mixture, plan, findings, kept)


def _without_unscored(held_out: Mapping[str, HeldOut], too_long: Mapping[str, float]) -> list[str]:
    """Say what is held out; a test set that the hours leave out holds nothing out of training, so it goes."""
    for label in held_out.keys() & too_long.keys():
        held_out[label].path.unlink()
    return [str(test_set) for label, test_set in held_out.items() if label not in too_long]


def _folder_of_tests(out: Path) -> Path:
    return out.parent / f"{out.stem}_held_out"


def _write(
    asked: InitRequest, content: dict[str, Any], reasons: dict[str, str], dry_run: Callable[[Recipe], None]
) -> Recipe:
    head = f"# Written by crosstune init. Run it: crosstune run {asked.out}\n\n"
    # What is checked is the file itself, as `crosstune run` would read it.
    tried = asked.out.with_name(f".{asked.out.name}.tried")
    try:
        write_text(tried, head + as_yaml(content, reasons))
        recipe = load_recipe(tried)
        dry_run(recipe)
        tried.replace(asked.out)
    except CrosstuneError as error:
        raise BadInputError(f"no recipe was written, since a dry run would refuse it: {error}") from None
    finally:
        tried.unlink(missing_ok=True)
    return recipe


def _nothing(asked: InitRequest, num_files: int) -> str:
    source, target = (language_name(code, "en") for code in (asked.languages.source, asked.languages.target))
    there = "it is empty" if not num_files else f"none of its {num_files} files can be trained on (see above)"
    return (
        f"{asked.root} has nothing to learn {target} from: {there}. Add translations between {source} and {target}, "
        f"instructions in {target}, or text in {target}, as .tsv, .csv, .json, .jsonl, .parquet, .xlsx or .txt"
    )


def _print_files(files: Sequence[FoundFile], chosen: Sources, mixture: Mixture | None, languages: Languages) -> None:
    table = new_table("what the folder holds")
    for heading in ("file", "kind", "language", "rows", "used for"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "rows" else "left")
    for file in sorted(files, key=lambda one: (not one.kind, one.name)):
        rows = f"{file.rows:,}{'+' if file.has_more else ''}" if file.rows else ""
        cells = (file.name, file.kind or "-", file.language, rows, _use(file, chosen, mixture, languages))
        table.add_row(*(Text(cell) for cell in cells))
    results.print(table)


def _use(file: FoundFile, chosen: Sources, mixture: Mixture | None, languages: Languages) -> str:
    if not file.kind:
        # What is wrong, not what a person who names the file in a recipe should do about it.
        return shorten(f"not used: {file.reason.partition('. ')[0]}", _LONGEST_REASON, placeholder=" …")
    use = chosen.uses.get(file.name, file.reason)
    labels = [label for label, one in chosen.files.items() if one.name == file.name]
    if use == "training" and mixture is None:
        use = "not used: nothing in the target language stands beside it"
    elif use == "training" and mixture and not {*labels} & {*mixture.shares}:
        use = _use_beside_training(file, chosen, languages)
    if file.columns:
        use += f", its {' and '.join(f'{name!r} as {what}' for what, name in file.columns)}"
    return f"{use}; {file.bad_rows:,} bad rows are dropped" if file.bad_rows else use


def _use_beside_training(file: FoundFile, chosen: Sources, languages: Languages) -> str:
    """Return what a source that no row of is trained on is good for."""
    if file.kind == "text" and file.language == languages.target:
        return "new pieces, if worth it"
    is_scored = any(
        task["task"] == "bits_per_byte" and task.get("language") == file.language for task in chosen.tasks.values()
    )
    if file.kind == "text" and not is_scored:
        return "test texts, held out of it"
    return "not needed in this mixture"


def _print_unscored(scored: ScoringPlan, hours: float) -> None:
    table = new_table()
    table.add_column(f"not scored in {hours:g} hours", overflow="fold")
    table.add_column("takes at least", justify="right", no_wrap=True)
    table.add_column("since", overflow="fold")
    for label, most in sorted(scored.too_long.items(), key=lambda item: item[1]):
        table.add_row(Text(label), minutes(60 * most), Text(scored.why_left_out(label)))
    results.print(table)


def _print_leaks(recipe: Recipe, benchmarks: set[str]) -> None:
    """Name the sources of which the data stage will drop rows: a person may want to know where they are from."""
    for name, count in overlaps(recipe, benchmarks).items():
        note(f"{name}: {count} of the first {NUM_ROWS} rows contain an evaluation item; the data stage drops such rows")


def _print_summary(found: Found, asked: InitRequest) -> None:
    length, budget = found.plan.length, found.plan.budget
    if found.plan.pieces.extension:
        number, language = found.plan.pieces.extension["num_new_pieces"], language_name(asked.languages.target, "en")
        note(f"tokenizer: {number:,} new pieces make text in {language} {found.plan.pieces.saved:.0%} shorter")
    else:
        note(f"tokenizer: no new pieces: {found.plan.pieces.why}")
    note(f"training: {found.plan.planned.cost.method.name}; {length.why}")
    if length.is_short:
        note(
            "that is so little that translations will not be usable: it shows that everything works. Give more "
            "--hours, a smaller model, or plan for another machine with --gpu"
        )
    if budget.scored.too_long:
        _print_unscored(budget.scored, asked.hours)
    parts = (
        f"{minutes(budget.preparing)} to prepare, {minutes(length.seconds)} to train, "
        f"{minutes(budget.scored.seconds)} to score"
    )
    total = budget.preparing + length.seconds + budget.scored.seconds
    note(f"the run should take about {minutes(total)}: {parts}")
    if total > asked.hours * 3600:
        note(f"that is longer than --hours {asked.hours:g}: less than this cannot be trained and scored here")
    if budget.speed.measured and budget.speed.measured.is_shared:
        note(budget.speed.measured.told_share)
    for said in found.held_out:
        note(f"held out: {said}")
    note(f"wrote {asked.out}. Read it, then run: crosstune run {asked.out}")
