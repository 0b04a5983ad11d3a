"""`pinakes`: global options and the table of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from pinakes.cli.answers import answers
from pinakes.cli.ask import ask
from pinakes.cli.command_group import CommandGroup
from pinakes.cli.connection import Connection, default_address
from pinakes.cli.conversations import conversations
from pinakes.cli.dead_letters import dead_letters
from pinakes.cli.documents import documents
from pinakes.cli.events import events
from pinakes.cli.index import index
from pinakes.cli.ingest import ingest
from pinakes.cli.models import models
from pinakes.cli.profiles import profiles
from pinakes.cli.search import search

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, pretty_exceptions_enable=False, context_settings={"max_content_width": 120}
)
app.command()(ingest)
app.command()(ask)
app.command()(search)
app.command()(profiles)
app.command()(events)
app.add_typer(answers, name="answers")
app.add_typer(conversations, name="conversations")
app.add_typer(documents, name="documents")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(index, name="index")
app.add_typer(models, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata  # 20 ms that no other command should pay

        typer.echo(f"pinakes {importlib.metadata.version('pinakes')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            envvar="PINAKES_SERVER_ADDRESS",
            help="The server; without it, the one that `pinakes up` started in this directory, else 127.0.0.1:7700.",
        ),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.001, help="Gives up on a call after this time.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Prints the version.")
    ] = False,
) -> None:
    """Answers questions from your documents and shows where each sentence comes from."""
    context.obj = Connection(server or default_address(), timeout)


def main() -> None:
    """The console script."""
    app()
