"""PAWS-X (Yang et al. 2019): whether one sentence says the same as another, in seven languages."""

from crosstune.tasks.in_harness import InHarness
from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

# What stands between the two sentences, by label: lm-evaluation-harness's words.
BETWEEN = {
    "de": (", richtig? Nein, ", ", richtig? Ja, "),
    "en": (", right? No, ", ", right? Yes, "),
    "es": (", verdad? No, ", ", verdad? Sí, "),
    "fr": (", n'est-ce pas? Non, ", ", n'est-ce pas? Oui, "),
    "ja": (", ですね? いいえ, ", ", ですね? はい, "),
    "ko": (", 맞죠? 아니요, ", ", 맞죠? 예, "),
    "zh": (", 对吧? 不是, ", ", 对吧? 是, "),
}

TASKS = (
    Task(
        name="pawsx",
        title="PAWS-X",
        judge="choice",
        languages=tuple(BETWEEN),
        fields=(Field("sentence1"), Field("sentence2")),
        num_labels=2,
        # Quotes mean nothing in its tab-separated files.
        layouts=(ColumnLayout(same("sentence1", "sentence2"), "label", ("0", "1"), ("id",)),),
        published=Published(
            "multilingual",
            ("{language}/test_2k.tsv", "{language}/test-*.parquet"),
            ("{language}/dev_2k.tsv", "{language}/validation-*.parquet"),
        ),
        in_harness=InHarness("paws_{language}", tuple(BETWEEN)),
        group="Paraphrases",
    ),
)
