"""NTREX-128 (Federmann et al. 2022): 1,997 sentences of English news in 128 languages, a file of lines for each."""

from crosstune.tasks.published import Published
from crosstune.tasks.task import Task

TASKS = (
    Task(
        name="ntrex",
        title="NTREX",
        judge="translation",
        # English is the source, newstest2019-src.eng.txt; all others are references, newstest2019-ref.kor.txt.
        # Languages with several files name their region or script, zho-CN; Spanish has a second reference, ref-2.spa.
        published=Published("paper", ("newstest2019-???.{region}.txt",), alternative="aihub"),
    ),
)
