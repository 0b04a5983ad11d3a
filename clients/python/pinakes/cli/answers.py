"""`pinakes answers`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from pinakes.cli import json_lines
from pinakes.cli.answer_view import show_answer, show_stored
from pinakes.cli.connection import Connection

answers = typer.Typer(help="Shows answers that were given, goes on with them, or stops them.", no_args_is_help=True)

AnswerId = Annotated[str, typer.Argument(metavar="ANSWER", help="The answer's id, as `pinakes ask --json` shows it.")]
Boxes = Annotated[bool, typer.Option("--boxes", help="Shows where on the page each cited line stands.")]


@answers.command()
def get(
    context: typer.Context,
    answer: AnswerId,
    boxes: Boxes = False,
    json: Annotated[bool, typer.Option("--json", help="Prints one JSON object.")] = False,
) -> None:
    """Shows a kept answer with its sources."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = client.answers.get(answer)
    if json:
        json_lines.write(found, sys.stdout)
    else:
        show_stored(found, Console(highlight=False), boxes=boxes)


@answers.command()
def resume(
    context: typer.Context,
    answer: AnswerId,
    after: Annotated[int, typer.Option(min=0, help="The number of the last event that was received.")] = 0,
    boxes: Boxes = False,
    json: Annotated[bool, typer.Option("--json", help="Prints the events as JSON, one a line.")] = False,
) -> None:
    """Shows an answer as it comes; with --after the rest of its events."""
    if after and not json:
        raise typer.BadParameter("goes with --json: a part of an answer has no sources to show", param_hint="--after")
    connection: Connection = context.obj
    with connection.open() as client, client.answers.resume(answer, after_sequence=after) as events:
        if not json:
            show_answer(events, Console(highlight=False), boxes=boxes)
            return
        for event in events:
            json_lines.write_event(event, sys.stdout)


@answers.command()
def cancel(context: typer.Context, answer: AnswerId) -> None:
    """Stops an answer that is being made."""
    connection: Connection = context.obj
    with connection.open() as client:
        client.answers.cancel(answer)
    Console(highlight=False).print(f"cancelled {answer}", markup=False)
