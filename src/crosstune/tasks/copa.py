"""COPA (Roemmele et al. 2011): which of two alternatives is the cause or the effect of a premise."""

from dataclasses import replace

from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

_CHOICES = ("choice1", "choice2")
_CAUSE_OR_EFFECT = Field("question", values=("cause", "effect"), is_own=False)
_LAYOUTS = (
    # The XML of 2011, whose items are numbered from 1 to 1000 over both of its files.
    ColumnLayout(
        (("premise", "p"), ("choice1", "a1"), ("choice2", "a2"), ("question", "asks-for")),
        label="most-plausible-alternative",
        answers=("1", "2"),
        ids=("id",),
    ),
    # SuperGLUE's JSON lines, and the hub's Parquet; `idx` counts from 0 in each split.
    ColumnLayout(
        same("premise", *_CHOICES, "question"),
        label="label",
        answers=(("0", "choice1"), ("1", "choice2")),
        ids=("idx",),
    ),
)
_TEST = Task(
    name="copa_2011_test",
    title="COPA",
    judge="choice",
    languages=("en",),
    fields=(Field("premise"), *(Field(name, is_option=True) for name in _CHOICES), _CAUSE_OR_EFFECT),
    num_labels=2,
    layouts=_LAYOUTS,
    table_3=2,
)
_SUPERGLUE = replace(_TEST, name="copa_superglue_val", title="COPA (SuperGLUE)")

TASKS = (
    replace(
        _TEST,
        published=Published("paper", ("copa-test.xml",), ("copa-dev.xml",), label="copa"),
        paper=(("llama2", 0.86), ("lora", 0.88), ("continued_pretraining", 0.84), ("ours", 0.84)),
    ),
    replace(_TEST, name="copa_2011_test_v04", title="COPA, two spaces"),
    _SUPERGLUE,
    replace(_SUPERGLUE, name="copa_superglue_val_v04", title="COPA (SuperGLUE), two spaces"),
)
