"""Options that belong together, as one parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from pinakes.cli.option_groups import OptionGroup, grouped
from tests.contract.cli.runner import WIDE


@dataclass(frozen=True, slots=True)
class Size(OptionGroup):
    panel: ClassVar[str] = "How large"

    width: Annotated[int, typer.Option(min=1, help="In cells.")] = 3
    tall: Annotated[bool, typer.Option("--tall")] = False


@dataclass(frozen=True, slots=True)
class Paint(OptionGroup):
    panel: ClassVar[str] = "How it looks"

    color: Annotated[list[str] | None, typer.Option()] = None


@dataclass(frozen=True, slots=True)
class Door(OptionGroup):
    panel: ClassVar[str] = "The door"

    width: Annotated[int, typer.Option()] = 1


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @grouped
    def draw(context: typer.Context, size: Size, name: Annotated[str, typer.Argument()], paint: Paint) -> None:
        """Draws."""
        typer.echo(f"{context.info_name} {name} {size} {paint}")

    return app


def test_a_command_gets_each_group_whole(app: typer.Typer) -> None:
    given = CliRunner().invoke(app, ["it", "--width", "5", "--tall", "--color", "red", "--color", "blue"])
    assert given.output == f"draw it {Size(5, True)} {Paint(['red', 'blue'])}\n"
    assert CliRunner().invoke(app, ["it"]).output == f"draw it {Size()} {Paint()}\n"


def test_options_keep_their_limits(app: typer.Typer) -> None:
    refused = CliRunner(env=WIDE).invoke(app, ["it", "--width", "0"])
    assert (refused.exit_code, "--width" in refused.stderr) == (2, True)


def test_the_help_shows_each_group_under_its_heading(app: typer.Typer) -> None:
    shown = CliRunner(env=WIDE).invoke(app, ["--help"]).output
    places = [shown.index(part) for part in ("Draws.", "How large", "--width", "--tall", "How it looks", "--color")]
    assert places == sorted(places)
    assert "In cells." in shown


def test_two_options_of_one_name_are_a_mistake_of_the_command() -> None:
    def draw(size: Size, other: Door) -> None:
        """Never run."""

    with pytest.raises(ValueError, match="duplicate parameter name: 'width'"):
        grouped(draw)
