"""A whole experiment from Python, cell by cell."""

# %% [markdown]
# # crosstune from Python
# A whole experiment on a CPU: read a recipe, run it, read its scores, draw how it learned.
# The cells of this file open as a notebook in VS Code, PyCharm and Jupyter (with jupytext).

# %%
import sys

import crosstune

# %% [markdown]
# A recipe that comes with crosstune, by its name, or a file: `python quick_run.py recipe.yaml`.

# %%
files = [argument for argument in sys.argv[1:] if argument.endswith(".yaml")]
recipe = crosstune.load_recipe(files[0] if files else "miniature", quick=True)
print(recipe.languages.codes, list(recipe.systems))

# %% [markdown]
# Run all stages, from raw texts to the report. What is there already is skipped.

# %%
run = crosstune.run(recipe, quiet=True)

# %% [markdown]
# Every score, with its interval; `pandas.DataFrame(report.scores)` makes a table of it.

# %%
report = crosstune.read_report(run)
for row in report.scores:
    if row["metric"] == "bleu":
        print(f"{row['system']:20} {row['task']:24} {row['value']:5.1f}")

# %% [markdown]
# The training loss of two systems, step by step. A notebook shows the picture by itself.

# %%
picture = crosstune.plot_metrics(run, ["llama", "ours"], "loss_bits_per_byte")
picture.save(run.root / "loss.svg")
picture  # noqa: B018 - a notebook shows it
