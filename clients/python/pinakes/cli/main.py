"""`pinakes`: global options and the table of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pinakes.cli.accounts import keys, login, logout, users, whoami
from pinakes.cli.answers import answers
from pinakes.cli.ask import ask
from pinakes.cli.audit import audit
from pinakes.cli.command_group import CommandGroup
from pinakes.cli.connection import Connection, default_address
from pinakes.cli.conversations import conversations
from pinakes.cli.dead_letters import dead_letters
from pinakes.cli.documents import documents
from pinakes.cli.encryption import encryption, tenants
from pinakes.cli.events import events
from pinakes.cli.index import index
from pinakes.cli.ingest import ingest
from pinakes.cli.models import models
from pinakes.cli.privacy import privacy
from pinakes.cli.profiles import profiles
from pinakes.cli.quotas import quotas
from pinakes.cli.search import search
from pinakes.tls import Tls

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
app.add_typer(encryption, name="encryption")
app.add_typer(tenants, name="tenants")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(index, name="index")
app.add_typer(models, name="models")
app.command()(login)
app.command()(logout)
app.command()(whoami)
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
app.add_typer(audit, name="audit")
app.add_typer(privacy, name="privacy")
app.add_typer(quotas, name="quotas")


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
    tls: Annotated[
        bool, typer.Option("--tls", envvar="PINAKES_TLS", help="Calls the server over TLS; implied by its options.")
    ] = False,
    tls_root: Annotated[
        Path | None,
        typer.Option(
            envvar="PINAKES_TLS_ROOT",
            help="The authorities of the server's certificate (PEM).",
            dir_okay=False,
            exists=True,
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            envvar="PINAKES_TLS_CERTIFICATE", help="This client's certificate (PEM).", dir_okay=False, exists=True
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            envvar="PINAKES_TLS_KEY", help="The key of this client's certificate (PEM).", dir_okay=False, exists=True
        ),
    ] = None,
    tls_name: Annotated[
        str, typer.Option(envvar="PINAKES_TLS_NAME", help="The name on the server's certificate, if not the address's.")
    ] = "",
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--api-key-file",
            envvar="PINAKES_API_KEY_FILE",
            help="The file with the API key. Without one: PINAKES_API_KEY, the session of `pinakes login`, or the key "
            "that `pinakes up` has made in this directory.",
            dir_okay=False,
            exists=True,
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Prints the version.")
    ] = False,
) -> None:
    """Answers questions from your documents and shows where each sentence comes from."""
    secured = tls or tls_root or tls_certificate or tls_key or tls_name
    if (tls_certificate is None) != (tls_key is None):
        raise typer.BadParameter("--tls-certificate and --tls-key need each other")
    found = Tls(tls_root, tls_certificate, tls_key, tls_name) if secured else None
    context.obj = Connection(server or default_address(), timeout, found, key_file)


def main() -> None:
    """The console script."""
    app()
