"""KMMLU (Son et al. 2024): questions of Korean examinations in 45 subjects, each a file."""

from crosstune.tasks.in_harness import InHarness
from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

SUBJECTS = (
    "Accounting",
    "Agricultural-Sciences",
    "Aviation-Engineering-and-Maintenance",
    "Biology",
    "Chemical-Engineering",
    "Chemistry",
    "Civil-Engineering",
    "Computer-Science",
    "Construction",
    "Criminal-Law",
    "Ecology",
    "Economics",
    "Education",
    "Electrical-Engineering",
    "Electronics-Engineering",
    "Energy-Management",
    "Environmental-Science",
    "Fashion",
    "Food-Processing",
    "Gas-Technology-and-Engineering",
    "Geomatics",
    "Health",
    "Industrial-Engineer",
    "Information-Technology",
    "Interior-Architecture-and-Design",
    "Korean-History",
    "Law",
    "Machine-Design-and-Manufacturing",
    "Management",
    "Maritime-Engineering",
    "Marketing",
    "Materials-Engineering",
    "Math",
    "Mechanical-Engineering",
    "Nondestructive-Testing",
    "Patent",
    "Political-Science-and-Sociology",
    "Psychology",
    "Public-Safety",
    "Railway-and-Automotive-Engineering",
    "Real-Estate",
    "Refrigerating-Machinery",
    "Social-Welfare",
    "Taxation",
    "Telecommunications-and-Wireless-Technology",
)
_TEXTS = ("question", "A", "B", "C", "D")

TASKS = (
    Task(
        name="kmmlu",
        title="KMMLU",
        judge="choice",
        languages=("ko",),
        fields=(Field("question"), *(Field(letter, is_own=False) for letter in "ABCD")),
        num_labels=4,
        layouts=(ColumnLayout(same(*_TEXTS), "answer", ("1", "2", "3", "4")),),
        published=Published(
            "korean",
            ("{part}-test.csv", "{part}/test-*.parquet"),
            ("{part}-dev.csv", "{part}/dev-*.parquet"),
            parts=SUBJECTS,
        ),
        in_harness=InHarness("kmmlu", ("ko",)),
        group="Korean knowledge",
    ),
)
