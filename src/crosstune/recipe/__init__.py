"""Every setting of a run: typed, frozen, described, bounded.

A recipe has the sections ``data``, ``tokenizer``, ``systems``, ``train``, ``evaluate`` and ``report``. One module each
says what they may hold; ``checks`` says how they fit together; ``yaml_file`` reads and writes recipes as YAML 1.2.
"""

from crosstune.prompts.wordings import Wordings
from crosstune.recipe.data import Data, MixturePart, Quality, Source, SourceFormat, World
from crosstune.recipe.evaluate import Evaluate, EvaluationTask, ReportSettings
from crosstune.recipe.languages import Languages, RecipeLanguages
from crosstune.recipe.preference import Mine, ObjectiveName, Preference, Replay
from crosstune.recipe.section import Section
from crosstune.recipe.systems import Architecture, Lora, NewRows, Phase, System
from crosstune.recipe.tokenizer import GivenTokenizer, LearnedExtension, LearnedTokenizer, Tokenizer
from crosstune.recipe.train import Train
from crosstune.recipe.whole import Recipe

__all__ = [
    "Architecture",
    "Data",
    "Evaluate",
    "EvaluationTask",
    "GivenTokenizer",
    "Languages",
    "LearnedExtension",
    "LearnedTokenizer",
    "Lora",
    "Mine",
    "MixturePart",
    "NewRows",
    "ObjectiveName",
    "Phase",
    "Preference",
    "Quality",
    "Recipe",
    "RecipeLanguages",
    "Replay",
    "ReportSettings",
    "Section",
    "Source",
    "SourceFormat",
    "System",
    "Tokenizer",
    "Train",
    "Wordings",
    "World",
]
