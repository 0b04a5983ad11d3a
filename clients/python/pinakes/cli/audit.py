"""`pinakes audit`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.audit import AuditClass, AuditConditions, AuditProgress, AuditReport
from pinakes.audit_exports import BrokenExport, Signature, verify_export
from pinakes.cli import json_lines
from pinakes.cli.command_group import complain
from pinakes.cli.connection import Connection

audit = typer.Typer(
    help="Shows what has happened in your tenant, and whether the record of it is whole.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]
Since = Annotated[datetime | None, typer.Option(help="Not before this time (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Before this time (UTC).")]
Kind = Annotated[AuditClass, typer.Option("--class", help="Entries of this class alone.")]


@audit.command("list")
def list_(
    context: typer.Context,
    kind: Kind = AuditClass.UNSPECIFIED,
    since: Since = None,
    until: Until = None,
    actor: Annotated[str, typer.Option(help="By this user or service.")] = "",
    action: Annotated[str, typer.Option(help="Such as DocumentService/DeleteDocument.")] = "",
    of: Annotated[str, typer.Option("--object", metavar="KIND[:ID]", help="Such as document:ID.")] = "",
    result: Annotated[str, typer.Option(help="Such as PERMISSION_DENIED.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many; 0: all.", min=0)] = 50,
    json: Json = False,
) -> None:
    """Lists entries, the newest first."""
    connection: Connection = context.obj
    object_kind, _, object_id = of.partition(":")
    conditions = AuditConditions(
        audit_class=kind, actor_id=actor, action=action, object_kind=object_kind, object_id=object_id, result=result
    )
    if since is not None:
        conditions["not_before"] = since.replace(tzinfo=UTC)
    if until is not None:
        conditions["before"] = until.replace(tzinfo=UTC)
    table = Table("time", "actor", "action", "object", "result", box=None, pad_edge=False)
    with connection.open() as client:
        for number, entry in enumerate(client.audit.query(page_size=min(limit or 500, 500), **conditions), 1):
            if json:
                json_lines.write(entry, sys.stdout)
            else:
                acted_on = ":".join(filter(None, (entry.object_kind, entry.object_id)))
                cells = (f"{entry.time:%Y-%m-%d %H:%M:%S}", entry.actor_id or entry.actor_kind.value, entry.action)
                table.add_row(*(Text(cell, overflow="fold") for cell in (*cells, acted_on, entry.result)))
            if number == limit:
                break
    if not json:
        Console(highlight=False).print(table if table.row_count else "No entries.")


@audit.command()
def verify(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="An export; without one, the server's log is verified.", show_default=False)
    ] = None,
    kind: Kind = AuditClass.UNSPECIFIED,
    first: Annotated[
        int,
        typer.Option("--first-sequence", help="With --class: begin at this entry, and take those before it for good."),
    ] = 0,
    key: Annotated[
        list[str] | None, typer.Option(help="Of a FILE: a public key, in hexadecimal, that its signature must be by.")
    ] = None,
    json: Json = False,
) -> None:
    """Finds the first entry that is not what was written; exit status 1 if there is one."""
    holds = _verify_file(file, key or []) if file else _verify_server(context.obj, kind, first, json=json)
    raise typer.Exit(0 if holds else 1)


@audit.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where it is written; - is the standard output.", allow_dash=True)],
    kind: Kind = AuditClass.AUDIT,
    since: Since = None,
    until: Until = None,
) -> None:
    """Writes out a chain, or what lies between two times, so that it can be verified without the server."""
    connection: Connection = context.obj
    after, before = (None if time is None else time.replace(tzinfo=UTC) for time in (since, until))
    with (
        connection.open() as client,
        client.audit.export(kind, not_before=after, before=before) as lines,
        sys.stdout if str(file) == "-" else file.open("w", encoding="utf-8", newline="\n") as out,
    ):
        for line in lines:
            out.write(line + "\n")


def _verify_server(connection: Connection, kind: AuditClass, first: int, *, json: bool) -> bool:
    holds = True
    console = Console(highlight=False)
    with (
        connection.open() as client,
        client.audit.verify(kind, first_sequence=first) as found,
        console.status("") as status,
    ):
        for event in found:
            if isinstance(event, AuditProgress):
                status.update(f"{event.audit_class.value}: {event.sequence:,} of {event.last_sequence:,}")
                continue
            holds = holds and event.broken is None
            if json:
                json_lines.write(event, sys.stdout)
            else:
                console.print(_told(event), style="" if event.broken is None else "red")
    return holds


def _told(report: AuditReport) -> str:
    entries = "no entries"
    if report.last_sequence:
        entries = f"entries {report.first_sequence:,} to {report.last_sequence:,}"
    pruned = f"; those up to {report.pruned_sequence:,} were removed as too old" if report.pruned_sequence else ""
    if report.broken is None:
        return f"{report.audit_class.value}: holds, {entries}{pruned}"
    return f"{report.audit_class.value}: broken at entry {report.broken.sequence:,}: {report.broken.reason.value}"


def _verify_file(file: Path, keys: list[str]) -> bool:
    console = Console(highlight=False)
    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            verified = verify_export(lines, (key.lower() for key in keys))
    except (BrokenExport, UnicodeDecodeError) as broken:
        complain(f"{file}: {broken}")
        return False
    except ModuleNotFoundError:
        complain("signatures need the package cryptography: pip install 'pinakes[audit]'")
        return False
    entries = f"entries {verified.first_sequence:,} to {verified.last_sequence:,}"
    chain = f"{verified.tenant}/{verified.audit_class}"
    console.print(f"{chain}: holds, {entries if verified.last_sequence else 'no entries'}", markup=False)
    if verified.signature is Signature.BY_KEY_OF_FILE:
        console.print(f"signed by {verified.public_key}: compare this key with the server's, or give it with --key")
    return True
