"""INCLUDE (Romanou et al. 2025): questions of examinations and licenses from where 44 languages are spoken."""

from crosstune.tasks.global_mmlu import OPTIONS
from crosstune.tasks.in_harness import InHarness, otherwise
from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

_LANGUAGES = (
    "ar az be bg bn de el es et eu fa fi fil fr he hi hr hu hy id it ja ka kk ko lt mk ml ms ne nl pl pt ru sq sr ta "
    "te tr uk ur uz vi zh"
)

TASKS = (
    Task(
        name="include",
        title="INCLUDE",
        judge="choice",
        languages=tuple(_LANGUAGES.split()),
        # The harness's prompt begins with the domain.
        fields=(Field("domain", is_own=False), Field("question"), *(Field(name, is_own=False) for name in OPTIONS)),
        num_labels=4,
        layouts=(
            ColumnLayout(same("domain", "question", *OPTIONS), "answer", ("0", "1", "2", "3"), language=("language",)),
        ),
        # A folder for each language, by its English name: Korean, North Macedonian.
        published=Published("multilingual", ("*{name}/test-*.parquet",), ("*{name}/validation-*.parquet",)),
        in_harness=InHarness(
            "include_base_44_{name}", tuple(_LANGUAGES.split()), otherwise("bn:bengali fil:tagalog mk:north_macedonian")
        ),
        group="Knowledge",
    ),
)
