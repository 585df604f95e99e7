"""AI-Hub's everyday pairs in Korean and English: 1,000 of their validation file are the paper's test set."""

from crosstune.tasks.published import Published
from crosstune.tasks.task import Task

TASKS = (
    Task(
        name="aihub",
        title="AI-Hub",
        judge="translation",
        languages=("en", "ko"),
        # The file may not be passed on, so NTREX may stand in its place.
        published=Published(
            "paper",
            ("일상생활및구어체_한영_valid_set.json",),
            settings=(("max_items", 1000),),
            alternative="ntrex",
        ),
    ),
)
