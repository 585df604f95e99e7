"""The tokenizer stage: mixtures in; base tokenizer, extended tokenizer and their fertility out."""

from pathlib import Path

from tokenizers import Tokenizer

from crosstune.recipe import Recipe
from crosstune.runs.files import read_json, write_json
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of, is_current, whole_folder
from crosstune.terminal.output import console, note
from crosstune.tokenizer import base, extension, fertility, samples, texts, verify
from crosstune.tokenizer.bpe import BpeTokenizer
from crosstune.tokenizer.folder import TOKENIZER, read_configuration, write_folder
from crosstune.tokenizer.line_kinds import part_lines
from crosstune.tokenizer.llama_cpp import reason_against
from crosstune.tokenizer.sentencepiece import writer as sentencepiece_writer

_FERTILITY_LINES = 2_000


def run(recipe: Recipe, run: RunFolder) -> None:
    """Make the base tokenizer, extend it and prove the extension, and measure both."""
    _make_base(recipe, run)
    if recipe.tokenizer.extension is not None:
        _make_extended(recipe, run)
    _measure_fertility(recipe, run)


def _make_base(recipe: Recipe, run: RunFolder) -> None:
    maker = base.prepare(recipe, run)
    if is_current(run.tokenizer("base"), maker.fingerprint):
        note("base tokenizer: already there")
        return
    content, configuration = maker.make()
    facts = {"size": BpeTokenizer(content).size}
    with whole_folder(run.tokenizer("base"), maker.fingerprint, facts) as folder:
        write_folder(folder, content, configuration)
    note(f"base tokenizer: {facts['size']:,} pieces")


def _make_extended(recipe: Recipe, run: RunFolder) -> None:
    maker = extension.prepare(recipe, run)
    if is_current(run.tokenizer("extended"), maker.fingerprint):
        note("extended tokenizer: already there")
        return
    base_model = sentencepiece_writer.find_base_model(recipe, run)
    old = BpeTokenizer(read_json(run.tokenizer("base") / TOKENIZER))
    extended = maker.make(old)
    facts: dict[str, int] = {}
    with whole_folder(run.tokenizer("extended"), maker.fingerprint, facts) as folder:
        configuration = read_configuration(run.tokenizer("base"))
        proved_on = samples.of_run(recipe, run, extended)
        report = extension.write_extended(folder, old, extended, configuration, proved_on, base_model)
        facts.update(report["size"])
        verify.refuse_failures(report, run.root / "tokenizer" / "failed_verification.json")
    note(f"extended tokenizer: {old.size:,} + {facts['new']:,} pieces = {facts['size']:,}; verified")
    if reason := reason_against(extended.tokenizer.content, base_model is not None):
        note(f"no GGUF file can be made of what is trained with it: {reason}. transformers and vLLM read it as it is")
    for row in report["properties"]:
        if row["name"] == verify.HELD_OUT_STAYS or (row["name"] == verify.SOURCE_STAYS and not row["required"]):
            note(f"{row['name']}: {row['share']:.3%} of {row['checked']:,}")
    if extended.unused is not None:
        note(extended.unused.sentence)
    if facts["dummies"]:
        note(f"{facts['dummies']:,} of the new pieces are dummies that pad the vocabulary")


def _measure_fertility(recipe: Recipe, run: RunFolder) -> None:
    names = ["base"] if recipe.tokenizer.extension is None else ["base", "extended"]
    folders = [*map(run.tokenizer, names), *_measured_folders(recipe, run)]
    made_from = fingerprint(
        "fertility", [(folder.name, fingerprint_of(folder)) for folder in folders], recipe.languages, recipe.seed
    )
    path = run.root / "tokenizer" / "fertility.json"
    if path.is_file() and read_json(path)["fingerprint"] == made_from:
        note("fertility: already measured")
        return
    tokenizers = {name: Tokenizer.from_file(str(run.tokenizer(name) / TOKENIZER)) for name in names}
    rows = [
        fertility.measure(label, language, lines, name, tokenizer)
        for label, sides in measured_lines(recipe, run).items()
        for language, lines in sides.items()
        for name, tokenizer in tokenizers.items()
    ]
    parallel = {
        label: recipe.languages_of(recipe.evaluate.tasks[label]) for label in texts.translation_lines(recipe, run)
    }
    parities = fertility.parity(rows, parallel)
    write_json(path, fertility.as_json(rows, parities, made_from))
    console.print(fertility.as_table(rows))
    for row in parities:
        note(fertility.parity_line(row))


def _measured_folders(recipe: Recipe, run: RunFolder) -> list[Path]:
    """Return the folders that `measured_lines` reads."""
    if sets := texts.translation_sets(recipe):
        return [run.evaluation_set(label) for label in sets]
    are_all_read = samples.share_letters(recipe.languages)
    return [run.mixture(name) for name in (recipe.data.mixtures if are_all_read else texts.learnt_mixtures(recipe))]


def measured_lines(recipe: Recipe, run: RunFolder) -> dict[str, dict[str, list[str]]]:
    """Return the translation sets' sentences; without such a set, lines of the mixtures that tokenizers learn from."""
    found = texts.translation_lines(recipe, run)
    if found:
        return found
    if samples.share_letters(recipe.languages):
        return {"learning text": samples.lines_by_language(recipe, run, _FERTILITY_LINES)}
    drawn = texts.sample_lines(texts.recipe_texts(recipe, run), _FERTILITY_LINES, recipe.seed)
    parted = part_lines(drawn, recipe.languages)
    sides = {recipe.languages.source: parted["source"], **samples.with_letters_of(recipe.languages, parted["target"])}
    return {"learning text": {language: lines for language, lines in sides.items() if lines}}
