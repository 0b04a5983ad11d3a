"""`pinakes encryption` and `pinakes tenants`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.encryption import DataKey

encryption = typer.Typer(
    help="Lists and rotates the keys that stored documents are encrypted with.", no_args_is_help=True
)
tenants = typer.Typer(help="Deletes tenants.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Prints JSON.")]
Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")]


@encryption.command("list")
def list_(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help="Only keys of this tenant.")] = "",
    json: Json = False,
) -> None:
    """Lists data keys, the newest first; never the keys themselves."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = list(client.encryption.data_keys(tenant))
    if json:
        for key in found:
            json_lines.write(key, sys.stdout)
        return
    table = Table("key", "tenant", "state", "master key", "made", box=None, pad_edge=False)
    for key in found:
        table.add_row(*_columns(key))
    Console(highlight=False).print(table)


@encryption.command("rotate-data")
def rotate_data(context: typer.Context, tenant: Tenant) -> None:
    """Gives a tenant a new key for what is stored from now on; what is stored already stays readable."""
    connection: Connection = context.obj
    with connection.open() as client:
        made = client.encryption.rotate_data_key(tenant)
    Console(highlight=False).print(f"{made.tenant}: {made.key_id} is current", markup=False)


@encryption.command("rotate-master")
def rotate_master(context: typer.Context) -> None:
    """Makes a new master key and wraps all data keys with it. Afterwards, back up the key folder."""
    connection: Connection = context.obj
    with connection.open() as client:
        rotated = client.encryption.rotate_master_key()
    told = f"master key {rotated.master_key_id} wraps {rotated.data_keys:,} data keys; back up the key folder"
    Console(highlight=False).print(told, markup=False)


@tenants.command()
def delete(
    context: typer.Context,
    tenant: Tenant,
    yes: Annotated[bool, typer.Option("--yes", help="Does not ask.")] = False,
) -> None:
    """Deletes a tenant with all it has, for good; its documents cannot be read from backups of the data either."""
    connection: Connection = context.obj
    if not yes:
        typer.confirm(f"Delete the tenant {tenant} with everything it has? Nothing brings it back.", abort=True)
    with connection.open() as client:
        deleted = client.tenants.delete(tenant)
    Console(highlight=False).print(f"{tenant}: deleted, with {deleted.documents:,} documents", markup=False)


def _columns(key: DataKey) -> tuple[str, ...]:
    made = f"{key.create_time:%Y-%m-%d %H:%M:%S} UTC"
    return key.key_id, key.tenant, key.state.value, key.master_key_id, made
