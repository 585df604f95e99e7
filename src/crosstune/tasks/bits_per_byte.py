"""Held-out text of any language: the bits that a system needs for a byte of it."""

from crosstune.tasks.task import Field, Task

TASKS = (
    Task(
        name="bits_per_byte",
        title="text",
        judge="text",
        fields=(Field("text"),),
        group="Held-out text",
    ),
)
