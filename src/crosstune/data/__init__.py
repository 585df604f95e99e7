"""The data stage: raw corpora become mixtures of examples and evaluation sets; every dropped row keeps its reason."""
