"""LaTeX tables: whole, escaped, as wide as their rows."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from crosstune.recipe import Recipe
from crosstune.report import stage
from crosstune.report.write.latex import escape
from crosstune.runs.folder import RunFolder


@pytest.fixture
def latex(recipe: Recipe, run: RunFolder) -> str:
    stage.run(recipe, run)
    return (run.report / "tables.tex").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_row_has_as_many_cells_as_its_table_has_columns(latex: str) -> None:
    tables = re.findall(r"\\begin\{tabular\}\{(lr+)\}(.*?)\\end\{tabular\}", latex, flags=re.DOTALL)
    assert len(tables) >= 4
    for columns, body in tables:
        for line in body.split("\n"):
            if line.endswith(r"\\"):
                spanned = sum(int(size) - 1 for size in re.findall(r"\\multicolumn\{(\d+)\}", line))
                assert len(re.split(r"(?<!\\)&", line)) + spanned == len(columns), line


@pytest.mark.slow
def test_the_papers_tables_stand_there_with_intervals_and_the_papers_figures(latex: str) -> None:
    assert r"\caption{Accuracy on English and Korean tasks (the paper's Table 3)." in latex
    assert r"{}LLaMA (ours, the paper's) & " in latex and r"\quad\textit{paper: Ours} & \textit{0.56}" in latex
    assert r"\cmidrule(lr){2-3}" in latex and r"\scriptsize [" in latex and r"\textbf{" in latex


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 % of A_1 & B", r"50 \% of A\_1 \& B"),
        ("\\input{secret} ~ ^ $x$ #", r"\textbackslash{}input\{secret\} \textasciitilde{} \textasciicircum{} \$x\$ \#"),
        ("En→Ko −0.1 –", r"En$\to$Ko $-$0.1 --"),
        ("p < 0.05 | >", r"p \textless{} 0.05 \textbar{} \textgreater{}"),
        ("two\nlines", "two lines"),
    ],
)
def test_texts_are_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_latex_takes_it(latex: str, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here")
    (tmp_path / "tables.tex").write_text(latex, encoding="utf-8")
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{tables.tex}\end{document}"
    (tmp_path / "main.tex").write_text(document)
    done = subprocess.run(["pdflatex", "-halt-on-error", "main.tex"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
