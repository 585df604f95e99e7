"""A language model as a judge of answers: pairwise, in both orders, with what is known of its bias (off by default)."""
