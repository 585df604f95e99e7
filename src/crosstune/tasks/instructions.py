"""Instructions whose fulfilment rules check, in the spirit of IFEval (Zhou et al. 2023), made from wordings."""

from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

TASKS = (
    Task(
        name="instructions",
        title="Instructions",
        judge="rules",
        fields=(
            Field("request"),
            # What is asked when the request is answered; the rules are then those of the second answer.
            Field("follow_up", may_be_empty=True),
            Field("rules", lengths=(1, 2), is_own=False),
        ),
        published=Published("chat", ("instructions.{language}.yaml",)),
        own_file="answers/wordings/{language}.yaml",
        group="Instructions that rules check",
    ),
)
