"""The audit shows what training reads, and stops what would be learnt wrongly."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from crosstune.errors import BadInputError
from crosstune.recipe import yaml_file
from crosstune.runs.files import read_json
from crosstune.runs.folder import RunFolder
from crosstune.tokens.audit import audit, check
from crosstune.tokens.store import mixture_tokens
from tests.command_line import crosstune
from tests.data.test_stage import write_corpora
from tests.learnt_tokenizers import sentencepiece_style
from tests.train.conftest import fill, instructions, pairs

TOKENIZER = sentencepiece_style([example.prompt + example.completion for example in pairs() + instructions()], 400)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    fill(run, {"base": TOKENIZER, "extended": TOKENIZER})
    return run


def audited(content: dict[str, Any], run: RunFolder, color: bool = False, **phase: Any) -> str:
    content["systems"]["ours"]["phases"][0] |= phase
    console = Console(file=io.StringIO(), force_terminal=color, width=200, highlight=False, markup=False)
    try:
        audit(yaml_file.validate(content, "r"), run, console)
    finally:
        said: str = console.file.getvalue()  # type: ignore[attr-defined]
    return said


def test_the_audit_counts_and_shows_each_source(recipe_content: dict[str, Any], run: RunFolder) -> None:
    said = audited(recipe_content, run)
    tokens = mixture_tokens(run, "paper", "extended")
    sizes = np.array([len(row) for row in tokens["tokens"].to_pylist()[20:]])
    assert "mixture paper, extended tokenizer, at most 512 tokens (for ours)" in said
    (facts,) = read_json(run.root / "data" / "audit.json")
    assert facts["sources"][0] == {
        "source": "alpaca",
        "examples": 8,
        "prompts": 1.0,
        "tokens": sizes.sum(),
        "supervised": pytest.approx(1 - sum(tokens["num_prompt"].to_pylist()[20:]) / sizes.sum()),
        "lengths": [sorted(sizes)[4], sizes.max(), sizes.max(), sizes.max()],
        "cut": 0,
        "crossing": 0,
    }
    # The first, a middle and the last example of each source.
    assert [line for line in said.splitlines() if line[:2] in ("a:", "p:")] == [
        f"{origin}: <s> ### Instruction:" for origin in ("a:1", "a:5", "a:8", "p:0", "p:10", "p:19")
    ]
    assert "Name 1 things.\n### Response:⟦\nthing </s>⟧" in said


def test_the_audit_says_where_instructions_are_changed(recipe_content: dict[str, Any], run: RunFolder) -> None:
    assert "wording_noise" not in audited(recipe_content, run)
    recipe_content["data"]["mixtures"]["paper"][0]["wording_noise"] = 0.25
    assert "pairs: wording_noise in 25% of the translation instructions" in audited(recipe_content, run)


@pytest.mark.slow
def test_supervised_tokens_are_green_in_a_terminal(recipe_content: dict[str, Any], run: RunFolder) -> None:
    assert "32m⟦" in audited(recipe_content, run, color=True)


def test_a_completion_that_would_be_cut_stops_the_run_after_all_is_shown(
    recipe_content: dict[str, Any], run: RunFolder
) -> None:
    with pytest.raises(BadInputError, match=r"at most 30 tokens .*longer are 20 of pairs\. Raise max_len"):
        audited(recipe_content, run, max_length_tokens=30)
    assert read_json(run.root / "data" / "audit.json")[0]["sources"][1]["cut"] == 20


def test_a_cut_that_the_recipe_allows_is_shown(recipe_content: dict[str, Any], run: RunFolder) -> None:
    longest = max(len(row) for row in mixture_tokens(run, "paper", "extended")["tokens"].to_pylist()[20:])
    said = audited(recipe_content, run, max_length_tokens=longest - 1, on_too_long="truncate")
    assert "⟧✂</s>" in said


def test_plain_text_is_never_cut(recipe_content: dict[str, Any], run: RunFolder) -> None:
    said = audited(recipe_content, run, mixture="korean", max_length_tokens=4)
    assert "✂" not in said and read_json(run.root / "data" / "audit.json")[0]["sources"][0]["prompts"] == 0


def broken(tokens: pa.Table, column: str, rows: list[Any]) -> pa.Table:
    index = tokens.schema.get_field_index(column)
    return tokens.set_column(index, tokens.schema.field(index), pa.array(rows, tokens.schema.field(index).type))


def test_each_broken_rule_is_told_with_its_first_example(run: RunFolder) -> None:
    tokens = mixture_tokens(run, "paper", "base")
    examples = pq.read_table(run.mixture("paper") / "examples.parquet")
    rows, num_prompt = tokens["tokens"].to_pylist(), tokens["num_prompt"].to_pylist()
    assert list(check(tokens, examples, TOKENIZER, "paper")) == []
    cases = {
        "end without EOS in the loss": broken(
            tokens, "tokens", [row if i != 3 else row[:-1] for i, row in enumerate(rows)]
        ),
        "have nothing to learn but EOS": broken(
            tokens, "num_prompt", [num if i != 3 else len(rows[3]) - 1 for i, num in enumerate(num_prompt)]
        ),
        "do not begin with their prompt's own tokens": broken(
            tokens, "tokens", [row if i != 3 else [row[0], 5, *row[2:]] for i, row in enumerate(rows)]
        ),
    }
    for rule, table in cases.items():
        told = list(check(table, examples, TOKENIZER, "paper"))
        assert f"mixture paper: 1 examples {rule} (first: p:3). Remove them from the source" in told


def test_the_command_makes_what_the_audit_needs(recipe_content: dict[str, Any], tmp_path: Path) -> None:
    root = tmp_path / "corpora"
    write_corpora(root)
    TOKENIZER.save_pretrained(root / "tokenizer")
    del recipe_content["tokenizer"]["extension"]
    recipe_content["systems"]["ours"]["tokenizer"] = "base"
    # Of a hub: what lies there is not looked at before it is trained.
    recipe_content["systems"]["base"] |= {"start": "somebody/model", "revision": "0123abc"}
    recipe = yaml_file.validate({**recipe_content, "data_root": str(root), "runs_root": str(tmp_path)}, "r")
    (tmp_path / "recipe.yaml").write_text(yaml_file.dump(recipe), encoding="utf-8")
    done = crosstune("data", str(tmp_path / "recipe.yaml"), "--audit")
    assert done.returncode == 0, done.stderr
    assert "Say hi\n### Response:⟦\nHi</s>⟧" in done.stdout
    assert "\x1b" not in done.stdout
