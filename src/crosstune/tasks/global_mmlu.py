"""Global-MMLU (Singh et al. 2024): MMLU's questions in 42 languages; also its checked part, Global-MMLU-Lite."""

from crosstune.tasks.in_harness import InHarness
from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

_LANGUAGES = (
    "am ar bn cs de el en es fa fil fr ha he hi id ig it ja ko ky lt mg ms ne nl ny pl pt ro ru si sn so sr sv sw te "
    "tr uk vi yo zh"
)
OPTIONS = ("option_a", "option_b", "option_c", "option_d")

TASKS = (
    Task(
        name="global_mmlu",
        title="Global-MMLU",
        judge="choice",
        languages=tuple(_LANGUAGES.split()),
        fields=(Field("question"), *(Field(name, is_own=False) for name in OPTIONS)),
        num_labels=4,
        layouts=(ColumnLayout(same("question", *OPTIONS), "answer", ("A", "B", "C", "D"), ("sample_id",)),),
        # The full set and the Lite one have the same names and columns: the folder given holds one of them.
        published=Published("multilingual", ("{language}/test-*.parquet",), ("{language}/dev-*.parquet",)),
        in_harness=InHarness("global_mmlu_full_{language}", tuple(_LANGUAGES.split())),
        group="Knowledge",
    ),
)
