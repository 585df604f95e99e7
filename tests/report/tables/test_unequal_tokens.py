"""Systems that were trained on unequal numbers of tokens are named."""

from crosstune.report.run_facts import SystemFacts
from crosstune.report.tables.unequal_tokens import unequal_tokens


def system(label: str, *tokens: int, start: str = "LLaMA") -> SystemFacts:
    phases = tuple({"mixture": "paper", "tokens": number} for number in tokens)
    return SystemFacts(label=label, start=start, tokenizer="extended", num_parameters=9, phases=phases)


def test_systems_of_one_start_are_compared_over_all_their_phases() -> None:
    (group,) = unequal_tokens([system("B", 1_000, 400), system("A", 1_000), system("untrained")])
    assert group.lines == (
        "Tokens that systems trained on, starting from LLaMA: A 1,000; B 1,400. A difference between them may be due "
        "to this.",
    )


def test_nearly_equal_numbers_and_other_starts_are_no_finding() -> None:
    assert not unequal_tokens([system("A", 1_000), system("B", 1_200), system("base", 90_000, start="from scratch")])
