"""Score the systems: multiple choice through lm-evaluation-harness, generation by a loop of our own, with intervals."""
