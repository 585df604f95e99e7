"""Any task of lm-evaluation-harness, which brings its own items; the recipe says its name and its language."""

from crosstune.tasks.task import Task

TASKS = (Task(name="harness", title="", judge="harness", group="Further tasks of lm-evaluation-harness"),)
