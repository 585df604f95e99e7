"""Prompt templates, translation instructions, and the record that flows from the data stage to training."""
