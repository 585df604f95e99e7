"""The matrix of architectures: each is read exactly, in the fastest way that is exact, or is listed with a reason."""

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tests.models.architectures import NOT_MEASURED, PAGE, Row, measure, page, read_results

RESULTS = {row.name: row for row in read_results()}
# One of each kind: full attention, windows, caps, sinks, chunks, ALiBi, state, hybrids, experts, sparse choices.
QUICK = (
    "bloom",
    "doge",
    "gemma2",
    "gpt2",
    "gpt_neo (local only)",
    "gpt_oss",
    "llama",
    "llama4_text",
    "mamba",
    "mistral",
    "olmo3",
    "qwen3_5_text",
)


def assert_exact(row: Row) -> None:
    assert not row.reason, row.reason
    assert row.is_exact and row.equal_answers == 4, row
    known = RESULTS[row.name]
    assert (row.training, row.scoring, row.generation) == (known.training, known.scoring, known.generation)


def test_every_causal_model_of_transformers_is_in_the_matrix_or_listed_with_a_reason() -> None:
    missing = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES).difference(RESULTS, *NOT_MEASURED.values())
    assert not missing, f"measure them: python -m tests.models.architectures {' '.join(sorted(missing))}"


def test_no_architecture_is_read_otherwise_than_by_plain_transformers() -> None:
    wrong = [row for row in RESULTS.values() if not row.reason and not (row.is_exact and row.equal_answers == 4)]
    assert wrong == []


def test_the_page_of_models_says_what_was_measured() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(list(RESULTS.values()))


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_model_of_each_kind_is_trained_scored_and_continued_as_by_plain_transformers(name: str) -> None:
    assert_exact(measure(name))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [name for name, row in RESULTS.items() if not row.reason and name not in QUICK])
def test_every_other_architecture_is_trained_scored_and_continued_as_by_plain_transformers(name: str) -> None:
    assert_exact(measure(name))
