"""lm-evaluation-harness: our scorer as its model, our tasks as its tasks."""
