"""`pinakes login`, `logout`, `whoami`, `users` and `keys`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.auth import ApiKey, Role, User
from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.cli.saved_login import SavedLogins
from pinakes.credentials import Login, key_in_environment
from pinakes.signing import log_in

users = typer.Typer(help="Makes, lists and changes users.", no_args_is_help=True)
keys = typer.Typer(help="Makes, lists and revokes the API keys of services.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]
UserName = Annotated[str, typer.Argument(metavar="USER")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A group; may be given several times.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", help="The file with the password; without it, it is asked for.", exists=True),
]


def login(
    context: typer.Context,
    user: UserName,
    tenant: Annotated[str, typer.Option(help="The user's tenant, if not the server's default.")] = "",
    password_file: PasswordFile = None,
) -> None:
    """Signs in: later commands to this server are this user's until `pinakes logout`."""
    connection: Connection = context.obj
    wanted = Login(user, _password(password_file, confirm=False), tenant)
    SavedLogins().save(connection.address, log_in(connection.address, wanted, connection.tls, connection.options))
    print(f"signed in at {connection.address} as {user}")
    if key_in_environment():
        print("commands are not this user's before PINAKES_API_KEY and PINAKES_API_KEY_FILE are unset", file=sys.stderr)


def logout(context: typer.Context) -> None:
    """Ends the session of `pinakes login`."""
    connection: Connection = context.obj
    saved = SavedLogins()
    if not saved.has(connection.address):
        print("not signed in")
        return
    try:
        with connection.of_session() as client:
            client.auth.logout()
    finally:
        saved.forget(connection.address)
    print(f"signed out at {connection.address}")


def whoami(context: typer.Context, json: Json = False) -> None:
    """Shows who the server takes you for, and what you may do."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = client.auth.who_am_i()
    if json:
        json_lines.write(found, sys.stdout)
        return
    print(f"{found.user} of {found.tenant}: {found.role.value}, by {found.credential_kind.value} {found.credential_id}")
    print(f"groups: {', '.join(found.groups) or 'none'}")
    print(f"may: {', '.join(found.permissions) or 'nothing'}")


@users.command()
def create(
    context: typer.Context,
    user: UserName,
    role: Annotated[Role, typer.Option(help="viewer, user, power_user or admin.")] = Role.USER,
    group: Groups = None,
    tenant: Annotated[str, typer.Option(help="Another tenant than yours, if you may manage tenants.")] = "",
    password_file: PasswordFile = None,
) -> None:
    """Makes a user."""
    connection: Connection = context.obj
    password = _password(password_file, confirm=True)
    with connection.open() as client:
        made = client.auth.create_user(user, password, role, groups=group or (), tenant=tenant)
    print(f"{made.user}: {made.role.value}")


@users.command("list")
def list_users(context: typer.Context, json: Json = False) -> None:
    """Lists the users of your tenant by name."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = list(client.auth.list_users())
    if json:
        for each in found:
            json_lines.write(each, sys.stdout)
        return
    _show(("user", "role", "groups", "state", "made"), map(_user_cells, found), "No users.")


@users.command()
def update(
    context: typer.Context,
    user: UserName,
    role: Annotated[Role | None, typer.Option(help="viewer, user, power_user or admin.")] = None,
    group: Groups = None,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="Takes the user out of all groups.")] = False,
    disable: Annotated[bool | None, typer.Option("--disable/--enable", help="Whether the user may sign in.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Sets a password, which is asked for.")] = False,
    password_file: PasswordFile = None,
) -> None:
    """Changes what is given of a user, from the next call on."""
    connection: Connection = context.obj
    wanted = _password(password_file, confirm=True) if password or password_file else ""
    with connection.open() as client:
        changed = client.auth.update_user(
            user,
            role=role or Role.UNSPECIFIED,
            groups=() if no_groups else group,
            disabled=disable,
            password=wanted,
        )
    _show(("user", "role", "groups", "state", "made"), [_user_cells(changed)], "")


@users.command("end-sessions")
def end_sessions(context: typer.Context, user: UserName) -> None:
    """Ends all sessions of a user."""
    connection: Connection = context.obj
    with connection.open() as client:
        client.auth.revoke_sessions(user)
    print(f"{user}: all sessions have ended")


@keys.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    scope: Annotated[list[str], typer.Option("--scope", help="What it may do, such as documents:read.")],
    group: Groups = None,
    days: Annotated[float | None, typer.Option(min=0.001, help="How long it is good for.")] = None,
    as_me: Annotated[bool, typer.Option("--as-me", help="Calls with it are yours, instead of a service's.")] = False,
    tenant: Annotated[str, typer.Option(help="Another tenant than yours, if you may manage tenants.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Writes the key to this file, which nobody else can read, not to the terminal.")
    ] = None,
) -> None:
    """Makes a key for a service and prints it: it can be read nowhere else."""
    connection: Connection = context.obj
    lifetime = None if days is None else timedelta(days=days)
    with connection.open() as client:
        made = client.auth.create_key(
            name, scope, groups=group or (), lifetime=lifetime, as_caller=as_me, tenant=tenant
        )
    if out is None:
        print(made.secret)
        return
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(made.secret + "\n")
    print(f"{made.key.key_id} is in {out}")


@keys.command("list")
def list_keys(context: typer.Context, json: Json = False) -> None:
    """Lists the keys of your tenant, the newest first."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = list(client.auth.list_keys())
    if json:
        for each in found:
            json_lines.write(each, sys.stdout)
        return
    _show(("key", "name", "scopes", "state", "ends", "last used"), map(_key_cells, found), "No keys.")


@keys.command()
def revoke(context: typer.Context, key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")]) -> None:
    """Refuses a key from now on, for good."""
    connection: Connection = context.obj
    with connection.open() as client:
        client.auth.revoke_key(key)
    print(f"{key}: revoked")


def _password(file: Path | None, *, confirm: bool) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    told: str = typer.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
    return told


def _user_cells(user: User) -> tuple[str, ...]:
    state = "disabled" if user.disabled else ""
    return user.user, user.role.value, ", ".join(user.groups), state, f"{user.create_time:%Y-%m-%d}"


def _key_cells(key: ApiKey) -> tuple[str, ...]:
    return (
        key.key_id,
        key.name,
        ", ".join(key.scopes),
        "" if key.revoke_time is None else "revoked",
        "never" if key.expire_time is None else f"{key.expire_time:%Y-%m-%d %H:%M}",
        "never" if key.last_use_time is None else f"{key.last_use_time:%Y-%m-%d %H:%M}",
    )


def _show(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], none: str) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console(highlight=False).print(table if table.row_count else none)
