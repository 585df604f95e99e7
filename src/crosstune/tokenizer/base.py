"""The base tokenizer: learnt from a mixture, or a given one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crosstune.recipe import LearnedTokenizer, Recipe
from crosstune.runs.fingerprint import fingerprint
from crosstune.runs.folder import RunFolder, fingerprint_of
from crosstune.tokenizer import given
from crosstune.tokenizer.folder import configuration_of
from crosstune.tokenizer.learn_base import SPECIAL_PIECES, learn_base
from crosstune.tokenizer.texts import data_root, mixture_texts

_SETTING = "tokenizer.base.path"


@dataclass(frozen=True)
class BaseMaker:
    """How the base is made, and from what: ``make`` returns tokenizer.json's content and the configuration."""

    fingerprint: str
    make: Callable[[], tuple[dict[str, Any], dict[str, Any]]]


def prepare(recipe: Recipe, run: RunFolder) -> BaseMaker:
    """Find what the base is made from.

    Raises:
        BadInputError: when a given tokenizer is nowhere.
    """
    settings = recipe.tokenizer.base
    if not isinstance(settings, LearnedTokenizer):
        found = given.find(settings, data_root(recipe, run), _SETTING)
        return BaseMaker(fingerprint("base tokenizer", found.fingerprint), lambda: given.load(found.fetch(), _SETTING))
    targets = recipe.languages.targets
    mixture = run.mixture(settings.mixture)

    def learn() -> tuple[dict[str, Any], dict[str, Any]]:
        texts = mixture_texts(mixture, f"counting the words of mixture {settings.mixture}")
        content = learn_base(texts, settings.num_pieces, *targets)
        return content, configuration_of(
            dict(zip(("unk_token", "bos_token", "eos_token"), SPECIAL_PIECES, strict=True))
        )

    return BaseMaker(fingerprint("base tokenizer", settings, *targets, fingerprint_of(mixture)), learn)
