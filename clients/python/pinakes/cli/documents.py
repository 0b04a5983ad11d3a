"""`pinakes documents`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.errors import IngestionFailed
from pinakes.results import Box, Document, DocumentAcl, DocumentState, IngestionStage, Job, JobState

documents = typer.Typer(
    help="Lists, shows, shares, deletes, reindexes and watches documents, and saves pictures of them.",
    no_args_is_help=True,
)

DocumentId = Annotated[str, typer.Argument(metavar="DOCUMENT", help="The document's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]


@documents.command("list")
def list_documents(
    context: typer.Context,
    state: Annotated[DocumentState | None, typer.Option(help="Only documents in this state.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only documents that carry this tag; repeatable.")] = None,
    json: AsJson = False,
) -> None:
    """Lists the documents, newest first."""
    connection: Connection = context.obj
    table = Table("id", "name", "state", "pages", "chunks", "uploaded", "tags", box=None, pad_edge=False)
    with connection.open() as client:
        for document in client.documents.list(state=state or DocumentState.UNSPECIFIED, tags=tag or ()):
            if json:
                json_lines.write(document, sys.stdout)
            else:
                table.add_row(*_row(document))
    if not json:
        Console(highlight=False).print(table if table.row_count else "No documents.")


@documents.command()
def get(context: typer.Context, document: DocumentId, json: AsJson = False) -> None:
    """Shows one document."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = client.documents.get(document)
    if json:
        json_lines.write(found, sys.stdout)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _facts(found):
        table.add_row(Text(name, style="dim"), Text(value, overflow="fold"))
    Console(highlight=False).print(table)


@documents.command()
def page(
    context: typer.Context,
    document: DocumentId,
    number: Annotated[int, typer.Argument(metavar="PAGE", help="Counted from 1.", min=1)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    scale: Annotated[
        float | None, typer.Option(help="Pixels per point of a PDF, or per pixel of an image.", max=16.0)
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(metavar="X0,Y0,X1,Y1", help="To be marked on the page; repeatable.")
    ] = None,
) -> None:
    """Saves the image of a page (JPEG)."""
    connection: Connection = context.obj
    boxes = [_box(text) for text in box or ()]
    with connection.open() as client:
        image = client.documents.page_image(document, number, scale=scale, boxes=boxes)
    out.write_bytes(image.image)
    Console(highlight=False).print(f"{out}: {image.width} x {image.height} pixels", markup=False)


@documents.command()
def thumbnail(
    context: typer.Context,
    document: DocumentId,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
) -> None:
    """Saves a small picture of a document's first page (JPEG)."""
    connection: Connection = context.obj
    with connection.open() as client:
        out.write_bytes(client.documents.thumbnail(document).image)
    Console(highlight=False).print(str(out), markup=False)


@documents.command()
def share(
    context: typer.Context,
    document: DocumentId,
    user: Annotated[list[str] | None, typer.Option(help="May read it; repeatable.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Its members may read it; repeatable.")] = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="Everybody in the tenant may read it.")] = False,
    owner: Annotated[str, typer.Option(help="The new owner; else it stays whose it is.")] = "",
    etag: Annotated[str, typer.Option(help="Fails if the access has changed since `get` told this.")] = "",
) -> None:
    """Says anew who may read a document besides its owner; without any of the options, nobody."""
    connection: Connection = context.obj
    acl = DocumentAcl(tuple(user or ()), tuple(group or ()), everybody, owner, etag)
    with connection.open() as client:
        shared = client.documents.share(document, acl)
    Console(highlight=False).print(f"{document}: {_readers(shared.document)}", markup=False)


@documents.command()
def delete(
    context: typer.Context, document: Annotated[list[str], typer.Argument(metavar="DOCUMENT...", help="Their ids.")]
) -> None:
    """Deletes documents, with everything that was made from them."""
    connection: Connection = context.obj
    console = Console(highlight=False)
    with connection.open() as client:
        for document_id in document:
            client.documents.delete(document_id)
            console.print(f"deleted {document_id}", markup=False)


@documents.command()
def watch(context: typer.Context, document: DocumentId, json: AsJson = False) -> None:
    """Follows a document's ingestion to its end; exits with 1 if it fails."""
    connection: Connection = context.obj
    console = Console(highlight=False)

    def show(job: Job) -> None:
        if json:
            json_lines.write(job, sys.stdout)
        else:
            console.print(_progress(job), markup=False)

    with connection.open() as client:
        job_id = client.documents.get(document).job_id
        try:
            client.documents.wait(job_id, on_change=show)
        except IngestionFailed as error:
            if not json:
                raise
            raise typer.Exit(1) from error


@documents.command()
def cancel(context: typer.Context, document: DocumentId) -> None:
    """Ends a document's ingestion before it is done; an older revision stays searchable."""
    connection: Connection = context.obj
    with connection.open() as client:
        job = client.documents.cancel(client.documents.get(document).job_id)
    Console(highlight=False).print(f"{job.job_id}: {job.state.value}", markup=False)


@documents.command()
def reindex(
    context: typer.Context,
    document: Annotated[list[str], typer.Argument(metavar="DOCUMENT...", help="Their ids.")],
    extract: Annotated[
        bool, typer.Option("--extract", help="Reads the pages again, too, instead of using their kept text.")
    ] = False,
) -> None:
    """Ingests documents anew; each stays searchable as it is until its new revision is whole."""
    connection: Connection = context.obj
    console = Console(highlight=False)
    first = IngestionStage.EXTRACT if extract else IngestionStage.CHUNK
    with connection.open() as client:
        for document_id in document:
            job = client.documents.reindex(document_id, first_stage=first)
            console.print(f"{document_id}: revision {job.revision}, job {job.job_id}", markup=False)


def _box(text: str) -> Box:
    try:
        x0, y0, x1, y1 = map(float, text.split(","))
    except ValueError as error:
        raise typer.BadParameter("must be four numbers: X0,Y0,X1,Y1", param_hint="--box") from error
    return Box(x0, y0, x1, y1)


def _row(document: Document) -> list[Text]:
    cells = (
        document.document_id,
        document.name,
        document.state.value,
        str(document.page_count or ""),
        str(document.chunk_count or ""),
        f"{document.create_time:%Y-%m-%d %H:%M}",
        ", ".join(document.tags),
    )
    return [Text(cell, overflow="fold") for cell in cells]


def _facts(document: Document) -> list[tuple[str, str]]:
    failure = document.failure
    return [
        ("id", document.document_id),
        ("name", document.name),
        ("type", document.media_type),
        ("size", f"{document.size_bytes:,} bytes"),
        ("sha256", document.sha256),
        ("state", document.state.value + (f": {failure.message} ({failure.reason})" if failure else "")),
        ("pages", str(document.page_count)),
        ("chunks", str(document.chunk_count)),
        ("revision", _revision(document)),
        ("tags", ", ".join(document.tags)),
        ("readers", _readers(document)),
        *([("etag", document.acl.etag)] if document.acl else []),
        ("uploaded", f"{document.create_time:%Y-%m-%d %H:%M:%S} UTC"),
        ("changed", f"{document.update_time:%Y-%m-%d %H:%M:%S} UTC"),
        ("job", document.job_id),
    ]


def _readers(document: Document) -> str:
    """As far as the caller may know."""
    acl = document.acl
    if acl is None:
        return ", ".join(f"group {group}" for group in document.allowed_groups) or "not told"
    if acl.tenant_wide:
        return "everybody in the tenant"
    named = (f"owner {acl.owner}", *(f"user {user}" for user in acl.users), *(f"group {group}" for group in acl.groups))
    return ", ".join(named)


def _revision(document: Document) -> str:
    newer = document.newest_revision > document.revision
    return f"{document.revision}{f' (newest: {document.newest_revision}, not searchable)' if newer else ''}"


def _progress(job: Job) -> str:
    if job.state is JobState.RUNNING and job.pages_total:
        return f"{job.stage.value}: {job.pages_done} of {job.pages_total} pages"
    if job.state is JobState.RUNNING:
        return job.stage.value
    return job.state.value
