"""HellaSwag (Zellers et al. 2019): which of four endings goes on with a context."""

from crosstune.tasks.in_harness import InHarness
from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

# ActivityNet's rows go on with ctx_b, which is often just "he"; WikiHow's have none.
_FIELDS = (
    Field("activity_label", may_be_empty=True, is_own=False),
    Field("ctx_a", may_be_empty=True),
    Field("ctx_b", may_be_empty=True, is_own=False),
    Field("endings", lengths=(4,), is_option=True),
)

TASKS = (
    Task(
        name="hellaswag",
        title="HellaSwag",
        judge="choice",
        languages=("en",),
        fields=_FIELDS,
        joined=("ctx_a", "ctx_b"),
        num_labels=4,
        layouts=(
            # The label is a number in the authors' JSON lines and a text on the hub, where the test split has "".
            # ActivityNet's and WikiHow's rows are numbered apart: `ind` alone occurs twice.
            ColumnLayout(
                same("activity_label", "ctx_a", "ctx_b", "endings"),
                label="label",
                answers=("0", "1", "2", "3"),
                ids=("source_id", "ind"),
            ),
        ),
        published=Published("paper", ("hellaswag_val.jsonl", "hellaswag/**/validation-*.parquet")),
        in_harness=InHarness("hellaswag", ("en",)),
        paper=(("llama2", 0.57), ("lora", 0.56), ("continued_pretraining", 0.49), ("ours", 0.56)),
        table_3=1,
    ),
)
