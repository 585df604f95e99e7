"""NSMC, the Naver sentiment movie corpus: whether a film review is good or bad, written or by the likelier word."""

from dataclasses import replace

from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

_FILES = ("ratings_test.txt", "nsmc/**/test-*.parquet")
_GENERATED = Task(
    name="nsmc_generate",
    title="NSMC, generated",
    judge="keywords",
    languages=("ko",),
    fields=(Field("document"),),
    num_labels=2,
    # Documents stay as they stand. One that holds a quotation mark is quoted twice over: 'say "hi"' stands in the file
    # as '"""say """"hi"""""""', and that is what a reader without quoting (pandas' QUOTE_NONE) gives. Some are empty.
    layouts=(
        ColumnLayout(same("document"), label="label", answers=(("0", "negative"), ("1", "positive")), ids=("id",)),
    ),
    published=Published("paper", _FILES, label="nsmc"),
    instruction="다음 문장은 긍정일까요 부정일까요?",
    keywords=("부정", "긍정"),
    asked="document",
    group="NSMC: how the question was answered",
    paper=(("llama2", 0.27), ("lora", 0.28), ("continued_pretraining", 0.13), ("ours", 0.54)),
    table_3=3,
)

TASKS = (
    _GENERATED,
    replace(
        _GENERATED,
        name="nsmc_likelihood",
        title="NSMC, likelier word",
        judge="choice",
        published=Published("korean", _FILES),
        group="NSMC: the likelier of the two words",
        paper=(),
        table_3=0,
    ),
)
