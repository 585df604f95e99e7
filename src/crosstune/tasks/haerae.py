"""HAE-RAE Bench (Son et al. 2023): Korean words, history and knowledge, in the five parts of lm-evaluation-harness."""

from crosstune.tasks.in_harness import InHarness
from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

PARTS = ("general_knowledge", "history", "loan_words", "rare_words", "standard_nomenclature")

TASKS = (
    Task(
        name="haerae",
        title="HAE-RAE",
        judge="choice",
        languages=("ko",),
        # A query holds the question, its five options and the start of the answer.
        fields=(Field("query"),),
        num_labels=5,
        layouts=(ColumnLayout(same("query"), "answer", ("(A)", "(B)", "(C)", "(D)", "(E)")),),
        published=Published(
            "korean",
            # The last is that of its first edition.
            ("{part}/test-*.parquet", "{part}/test.csv", "{part}.csv", "{part}.jsonl", "HAERAE-Bench-v1-{code}.csv"),
            parts=PARTS,
            codes=("GK", "HI", "LW", "RW", "SN"),
        ),
        in_harness=InHarness("haerae", ("ko",)),
        group="Korean knowledge",
    ),
)
