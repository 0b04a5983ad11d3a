"""What the commands of the server have in common."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from server.settings import InvalidSettings, Settings, load_settings

ConfigOption = Annotated[Path | None, typer.Option("--config", help="A TOML file with settings.", show_default=False)]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Where data is kept.", show_default="var")]


def settings_of(config: Path | None, data_dir: Path | None) -> Settings:
    """Ends the command when they are not valid."""
    try:
        return load_settings(config, {} if data_dir is None else {"data_dir": data_dir})
    except InvalidSettings as error:
        fail(str(error))


def fail(problem: str) -> NoReturn:
    """Tells why, and ends the command with status 1."""
    sys.stderr.write(problem.rstrip() + "\n")
    raise typer.Exit(1)
