"""`pinakes dead-letters`."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.results import DeadLetter

dead_letters = typer.Typer(
    help="Lists the jobs that failed for good, runs them again, or takes them off the list.", no_args_is_help=True
)

JobIds = Annotated[list[str], typer.Argument(metavar="JOB...", help="Their jobs' ids, as `list` shows them.")]


@dead_letters.command("list")
def list_dead_letters(
    context: typer.Context,
    reason: Annotated[
        str, typer.Option(help="Only those that failed for this reason, such as UNREADABLE_DOCUMENT.")
    ] = "",
    since: Annotated[datetime | None, typer.Option(help="Only those that failed at this time (UTC) or later.")] = None,
    before: Annotated[datetime | None, typer.Option(help="Only those that failed before this time (UTC).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")] = False,
) -> None:
    """Lists the dead letters, the newest first."""
    connection: Connection = context.obj
    table = Table("job", "document", "failed", "attempts", "stage", "reason", "trace", box=None, pad_edge=False)
    with connection.open() as client:
        try:
            for letter in client.documents.dead_letters(reason=reason.upper(), not_before=since, before=before):
                if json:
                    json_lines.write(letter, sys.stdout)
                else:
                    table.add_row(*_row(letter))
        except ValueError as error:
            raise typer.BadParameter(f"there is no reason {reason}", param_hint="--reason") from error
    if not json:
        Console(highlight=False).print(table if table.row_count else "No dead letters.")


@dead_letters.command()
def replay(context: typer.Context, job: JobIds) -> None:
    """Runs failed jobs again, with all their attempts before them; `pinakes documents watch` follows them."""
    connection: Connection = context.obj
    console = Console(highlight=False)
    with connection.open() as client:
        for job_id in job:
            client.documents.replay(job_id)
            console.print(f"replayed {job_id}", markup=False)


@dead_letters.command()
def discard(context: typer.Context, job: JobIds) -> None:
    """Takes failed jobs off the list for good; their documents stay as they are."""
    connection: Connection = context.obj
    console = Console(highlight=False)
    with connection.open() as client:
        for job_id in job:
            client.documents.discard(job_id)
            console.print(f"discarded {job_id}", markup=False)


def _row(letter: DeadLetter) -> list[Text]:
    job = letter.job
    failure = f"{job.failure.message} ({job.failure.reason})" if job.failure else ""
    cells = (
        job.job_id,
        letter.document_name,
        f"{job.end_time:%Y-%m-%d %H:%M:%S}" if job.end_time else "",
        str(job.attempt),
        job.stage.value,
        failure,
        job.trace_id,
    )
    return [Text(cell, overflow="fold") for cell in cells]
