"""crosstune extends an English-centric language model to a new language and measures what was won and forgotten."""

__version__ = "0.1.0"
