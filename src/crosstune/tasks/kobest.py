"""KoBEST (Jang et al. 2022): Korean understanding, from the authors' tab-separated files or the hub's copy."""

from crosstune.tasks.in_harness import InHarness
from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

_ENDINGS = ("ending_1", "ending_2", "ending_3", "ending_4")
# In capitals in some files of the authors, numbers on the hub.
_FALSE_OR_TRUE = (("false", "0"), ("true", "1"))


def _task(title: str, fields: tuple[Field, ...], authors: ColumnLayout, names: tuple[str, ...]) -> Task:
    """Make a task of its fields and the authors' columns; the hub names its columns as we name fields.

    Its labels are numbers in Parquet, and ``names`` where a row was exported with them.
    """
    hub = title.lower()
    num_labels = len(authors.answers)
    numbers = tuple((str(number), name) for number, name in enumerate(names))
    return Task(
        name=f"kobest_{hub}",
        title=f"KoBEST {title}",
        judge="choice",
        languages=("ko",),
        fields=fields,
        num_labels=num_labels,
        layouts=(authors, ColumnLayout(same(*(field.name for field in fields)), "label", numbers)),
        # The authors read the files with pandas: a cell that holds quotes may be quoted.
        has_quoted_cells=True,
        published=Published(
            "korean",
            (f"{title}/test.tsv", f"{hub}/test.jsonl", f"{hub}/test-*.parquet"),
            (f"{title}/dev.tsv", f"{hub}/validation.jsonl", f"{hub}/validation-*.parquet"),
        ),
        in_harness=InHarness(f"kobest_{hub}", ("ko",)),
        group="Korean understanding (KoBEST)",
    )


TASKS = (
    _task(
        "BoolQ",
        (Field("paragraph"), Field("question")),
        ColumnLayout((("paragraph", "Text"), ("question", "Question")), "Answer", _FALSE_OR_TRUE, ("ID",)),
        ("False", "True"),
    ),
    _task(
        "COPA",
        (
            Field("premise"),
            Field("question", values=("원인", "결과"), is_own=False),
            Field("alternative_1", is_option=True),
            Field("alternative_2", is_option=True),
        ),
        ColumnLayout(
            (("premise", "sentence"), ("question", "question"), ("alternative_1", "1"), ("alternative_2", "2")),
            "Answer",
            ("1", "2"),
            ("ID",),
        ),
        ("alternative_1", "alternative_2"),
    ),
    _task(
        "HellaSwag",
        (Field("context"), *(Field(name, is_option=True) for name in _ENDINGS)),
        ColumnLayout(
            (("context", "context"), *((ending, f"choice{ending[-1]}") for ending in _ENDINGS)),
            "label",
            ("0", "1", "2", "3"),
        ),
        _ENDINGS,
    ),
    _task(
        "SentiNeg",
        (Field("sentence"),),
        ColumnLayout((("sentence", "Text"),), "Label", ("0", "1"), ("ID",)),
        ("negative", "positive"),
    ),
    _task(
        "WiC",
        # The word stands in brackets in both contexts, and by itself in any text.
        (Field("word", is_own=False), Field("context_1"), Field("context_2")),
        ColumnLayout(
            (("word", "Target"), ("context_1", "SENTENCE1"), ("context_2", "SENTENCE2")),
            "ANSWER",
            _FALSE_OR_TRUE,
            ("ID",),
        ),
        ("False", "True"),
    ),
)
