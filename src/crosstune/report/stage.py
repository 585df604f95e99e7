"""The report stage: from a run's files to report.html, report.md, tables.csv and .tex, and tables on the terminal."""

from dataclasses import replace

from crosstune.recipe import Recipe
from crosstune.report.outputs import read_outputs
from crosstune.report.page import Page, render, task_labels
from crosstune.report.run_facts import read_run_facts
from crosstune.report.scores import read_resamples, read_scores, to_csv
from crosstune.report.tables import baselines as levels
from crosstune.report.tables import failures, forgetting
from crosstune.report.tables import significance as comparisons
from crosstune.report.tables.build import further_tables, paper_tables
from crosstune.report.tables.cells import Table
from crosstune.report.tables.changes import change_table, figure_points, of_adapted
from crosstune.report.tables.few_resamples import few_resamples
from crosstune.report.tables.findings import best_per_column, findings
from crosstune.report.tables.one_answer import one_answer
from crosstune.report.tables.scored_alike import scored_otherwise
from crosstune.report.tables.summary import summary
from crosstune.report.tables.unequal_tokens import unequal_tokens
from crosstune.report.training import read_curves
from crosstune.report.write.latex import to_latex
from crosstune.report.write.markdown import to_markdown
from crosstune.report.write.model_card import write_model_cards
from crosstune.report.write.provenance import with_provenance
from crosstune.report.write.terminal import print_tables
from crosstune.runs.files import write_json, write_text
from crosstune.runs.folder import RunFolder
from crosstune.terminal.output import note


def run(recipe: Recipe, run: RunFolder) -> None:
    """Make the report from the run's files alone; it is made afresh each time, because that takes a second.

    Raises:
        RunFolderError: when no system has been evaluated.
    """
    scores = read_scores(recipe, run)
    outputs = read_outputs(recipe, run)
    evidence = comparisons.Evidence(scores, outputs, read_resamples(recipe, run))
    compared = comparisons.compare(evidence, list(recipe.systems))
    p_values = comparisons.signed_p_values(compared)
    found_levels, baselines = levels.read_levels(recipe, run), levels.read_baselines(run)

    def finished(tables: list[Table]) -> list[Table]:
        marked = comparisons.marked(recipe, levels.with_levels(tables, found_levels), compared)
        return with_provenance(recipe, levels.with_baselines(marked, baselines))

    main, further = finished(paper_tables(recipe, scores)), finished(further_tables(recipe, scores))
    main = [replace(table, sentence=best_per_column(table, p_values)) for table in main]
    change = change_table(recipe, evidence)
    changes = with_provenance(recipe, [comparisons.judged(recipe, change, p_values)])[0] if change else None
    shown_changes = of_adapted(recipe, changes)
    labels = task_labels([*further, *main], outputs)
    failed = failures.read_failures(recipe, outputs, labels)
    forgot = forgetting.verdicts(recipe, scores, change)
    facts = read_run_facts(recipe, run)
    page = Page(
        title=recipe.report.title or recipe.name,
        summary=summary(recipe, scores, [*main, *further], changes, failed),
        findings=[
            *findings(recipe, evidence, main, changes, forgetting.sentence(forgot)),
            *one_answer(recipe, outputs, labels),
            *scored_otherwise(recipe, scores, labels),
            *few_resamples(compared, evidence.resamples, labels),
            *unequal_tokens(facts.systems),
        ],
        main_tables=main,
        changes=shown_changes,
        further_tables=further,
        figure=figure_points(recipe, scores),
        curves=read_curves(recipe, run),
        outputs=outputs,
        failures=failed,
        facts=facts,
        signatures=sorted({(score.task, score.metric, score.signature) for score in scores.values()}),
    )
    every_table = [*main, *([shown_changes] if shown_changes else []), *further]
    write_text(run.report / "tables.csv", to_csv(recipe, scores))
    write_text(run.report / "comparisons.csv", comparisons.to_csv(compared))
    write_json(run.report / "levels.json", levels.to_json(found_levels))
    write_json(run.report / "forgetting.json", forgetting.to_json(forgot))
    write_text(run.report / "failures.csv", failures.to_csv(failed))
    markdown = to_markdown(
        (page.title, recipe.description), page.findings, every_table, failures.to_markdown(failed), page.facts
    )
    write_text(run.report / "report.md", markdown)
    write_text(run.report / "tables.tex", to_latex(every_table, page.facts.command))
    write_text(run.report / "report.html", render(recipe, page))
    write_model_cards(recipe, run, every_table, page.facts, scores)
    note(f"wrote {run.report}/report.html, report.md, tables.csv, tables.tex and failures.csv")
    told = {column.task for table in main for column in table.columns}
    others = [table for table in further if not told.issuperset(column.task for column in table.columns)]
    print_tables([*main, *others], run.report / "report.html")
