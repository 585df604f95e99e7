"""Belebele (Bandarkar et al. 2023): the same 900 questions about passages of FLORES in 122 languages."""

from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

_ANSWERS = ("mc_answer1", "mc_answer2", "mc_answer3", "mc_answer4")

TASKS = (
    Task(
        name="belebele",
        title="Belebele",
        judge="choice",
        fields=(Field("flores_passage"), Field("question"), *(Field(name, is_own=False) for name in _ANSWERS)),
        num_labels=4,
        layouts=(
            # The link is that of the passage, of which several questions are asked.
            ColumnLayout(
                same("flores_passage", "question", *_ANSWERS),
                "correct_answer_num",
                ("1", "2", "3", "4"),
                ("link", "question_number"),
            ),
        ),
        published=Published(
            "multilingual", ("data/{flores}.jsonl", "Belebele/{flores}.jsonl", "{flores}/test-*.parquet")
        ),
        group="Reading comprehension",
    ),
)
