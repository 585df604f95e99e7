"""How the report is written: terminal, Markdown, LaTeX, charts, model cards."""
