"""`pinakes profiles`."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.results import SearchMode
from pinakes.retrieval import RetrievalSettings


def profiles(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")] = False,
) -> None:
    """Shows the retrieval profiles that searches and questions may name."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = list(client.retrieval_profiles())
    if json:
        for profile in found:
            json_lines.write(profile, sys.stdout)
        return
    table = Table("profile", "what for", "settings", box=None, pad_edge=False)
    for profile in found:
        table.add_row(Text(profile.name), Text(profile.description), Text(_told(profile.settings)))
    Console(highlight=False).print(table)


def _told(settings: RetrievalSettings) -> str:
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
        if value is not None and value is not SearchMode.UNSPECIFIED
    )
