"""The report stage: what a run's files say, as tables on the terminal, in Markdown and CSV, and one HTML page."""
