"""Take the miniature's results into README and docs: `make results`, after `make miniature`."""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results of the miniature: written by `make results` -->", "<!-- end of results -->"


def main() -> None:
    """Copy tables and report, and set the two tables of the paper into the README."""
    run = Path(sys.argv[1])
    target = ROOT / "docs" / "miniature"
    target.mkdir(exist_ok=True)
    for name in ("tables.csv", "report.md"):
        shutil.copyfile(run / "report" / name, target / name)
    shutil.copyfile(run / "run.json", target / "run.json")
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    tables = "\n\n".join(_tables((target / "report.md").read_text(encoding="utf-8")))
    readme.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", encoding="utf-8")


def _tables(report: str) -> list[str]:
    """Return the sections of Table 3 and Table 4, with a heading one level lower."""
    sections = re.split(r"(?m)^(?=## )", report)
    return [f"#{section.strip()}" for section in sections if re.match(r"## Table [34]:", section)]


if __name__ == "__main__":
    main()
