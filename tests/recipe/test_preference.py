"""What a recipe says of pairs and of phases that learn from them is checked before anything runs."""

from typing import Any

import pytest

from crosstune.recipe import yaml_file
from tests.recipe.test_recipe import mistakes, set_at


@pytest.fixture
def content(recipe_content: dict[str, Any]) -> dict[str, Any]:
    """A recipe whose system `cured` learns from the failures of `ours`."""
    recipe_content["mine"] = {"failures": {"system": "ours", "mixture": "paper"}}
    phase = recipe_content["systems"]["ours"]["phases"][0]
    cure = {**phase, "mixture": "failures", "method": "preference", "preference": {"objective": "dpo"}}
    recipe_content["systems"]["cured"] = {"start": "ours", "tokenizer": "extended", "phases": [cure]}
    return recipe_content


PHASE = "systems.cured.phases.0"


@pytest.mark.parametrize(
    ("dotted", "value", "expected"),
    [
        ("mine.failures.system", "our", "mine.failures.system: 'our' is not a system; there are base, cured, ours"),
        ("mine.failures.mixture", "papre", "mine.failures.mixture: 'papre' is not a mixture; there are korean, paper"),
        ("mine.failures.mixture", "korean", "'korean' holds plain text, which asks nothing: name one with prompts"),
        ("mine.failures.failures", ["no stops"], "`failures` names no stops; each of these at most once: empty, "),
        ("mine.failures.failures", ["no stop", "no stop"], "`failures` names one twice"),
        ("mine.korean", {"system": "ours", "mixture": "paper"}, "mine.korean: 'korean' is the name of a mixture"),
        ("mine", {}, f"{PHASE}.mixture: 'failures' is not among the pairs of `mine`; there are none"),
        (f"{PHASE}.mixture", "paper", "'paper' is not among the pairs of `mine`; there are failures"),
        ("systems.ours.phases.0.mixture", "failures", "systems.ours.phases.0.mixture: 'failures' is not a mixture"),
        (
            "systems.cured.start",
            "base",
            "are the failures of 'ours', which is not one of the systems that 'cured' come",
        ),
        (f"{PHASE}.preference", None, "`preference` settings are for `method: preference`, which needs them"),
        (f"{PHASE}.method", "full", "`preference` settings are for `method: preference`, which needs them"),
        (f"{PHASE}.preference.objective", "ppo", f"{PHASE}.preference.objective: Input should be 'dpo', 'cpo', "),
        (f"{PHASE}.preference.beta", 0, f"{PHASE}.preference.beta: Input should be greater than 0"),
        (f"{PHASE}.preference", {"objective": "nll", "margin": 1.0}, "`objective: nll` is the cross-entropy alone"),
        (f"{PHASE}.kl_to_start", {"weight": 1.0, "languages": ["en"]}, "`kl_to_start` has no languages to act on in"),
        ("train", {"weights": "bf16"}, f"found {PHASE} (dpo, full)"),
    ],
)
def test_a_mistake_is_named_with_its_path(content: dict[str, Any], dotted: str, value: Any, expected: str) -> None:
    set_at(content, dotted, value)
    assert expected in mistakes(content)


def test_each_objective_has_the_settings_of_its_authors_unless_the_recipe_says_otherwise(
    content: dict[str, Any],
) -> None:
    def settings(**preference: Any) -> tuple[float, float, float]:
        set_at(content, f"{PHASE}.preference", preference)
        found = yaml_file.validate(content, "test").systems["cured"].phases[0].preference
        assert found is not None
        return found.beta, found.margin, found.nll_weight

    assert settings(objective="dpo") == (0.1, 0.0, 0.0)
    assert settings(objective="cpo") == (0.1, 0.0, 1.0)
    assert settings(objective="simpo") == (2.0, 1.0, 0.0)
    assert settings(objective="nll") == (0.1, 0.0, 1.0)
    assert settings(objective="simpo", beta=2.5, nll_weight=0.5) == (2.5, 1.0, 0.5)


def test_pairs_may_be_learned_by_adapters_or_all_weights(content: dict[str, Any]) -> None:
    set_at(content, f"{PHASE}.lora", {"rank": 4})
    phase = yaml_file.validate(content, "test").systems["cured"].phases[0]
    assert (phase.title, phase.moves_all_layers) == ("dpo, lora", False)
    assert phase.pulls_on_whole_weights == ["objective: dpo"]
    set_at(content, f"{PHASE}.lora", None)
    set_at(content, f"{PHASE}.preference", {"objective": "cpo"})
    phase = yaml_file.validate(content, "test").systems["cured"].phases[0]
    assert (phase.title, phase.moves_all_layers, phase.pulls) == ("cpo, full", True, [])
