import json
import math
from typing import Any

import pytest

from crosstune.errors import RunFolderError
from crosstune.recipe import Recipe
from crosstune.report import page, stage
from crosstune.report.page import system_figures
from crosstune.report.training import MAX_POINTS, Curves, read_curves
from crosstune.runs.files import write_jsonl, write_text
from crosstune.runs.folder import RunFolder
from tests.report.conftest import SYSTEMS


def curves_of(recipe: Recipe, run: RunFolder, rows: list[dict[str, object]]) -> Curves:
    write_jsonl(run.system("ours") / "metrics.jsonl", rows)
    return next(curves for curves in read_curves(recipe, run) if curves.system == "ours")


def row(step: int, loss: float = 2.0, phase: int = 0, **more: object) -> dict[str, object]:
    return {"phase": phase, "step": step, "loss": loss, "supervised_tokens": 10 * step, **more}


@pytest.mark.slow
def test_a_long_training_is_thinned_to_means_and_keeps_its_last_step(recipe: Recipe, run: RunFolder) -> None:
    curves = curves_of(recipe, run, [row(step, loss=float(step % 2)) for step in range(1, 100_001)])
    assert curves.num_rows == 100_000
    assert len(curves.loss) <= MAX_POINTS
    assert curves.loss[-1][0] == 100_000
    assert all(abs(loss - 0.5) < 0.01 for _, loss in curves.loss)


@pytest.mark.slow
def test_a_short_training_keeps_every_step(recipe: Recipe, run: RunFolder) -> None:
    assert curves_of(recipe, run, [row(1, 3.0), row(2, 2.0)]).loss == [(1, 3.0), (2, 2.0)]


@pytest.mark.slow
def test_the_steps_of_a_second_phase_count_on(recipe: Recipe, run: RunFolder) -> None:
    curves = curves_of(recipe, run, [row(1), row(2), row(1, phase=1), row(2, phase=1), row(1, phase=2)])
    assert [step for step, _ in curves.loss] == [1, 2, 3, 4, 5]
    assert curves.phase_starts == [2, 4]


@pytest.mark.slow
def test_a_phase_shorter_than_the_steps_between_rows_counts_too(recipe: Recipe, run: RunFolder) -> None:
    curves = curves_of(recipe, run, [row(2), row(5, phase=1), row(8, phase=1)])
    assert [step for step, _ in curves.loss] == [2, 7, 10]
    assert curves.phase_starts == [2]


@pytest.mark.slow
def test_a_diverged_step_does_not_hide_its_neighbours(recipe: Recipe, run: RunFolder) -> None:
    curves = curves_of(recipe, run, [row(1, 3.0), row(2, math.nan), row(3, 2.0)])
    assert curves.loss == [(1, 3.0), (3, 2.0)]


@pytest.mark.slow
def test_sources_are_averaged_by_their_own_tokens(recipe: Recipe, run: RunFolder) -> None:
    def sources(loss: float, tokens: int) -> dict[str, object]:
        return {"aihub": {"loss": loss, "supervised_tokens": tokens}}

    steps = [(1.0, 30) if step % 2 else (2.0, 10) for step in range(1, 321)]
    rows = [row(step, loss, sources=sources(loss, n)) for step, (loss, n) in enumerate(steps, start=1)]
    curves = curves_of(recipe, run, rows)
    assert {round(loss, 6) for _, loss in curves.loss} == {1.25}
    assert {round(loss, 6) for _, loss in curves.sources["aihub"]} == {1.25}


@pytest.mark.slow
def test_a_line_that_training_is_writing_is_left_out(recipe: Recipe, run: RunFolder) -> None:
    write_text(run.system("ours") / "metrics.jsonl", json.dumps(row(1)) + "\n" + '{"phase": 0, "st')
    curves = next(curves for curves in read_curves(recipe, run) if curves.system == "ours")
    assert curves.num_rows == 1


@pytest.mark.slow
@pytest.mark.parametrize("line", ["not json", "[]", "3", '{"step": 1}'])
def test_a_broken_line_is_named_with_what_to_do(recipe: Recipe, run: RunFolder, line: str) -> None:
    write_text(run.system("ours") / "metrics.jsonl", json.dumps(row(1)) + f"\n{line}\n")
    with pytest.raises(
        RunFolderError, match=r"metrics.jsonl:2: expected .* found .*; remove the line.* `crosstune train RECIPE`"
    ):
        read_curves(recipe, run)


@pytest.mark.slow
def test_a_system_without_metrics_has_no_curve(recipe: Recipe, run: RunFolder) -> None:
    write_text(run.system("ours") / "metrics.jsonl", "")
    (run.system("lora") / "metrics.jsonl").unlink()
    assert [curves.system for curves in read_curves(recipe, run)] == ["llama", "continued", "bilingual"]


@pytest.mark.slow
def test_held_out_text_is_followed_over_the_phases(recipe: Recipe, run: RunFolder) -> None:
    write_jsonl(
        run.system("ours") / "validation.jsonl",
        [
            {"phase": 0, "step": 0, "bits_per_byte": {"en": 1.0, "ko": 3.0}},
            {"phase": 0, "step": 8, "bits_per_byte": {"en": 1.1, "ko": 2.0}},
            {"phase": 1, "step": 0, "bits_per_byte": {"en": 1.1, "ko": 2.0}},
            {"phase": 1, "step": 4, "bits_per_byte": {"en": math.nan, "ko": 1.5}},
        ],
    )
    found = curves_of(recipe, run, [row(1), row(8)]).validation[0]
    assert found["ko"] == [(0, 3.0), (8, 2.0), (8, 2.0), (12, 1.5)]
    assert found["en"] == [(0, 1.0), (8, 1.1), (8, 1.1)]


@pytest.mark.slow
def test_what_is_scored_from_the_second_phase_on_stands_at_its_steps(recipe: Recipe, run: RunFolder) -> None:
    rows = [{"phase": 1, "step": step, "bits_per_byte": {"ko": 2.0}} for step in (0, 4)]
    write_jsonl(run.system("ours") / "validation.jsonl", rows)
    assert curves_of(recipe, run, [row(1), row(8), row(4, phase=1)]).validation[0]["ko"] == [(8, 2.0), (12, 2.0)]
    assert curves_of(recipe, run, [row(1), row(8)]).validation[0]["ko"] == [(8, 2.0), (12, 2.0)]


@pytest.mark.slow
def test_the_page_draws_held_out_text_by_language(recipe: Recipe, run: RunFolder) -> None:
    write_jsonl(
        run.system("ours") / "validation.jsonl",
        [{"phase": 0, "step": step, "bits_per_byte": {"en": 1.0, "ko": 3.0 - step}} for step in range(3)],
    )
    stage.run(recipe, run)
    page = (run.report / "report.html").read_text(encoding="utf-8")
    section = page[page.index("<h3>Held-out text</h3>") : page.index("<h3>Loss by source and language</h3>")]
    assert "<figcaption>English</figcaption>" in section and "<figcaption>Korean</figcaption>" in section
    assert section.count('<svg class="chart"') == 2 and section.count('<svg class="mark"') == len(SYSTEMS)


@pytest.mark.slow
def test_languages_are_drawn_beside_the_sources(recipe: Recipe, run: RunFolder) -> None:
    def languages(korean: float, tokens: int) -> dict[str, object]:
        return {"ko": {"loss": korean, "supervised_tokens": tokens}, "en": {"loss": 1.0, "supervised_tokens": 10}}

    rows = [row(1, 2.0, languages=languages(2.0, 30)), row(2, 2.0, languages=languages(1.0, 10))]
    curve = curves_of(recipe, run, rows)
    assert {code: points[-1][1] for code, points in curve.languages.items()} == {"ko": 1.0, "en": 1.0}
    (figure,) = [one for one in system_figures([curve]) if one["label"] == curve.label]
    assert {"all Korean", "all English"} <= {label for label, _, _ in figure["legend"]}


@pytest.mark.slow
def test_scores_during_training_become_one_chart_a_kind_of_task(recipe: Recipe, run: RunFolder) -> None:
    def scored(step: int, hella: float, bleu: float) -> dict[str, Any]:
        scores = {"hella": {"acc": hella, "acc_norm": 0.9}, "choice": {"acc": 0.5}, "pairs_en_ko_en": {"bleu": bleu}}
        return {"phase": 0, "step": step, "max_items": 100 - step, "scores": scores}

    write_jsonl(run.system("ours") / "scores_during_training.jsonl", [scored(0, 0.7, 0.0), scored(5, 0.6, math.nan)])
    write_jsonl(run.system("lora") / "scores_during_training.jsonl", [{"phase": 0, "step": 0, "scores": {}}])
    curves = {curve.system: curve for curve in read_curves(recipe, run)}
    # Of an earlier version, which told the number of items only.
    assert [scores["hella", "acc"] for scores in curves["ours"].scores] == [[(0, 0.7)], [(5, 0.6)]]
    assert curves["ours"].scores[0]["pairs_en_ko_en", "bleu"] == [(0, 0.0)]
    figures = dict(page.score_figures(recipe, list(curves.values())))
    assert list(figures) == ["English tasks"]  # the last row has no finite score of translation
    assert page.means([{0: 0.7, 5: 0.6}, {0: 0.5, 5: 0.5}]) == [(0, 0.6), (5, 0.55)]
    stage.run(recipe.model_copy(update={"train": recipe.train.model_copy(update={"score_every_steps": 5})}), run)
    html = (run.report / "report.html").read_text(encoding="utf-8")
    assert "Scores during training" in html and "every 5 steps" in html
    assert "at most 95 or 100 items" in html and "Tasks, items or how they are asked were changed" in html
    assert "Not scored while they trained: " in html


@pytest.mark.slow
def test_a_line_is_broken_where_tasks_or_held_out_text_were_changed(recipe: Recipe, run: RunFolder) -> None:
    def scored(step: int, fingerprint: str, **scores: float) -> dict[str, Any]:
        by_task = {task: {"acc": value} for task, value in scores.items()}
        return {"phase": 0, "step": step, "max_items": 9, "fingerprint": fingerprint, "scores": by_task}

    folder, html = run.system("ours"), run.report / "report.html"
    both, one = [scored(step, "a", hella=0.7, copa=0.1) for step in (0, 5)], [scored(9, "b", hella=0.6)]
    texts = [{"phase": 0, "step": step, "fingerprint": "c", "bits_per_byte": {"ko": 2.0}} for step in (0, 5)]
    changed = [{**texts[0], "step": 9, "fingerprint": "d"}]
    for is_changed in (False, True):
        write_jsonl(folder / "scores_during_training.jsonl", both + one * is_changed)
        write_jsonl(folder / "validation.jsonl", texts + changed * is_changed)
        curves = [curve for curve in read_curves(recipe, run) if curve.system == "ours"]
        (figure,) = dict(page.score_figures(recipe, curves)).values()
        (text,) = dict(page.validation_figures(recipe, curves)).values()
        assert figure.count('class="line') == text.count('class="line') == 1 + is_changed
        stage.run(recipe, run)
        said = html.read_text(encoding="utf-8").count("lines are broken there")
        assert said == 2 * is_changed
    # The tasks of the last rows: a mean of two tasks is not joined with one of one.
    assert curves[0].scores[1] == {("hella", "acc"): [(9, 0.6)]}


@pytest.mark.slow
def test_a_run_without_scores_during_training_shows_no_chart_of_them(recipe: Recipe, run: RunFolder) -> None:
    assert page.score_figures(recipe, read_curves(recipe, run)) == []
    stage.run(recipe, run)
    assert "Scores during training" not in (run.report / "report.html").read_text(encoding="utf-8")


def test_a_source_looks_alike_in_every_systems_chart_and_unlike_any_other() -> None:
    points = [(1.0, 2.0), (2.0, 1.5)]
    names = [f"source_{number:02}" for number in range(13)]
    many = Curves("many", "Many", loss=points, sources=dict.fromkeys(names, points), languages={"en": points})
    many.languages["ko"] = points
    few = Curves("few", "Few", loss=points, sources=dict.fromkeys(names[5:7], points))
    first, second = (
        {label: (style, is_bold) for label, style, is_bold in figure["legend"]}
        for figure in system_figures([many, few])
    )
    assert [*second] == ["all", names[6], names[5]]
    assert second.items() <= first.items()
    assert len({*first.values()}) == len(first) == 13 + 2 + 1
