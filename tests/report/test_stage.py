import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crosstune.errors import RunFolderError
from crosstune.recipe import Recipe
from crosstune.report import stage
from crosstune.report.scores import read_scores, to_json
from crosstune.runs.files import read_json, write_json
from crosstune.runs.folder import RunFolder
from tests.report.conftest import CELLS, SYSTEMS, make_recipe, recipe_content, write_run


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(recipe: Recipe, run: RunFolder) -> str:
    stage.run(recipe, run)
    return (run.report / "report.html").read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, list[dict[str, object]]]:
    block = re.search(r'<script id="outputs-data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert block is not None
    loaded: dict[str, list[dict[str, object]]] = json.loads(block[1])
    return loaded


@pytest.mark.slow
def test_the_report_folder_holds_page_markdown_and_csv(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    data = ["comparisons.csv", "failures.csv", "forgetting.json", "levels.json"]
    names = [*data, "report.html", "report.md", "tables.csv", "tables.tex"]
    assert sorted(path.name for path in run.report.iterdir()) == names


@pytest.mark.slow
def test_tables_are_stamped_where_training_kept_what_overlaps_the_tests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stamp = "Training rows that contain texts of the evaluation sets were kept"
    data = recipe_content()["data"]
    for kept in (False, True):
        recipe = make_recipe(tmp_path, data={**data, "quality": {"drop_evaluation_overlap": not kept}})
        run = write_run(recipe)
        write_json(run.system("ours") / "model" / "config.json", {})
        page = page_of(recipe, run)
        num_tables = page.count('<table class="scores" ')
        assert num_tables > 3 and page.count(stamp) == (num_tables if kept else 0)
        markdown = (run.report / "report.md").read_text(encoding="utf-8")
        assert markdown.count(f"**{stamp}") == (num_tables if kept else 0)
        latex = (run.report / "tables.tex").read_text(encoding="utf-8")
        assert latex.count(stamp) == (num_tables if kept else 0)
        card = (run.system("ours") / "model" / "README.md").read_text(encoding="utf-8")
        assert (stamp in card) is kept and card.count(stamp) == (card.count("\n## ") if kept else 0)
        printed = " ".join(capsys.readouterr().out.split())
        # Tables 3 and 4, and the table of what they do not hold.
        assert printed.count(stamp) == (3 if kept else 0)


@pytest.mark.slow
def test_the_csv_holds_every_score_at_full_precision(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    with (run.report / "tables.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["system", "task", "metric", "value", "low", "high", "n", "seed"]
    assert {row["seed"] for row in rows} == {"3"}
    for name in SYSTEMS:
        written = read_json(run.system(name) / "evaluation" / "scores.json")["scores"]
        ours = [(r["task"], r["metric"], float(r["value"]), float(r["low"])) for r in rows if r["system"] == name]
        assert ours == [(score["task"], score["metric"], score["value"], score["low"]) for score in written]


@pytest.mark.slow
def test_page_and_markdown_show_the_numbers_of_the_csv(recipe: Recipe, run: RunFolder) -> None:
    page = page_of(recipe, run)
    markdown = (run.report / "report.md").read_text(encoding="utf-8")
    with (run.report / "tables.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            digits = 1 if row["metric"] in ("bleu", "chrf++") else 3
            value, low, high = (f"{float(row[key]):.{digits}f}" for key in ("value", "low", "high"))
            assert f'<span class="value">{value}</span>' in page
            assert f"{low} to {high}" in page
            assert f"{value} [{low}, {high}]" in markdown.replace("**", "")


@pytest.mark.slow
def test_nothing_that_is_published_names_a_folder_of_the_machine_it_was_made_on(tmp_path: Path) -> None:
    start = {"start": "/home/anna/models/llama", "tokenizer": "base", "phases": []}
    content = recipe_content()
    systems = {**content["systems"], "llama": {**start, "label": "LLaMA (base)"}}
    given = {**content["tokenizer"], "base": {"kind": "given", "path": "/home/anna/models/llama"}}
    recipe = make_recipe(tmp_path, systems=systems, tokenizer=given, data_root="/home/anna/corpora")
    run = write_run(recipe)
    noted = "crosstune report /home/anna/r.yaml runs_root=/home/anna/runs data_root=../corpora"
    write_json(run.root / "run.json", {**read_json(run.root / "run.json"), "command": noted})
    for name in recipe.systems:
        write_json(run.system(name) / "model" / "config.json", {})
    stage.run(recipe, run)
    published = [*run.report.rglob("*"), *run.root.glob("systems/*/model/README.md")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in published if path.suffix not in (".svg", ".png")}
    assert "crosstune run r.yaml runs_root=runs data_root=corpora" in texts["report.md"]
    assert {"report.html", "report.md", "tables.tex", "README.md"} <= texts.keys()
    assert not [name for name, text in texts.items() if "/home/anna" in text or str(tmp_path) in text or "../" in text]


@pytest.mark.slow
def test_the_page_asks_no_network_for_anything(recipe: Recipe, run: RunFolder) -> None:
    page = page_of(recipe, run)
    elements = Elements(page).found
    for tag, attributes in elements:
        assert "src" not in attributes, tag
        assert (attributes.get("href") or "#").startswith("#")
        assert tag not in ("link", "iframe", "object", "embed", "base")
    # The fills of bars are in the page itself.
    assert "@import" not in page and page.count("url(") == page.count("url(#fill")
    policy = next(attributes["content"] for _, attributes in elements if attributes.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'")


@pytest.mark.slow
def test_what_models_wrote_stays_text(recipe: Recipe, run: RunFolder) -> None:
    page = page_of(recipe, run)
    assert sum(tag == "script" for tag, _ in Elements(page).found) == 2
    assert page.count("</script>") == 2
    answers = {item["id"]: item["answers"] for item in data_of(page)["items"]}
    assert answers["pairs_en_ko_en-0"]["ours"]["text"].startswith("<script>document.title")  # type: ignore[index]


@pytest.mark.slow
def test_labels_and_descriptions_are_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    recipe = make_recipe(tmp_path, description=hostile, report={"title": hostile})
    page = page_of(recipe, write_run(recipe))
    assert hostile not in page
    assert "<script>" not in (tmp_path / "made_up" / "report" / "report.md").read_text().replace("\\<script", "")


@pytest.mark.slow
def test_only_what_changed_in_the_run_changes_the_report(recipe: Recipe, run: RunFolder) -> None:
    first = page_of(recipe, run)
    assert page_of(recipe, run) == first


@pytest.mark.slow
def test_the_terminal_shows_both_tables_and_where_the_report_lies(
    recipe: Recipe, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.run(recipe, run)
    printed = capsys.readouterr().out
    assert "Table 3" in printed and "Table 4" in printed
    assert "58.3 [" in printed
    assert "†" in printed and "Holm's correction" in " ".join(printed.split())
    assert "paper: Ours" in printed and "11.1" in printed
    assert str(run.report / "report.html") in printed
    assert max(map(len, printed.split("The report")[0].splitlines())) <= 120


@pytest.mark.slow
def test_a_run_whose_other_systems_are_not_evaluated_yet_is_reported_with_dashes(recipe: Recipe) -> None:
    run = write_run(recipe, systems=("llama", "ours"))
    page = page_of(recipe, run)
    assert "LLaMA (bilingual)" in page
    assert "| LLaMA (bilingual) | – | – | – |" in (run.report / "report.md").read_text(encoding="utf-8")
    assert "bilingual" not in (run.report / "tables.csv").read_text()


@pytest.mark.slow
def test_scores_alone_are_enough_for_a_report(recipe: Recipe, run: RunFolder) -> None:
    for name in SYSTEMS:
        for file in ("metrics.jsonl", "system.json", "evaluation/outputs.jsonl", "evaluation/manifest.json"):
            (run.system(name) / file).unlink()
    for left in ("data", "tokenizer"):
        shutil.rmtree(run.root / left)
    (run.root / "run.json").unlink()
    page = page_of(recipe, run)
    assert 'id="training"' not in page and 'id="outputs"' not in page and 'id="data"' not in page
    assert "crosstune run recipe.yaml" in page


@pytest.mark.slow
def test_the_page_says_what_was_run(recipe: Recipe, run: RunFolder) -> None:
    page = page_of(recipe, run)
    for fact in ("crosstune run recipes/made_up.yaml", "0123abc", "AMD EPYC, 2 cores, 7.7 GB", "torch 2.13.0"):
        assert fact in page
    assert "evaluation_overlap: 12" in page
    assert "crosstune evaluate recipes/made_up.yaml" in page


def test_nothing_evaluated_is_an_error_that_says_what_to_do(recipe: Recipe) -> None:
    with pytest.raises(RunFolderError) as error:
        stage.run(recipe, RunFolder(recipe.runs_root / recipe.name))
    message = str(error.value)
    assert "there is nothing to report in" in message and "none of its systems (llama, lora" in message
    assert "at least one systems/NAME/evaluation/scores.json" in message and "crosstune evaluate RECIPE" in message


@pytest.mark.slow
def test_a_score_that_is_not_a_number_counts_as_missing(recipe: Recipe, run: RunFolder) -> None:
    path = run.system("ours") / "evaluation" / "scores.json"
    scores = read_json(path)
    scores["scores"][0]["value"] = float("nan")
    write_json(path, scores)
    page_of(recipe, run)
    line = next(
        line for line in (run.report / "report.md").read_text().splitlines() if "LLaMA (ours" in line and "|" in line
    )
    assert line.startswith("| LLaMA (ours, the paper's) | – |")


@pytest.mark.slow
def test_the_findings_name_gain_forgetting_and_the_collapse_under_korean_instructions(
    recipe: Recipe, run: RunFolder
) -> None:
    stage.run(recipe, run)
    markdown = (run.report / "report.md").read_text(encoding="utf-8")
    # COPA −0.133 of one of four systems: 2 / 256 by itself, and no longer significant among ten pairs.
    assert "No significant loss against LLaMA (base): LLaMA (Ko), LoRA; LLaMA (Ko), continued; " in markdown
    assert "58.3 → 15.6, −42.7, for LLaMA (ours, the paper's)" in markdown
    assert "LLaMA (bilingual), BLEU 96.8 [92.3, 100.0]; LLaMA (base) has 0.1." in markdown


@pytest.mark.slow
def test_all_four_cells_can_be_explored(recipe: Recipe, run: RunFolder) -> None:
    tasks = data_of(page_of(recipe, run))["tasks"]
    assert {f"pairs_{cell}" for cell in CELLS} <= {task["name"] for task in tasks}


@pytest.mark.slow
def test_scores_as_json_are_the_rows_of_the_csv(recipe: Recipe, run: RunFolder) -> None:
    stage.run(recipe, run)
    found = json.loads(to_json(recipe, read_scores(recipe, run)))
    with (run.report / "tables.csv").open(encoding="utf-8", newline="") as file:
        assert [{name: str(value) for name, value in row.items()} for row in found] == list(csv.DictReader(file))
