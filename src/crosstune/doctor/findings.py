"""What the doctor says: one finding a line, with numbers, a verdict, and the setting that a recipe needs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from crosstune.recipe.one_line import on_one_line
from crosstune.terminal.output import new_table

Verdict = Literal["ok", "attention", "stop"]
_STYLES: Mapping[str, str] = {"ok": "green", "attention": "yellow", "stop": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        section: what it belongs to, as "tokenizer".
        name: what was looked at.
        says: what was found, with its number, and what follows.
        setting: what to write in a recipe, as YAML; empty where nothing is to be set.
        values: the numbers by name, for programs.
        is_choice: whether its setting is one of several of its section, of which a recipe has one.
    """

    section: str
    name: str
    verdict: Verdict
    says: str
    setting: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    is_choice: bool = False


def settings(**sections: Any) -> str:
    """Return settings as YAML, a line for each section of a recipe, to be put into one as it is."""
    return "\n".join(f"{name}: {on_one_line(content)}" for name, content in sections.items())


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the gravest verdict."""
    found = {finding.verdict for finding in findings}
    return "stop" if "stop" in found else "attention" if "attention" in found else "ok"


def to_json(asked: Mapping[str, Any], findings: Sequence[Finding]) -> dict[str, Any]:
    """Return findings as plain content."""
    return {"asked": dict(asked), "verdict": worst(findings), "findings": [asdict(finding) for finding in findings]}


def print_findings(title: str, findings: Sequence[Finding], console: Console) -> None:
    """Print findings as a table, section by section, and the settings together below, to be copied."""
    table = new_table(title)
    table.add_column("", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what was found", overflow="fold")
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            table.add_row(Text(section, style="bold"))
        verdict = Text(finding.verdict, style=_STYLES[finding.verdict])
        table.add_row(Text(f"  {finding.name}"), verdict, Text(finding.says))
    console.print(Group(table, *_settings(findings)))


def _settings(findings: Sequence[Finding]) -> list[Table | Text]:
    found = [finding for finding in findings if finding.setting]
    if not found:
        return []
    table = new_table()
    table.add_column("to write in the recipe", overflow="fold")
    table.add_column("because of", no_wrap=True)
    for finding in found:
        table.add_row(
            Text(finding.setting), Text(f"{finding.name} (choose one)" if finding.is_choice else finding.name)
        )
    return [Text(""), table]
