"""`pinakes events`."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.errors import DeadlineExceeded, Overloaded, Unavailable
from pinakes.events import DocumentFailed, Event, EventType, SystemAlert

_PAUSE_S = 1.0
# Between the words of a class's name.
_NAMES = re.compile(r"(?<!^)(?=[A-Z])")


def events(
    context: typer.Context,
    only: Annotated[
        list[EventType] | None, typer.Option(help="Only events of this type. May be given more than once.")
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="Also those that were published since then (UTC).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")] = False,
) -> None:
    """Shows what happens, as it happens, until Ctrl-C; goes on after a pause of the server where it was."""
    connection: Connection = context.obj
    start = None if since is None else since.replace(tzinfo=UTC)
    token = ""
    with connection.open() as client:
        while True:
            try:
                for told in client.events.subscribe(*(only or ()), resume_token=token, since=start):
                    token, start = told.resume_token, None
                    if isinstance(told, Event):
                        _show(told, json=json)
            except (DeadlineExceeded, Overloaded, Unavailable):
                if not token or connection.timeout_s is not None:
                    raise
                time.sleep(_PAUSE_S)


def _show(event: Event, *, json: bool) -> None:
    kind = "unknown" if event.body is None else EventType[_NAMES.sub("_", type(event.body).__name__).upper()].value
    if json:
        json_lines.write(event, sys.stdout, type=kind)
        return
    members = {} if event.body is None else asdict(event.body)
    told = " ".join(f"{name}={value}" for name, value in members.items())
    style = "red" if isinstance(event.body, DocumentFailed | SystemAlert) else ""
    Console(highlight=False).print(Text(f"{event.time:%Y-%m-%d %H:%M:%S} {kind} {told}", style), soft_wrap=True)
