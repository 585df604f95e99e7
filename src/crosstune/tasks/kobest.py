"""KoBEST (Jang et al. 2022): Korean understanding, from the authors' tab-separated files or the hub's copy."""

from crosstune.tasks.layout import Layout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

_GROUP = "Korean understanding (KoBEST)"
_ENDINGS = ("ending_1", "ending_2", "ending_3", "ending_4")


def _published(folder: str) -> Published:
    hub = folder.lower()
    return Published(
        "korean",
        (f"{folder}/test.tsv", f"{hub}/test.jsonl", f"{hub}/test-*.parquet"),
        (f"{folder}/dev.tsv", f"{hub}/validation.jsonl", f"{hub}/validation-*.parquet"),
    )


TASKS = (
    Task(
        name="kobest_boolq",
        title="KoBEST BoolQ",
        judge="choice",
        languages=("ko",),
        fields=(Field("paragraph"), Field("question")),
        num_labels=2,
        layouts=(
            # True or False, in capitals in some files; 1 or 0 in others.
            Layout(
                (("paragraph", "Text"), ("question", "Question")), "Answer", (("false", "0"), ("true", "1")), ("ID",)
            ),
            Layout(same("paragraph", "question"), "label", ("0", "1")),
        ),
        # The authors read the files with pandas: a cell that holds quotes may be quoted.
        has_quoted_cells=True,
        published=_published("BoolQ"),
        group=_GROUP,
    ),
    Task(
        name="kobest_copa",
        title="KoBEST COPA",
        judge="choice",
        languages=("ko",),
        fields=(
            Field("premise"),
            Field("question", values=("원인", "결과"), is_own=False),
            Field("alternative_1", is_option=True),
            Field("alternative_2", is_option=True),
        ),
        num_labels=2,
        layouts=(
            Layout(
                (
                    ("premise", "sentence"),
                    ("question", "question"),
                    ("alternative_1", "1"),
                    ("alternative_2", "2"),
                ),
                "Answer",
                ("1", "2"),
                ("ID",),
            ),
            Layout(same("premise", "question", "alternative_1", "alternative_2"), "label", ("0", "1")),
        ),
        has_quoted_cells=True,
        published=_published("COPA"),
        group=_GROUP,
    ),
    Task(
        name="kobest_hellaswag",
        title="KoBEST HellaSwag",
        judge="choice",
        languages=("ko",),
        fields=(Field("context"), *(Field(name, is_option=True) for name in _ENDINGS)),
        num_labels=4,
        layouts=(
            Layout(
                (("context", "context"), *((ending, f"choice{ending[-1]}") for ending in _ENDINGS)),
                "label",
                ("0", "1", "2", "3"),
            ),
            Layout(same("context", *_ENDINGS), "label", ("0", "1", "2", "3")),
        ),
        has_quoted_cells=True,
        published=_published("HellaSwag"),
        group=_GROUP,
    ),
    Task(
        name="kobest_sentineg",
        title="KoBEST SentiNeg",
        judge="choice",
        languages=("ko",),
        fields=(Field("sentence"),),
        num_labels=2,
        layouts=(
            Layout((("sentence", "Text"),), "Label", ("0", "1"), ("ID",)),
            Layout(same("sentence"), "label", ("0", "1")),
        ),
        has_quoted_cells=True,
        published=_published("SentiNeg"),
        group=_GROUP,
    ),
)
