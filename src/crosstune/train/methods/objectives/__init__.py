"""What is learned from pairs of answers: one small file for each objective."""

from crosstune.recipe import ObjectiveName
from crosstune.train.methods.objectives import cpo, dpo, nll, simpo
from crosstune.train.methods.objectives.pairs import Objective

OBJECTIVES: dict[ObjectiveName, Objective] = {
    "dpo": dpo.OBJECTIVE,
    "cpo": cpo.OBJECTIVE,
    "simpo": simpo.OBJECTIVE,
    "nll": nll.OBJECTIVE,
}
"""By the names that recipes call them."""
