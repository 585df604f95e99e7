"""NTREX as its authors publish it: a file of lines for each language, some with a region or script in their names."""

from pathlib import Path

import pytest

from crosstune.evaluate.find_benchmarks import Choice, find_tasks


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("zh", "zho-CN"),
        ("zh-TW", "zho-TW"),
        ("pt", "por"),
        ("pt-BR", "por-BR"),
        ("sr", "srp-Cyrl"),
        ("sr-Latn", "srp-Latn"),
        ("ckb", "ckb-Arab"),
        ("es", "spa"),
        ("no", "nob"),
    ],
)
def test_score_finds_the_file_of_a_region_or_script(tmp_path: Path, target: str, code: str) -> None:
    codes = ("zho-CN", "zho-TW", "por", "por-BR", "srp-Cyrl", "srp-Latn", "ckb-Arab", "spa", "spa-MX", "nob", "nno")
    for name in ("src.eng", "ref-2.spa", *(f"ref.{one}" for one in codes)):
        (tmp_path / f"newstest2019-{name}.txt").touch()
    found = find_tasks(Choice("paper", tmp_path, skip_missing=True, target=target, tasks=("ntrex",)), 4)
    assert found["ntrex"]["paths"] == ["newstest2019-src.eng.txt", f"newstest2019-ref.{code}.txt"]
