"""FLORES-200 (NLLB team 2022) and its successor FLORES+: sentences in 200 languages, for any pair."""

from crosstune.tasks.layout import ColumnLayout
from crosstune.tasks.published import Published
from crosstune.tasks.task import Task

TASKS = (
    Task(
        name="flores200",
        title="FLORES-200",
        judge="translation",
        # The authors' files are lines, aligned by their numbers. FLORES+ has a table for each language, rows by `id`.
        layouts=(
            ColumnLayout((("text", "text"),), ids=("id",), language=("iso_639_3", "iso_15924")),
            ColumnLayout((("text", "sentence"),), ids=("id",)),
        ),
        published=Published(
            "multilingual",
            ("{flores}.devtest", "devtest/{flores}.parquet", "devtest/{flores}.jsonl"),
            ("{flores}.dev", "dev/{flores}.parquet", "dev/{flores}.jsonl"),
        ),
    ),
)
