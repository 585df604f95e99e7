"""Open questions, of which only the language of the answer is judged (Marchisio et al. 2024)."""

from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

TASKS = (
    Task(
        name="open_questions",
        title="Open questions",
        judge="language",
        fields=(Field("question"),),
        published=Published("chat", ("open_questions.{language}.txt",)),
        own_file="answers/questions/{language}.txt",
        group="The language of answers",
    ),
)
