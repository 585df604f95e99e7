"""lm-evaluation-harness's own command line with the model ``crosstune`` registered.

    python -m crosstune.evaluate --model crosstune --model_args pretrained=FOLDER --tasks hellaswag

The harness finds no models outside its own package, so it cannot load ours by itself.
"""

from lm_eval.__main__ import cli_evaluate

from crosstune.evaluate import harness

__all__ = ["harness"]

if __name__ == "__main__":
    cli_evaluate()
