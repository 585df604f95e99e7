"""CLIcK (Kim et al. 2024): Korean culture and language, questions with four or five choices, in many JSON files."""

from crosstune.tasks.in_harness import InHarness
from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

TASKS = (
    Task(
        name="click",
        title="CLIcK",
        judge="choice",
        languages=("ko",),
        fields=(
            Field("paragraph", may_be_empty=True),
            Field("question"),
            Field("choices", lengths=(4, 5), is_own=False),
        ),
        num_labels=5,
        choices="choices",
        # The answer is the text of a choice.
        layouts=(ColumnLayout(same("paragraph", "question", "choices"), "answer", "choices", ("id",)),),
        published=Published("korean", ("Dataset/{part}/**/*.json",), parts=("Culture", "Language"), several=True),
        in_harness=InHarness("click", ("ko",)),
        group="Korean knowledge",
    ),
)
