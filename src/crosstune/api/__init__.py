"""What the commands do, as functions: `import crosstune` in a notebook or script.

Each does what its command does, by the same code. Nothing heavy is imported before a function needs it.
"""

from crosstune.api.experiments import check, list_recipes, load_recipe, plan_training, run, train_systems
from crosstune.api.models import load_assistant, score, translate
from crosstune.api.results import Picture, Report, plot_metrics, read_metrics, read_report
from crosstune.api.tokenizers import extend_tokenizer, sweep, verify

__all__ = [
    "Picture",
    "Report",
    "check",
    "extend_tokenizer",
    "list_recipes",
    "load_assistant",
    "load_recipe",
    "plan_training",
    "plot_metrics",
    "read_metrics",
    "read_report",
    "run",
    "score",
    "sweep",
    "train_systems",
    "translate",
    "verify",
]
