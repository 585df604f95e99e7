"""The help of the command line teaches: panels by what is wanted, an example for every command."""

from typing import Any, cast

import pytest
from rich.markup import render
from typer.main import get_command
from typer.models import CommandInfo
from typer.testing import CliRunner

from crosstune.cli import app

COMMANDS = [str(command.name) for command in app.app.registered_commands]
COMMANDS += ["recipes", "recipes list", "recipes copy", "recipes schema"]


def test_commands_stand_in_panels_by_what_is_wanted() -> None:
    shown = CliRunner().invoke(app.app, ["--help"], env={"COLUMNS": "120"}).output
    places = [shown.index(panel) for panel in ("Experiment", "Prepare", "Inspect", "Use a model")]
    assert places == sorted(places)
    assert all(command.rich_help_panel for command in app.app.registered_commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_s_help_ends_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(app.app, [*name.split(), "--help"], env={"COLUMNS": "160"}).output
    example = shown.partition("Example: ")[2]
    # A list is looked at to run what stands in it.
    assert f"crosstune {name}" in example or (name == "recipes list" and "crosstune run" in example)


@pytest.mark.parametrize("name", [str(command.name) for command in app.app.registered_commands])
def test_nothing_in_help_is_taken_for_markup_and_left_out(name: str) -> None:
    # Rich reads `[all that are scored]` as a style; a default in words is typer's `show_default`.
    command = cast(Any, get_command(app.app)).commands[name]
    texts = [command.help, *(getattr(parameter, "help", "") or "" for parameter in command.params)]
    assert [text for text in texts if render(text).plain != text] == []


@pytest.mark.parametrize("command", app.app.registered_commands, ids=lambda command: str(command.name))
def test_a_paragraph_of_help_is_broken_by_the_terminal_alone(command: CommandInfo) -> None:
    assert command.help
    assert all("\n" not in paragraph for paragraph in command.help.split("\n\n"))
