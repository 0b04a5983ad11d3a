"""`pinakes conversations`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.cli import json_lines
from pinakes.cli.answer_view import show_stored
from pinakes.cli.connection import Connection

conversations = typer.Typer(
    help="Makes, lists, shows, names and deletes conversations; `pinakes ask --conversation` asks in one.",
    no_args_is_help=True,
)

ConversationId = Annotated[str, typer.Argument(metavar="CONVERSATION", help="The conversation's id.")]
Json = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]


@conversations.command()
def create(
    context: typer.Context,
    title: Annotated[str, typer.Argument(help="Its title; without one the first question becomes it.")] = "",
) -> None:
    """Makes a conversation and prints its id."""
    connection: Connection = context.obj
    with connection.open() as client:
        print(client.conversations.create(title).conversation_id)


@conversations.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """Lists your conversations, the newest first."""
    connection: Connection = context.obj
    table = Table("conversation", "title", "answers", "last change", box=None, pad_edge=False)
    with connection.open() as client:
        for each in client.conversations.list():
            if json:
                json_lines.write(each, sys.stdout)
            else:
                cells = (each.conversation_id, each.title, str(each.turn_count), f"{each.update_time:%Y-%m-%d %H:%M}")
                table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    if not json:
        Console(highlight=False).print(table if table.row_count else "No conversations.")


@conversations.command()
def show(
    context: typer.Context,
    conversation: ConversationId,
    boxes: Annotated[bool, typer.Option("--boxes", help="Shows where on the page each cited line stands.")] = False,
    json: Json = False,
) -> None:
    """Shows the questions and answers of a conversation, the first one first."""
    connection: Connection = context.obj
    console = Console(highlight=False)
    with connection.open() as client:
        for answer in client.conversations.turns(conversation):
            if json:
                json_lines.write(answer, sys.stdout)
            else:
                show_stored(answer, console, boxes=boxes)
                console.print()


@conversations.command()
def rename(
    context: typer.Context, conversation: ConversationId, title: Annotated[str, typer.Argument(help="Its title.")]
) -> None:
    """Gives a conversation a title."""
    connection: Connection = context.obj
    with connection.open() as client:
        renamed = client.conversations.rename(conversation, title)
    Console(highlight=False).print(f"{renamed.conversation_id} {renamed.title}", markup=False)


@conversations.command()
def delete(
    context: typer.Context,
    conversation: Annotated[list[str], typer.Argument(metavar="CONVERSATION...", help="Ids of conversations.")],
) -> None:
    """Deletes conversations with their answers."""
    connection: Connection = context.obj
    with connection.open() as client:
        for conversation_id in conversation:
            client.conversations.delete(conversation_id)
            Console(highlight=False).print(f"deleted {conversation_id}", markup=False)
