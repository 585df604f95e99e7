"""Translation between the recipe's languages, from parallel files of any format."""

from crosstune.tasks.task import Task

TASKS = (Task(name="translation", title="Translation", judge="translation"),)
