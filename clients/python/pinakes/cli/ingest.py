"""`pinakes ingest`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pinakes.cli.connection import Connection
from pinakes.client import Client
from pinakes.errors import DocumentExists, IngestionFailed, PinakesError, Unavailable
from pinakes.options import UploadOptions
from pinakes.results import Job


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file. `problem` is empty unless it failed."""

    path: Path
    document_id: str
    pages: int
    result: str
    problem: str = ""


def ingest(
    context: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files, and folders to be read with all in them.")
    ],
    tag: Annotated[list[str] | None, typer.Option(help="A tag for the documents; repeatable.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="A group that may read them; repeatable. None: everybody.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Makes changed files new revisions of your documents of the same name.")
    ] = False,
    parallel: Annotated[int, typer.Option(min=1, max=32, help="So many documents at a time.")] = 4,
) -> None:
    """Uploads documents and waits until they are searchable; exits with 1 if any failed."""
    connection: Connection = context.obj
    console = Console(highlight=False)
    files = list(find_files(paths))
    if not files:
        console.print("No files.")
        return
    options = UploadOptions(tags=tag or (), allowed_groups=group or (), replace=replace)
    with connection.open() as client, _Board(console, len(files)) as board:
        outcomes = _ingest_all(client, files, options, board, parallel)
    _show_summary(sorted(outcomes, key=lambda outcome: outcome.path), console)
    if any(outcome.problem for outcome in outcomes):
        raise typer.Exit(1)


def find_files(paths: list[Path]) -> Iterator[Path]:
    """The files, and those below the folders, in order; hidden ones only when named. Raises FileNotFoundError."""
    for path in paths:
        path.stat()
        if not path.is_dir():
            yield path
            continue
        for found in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
            if found.is_file() and not hidden:
                yield found


class _Board:
    """The progress bars: one for all documents, and one for each that is being worked on. Safe for threads."""

    def __init__(self, console: Console, documents: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._all = self._progress.add_task("all", total=documents, unit="documents")

    def __enter__(self) -> _Board:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, path: Path) -> _Bar:
        return _Bar(self._progress, path.name)

    def count(self) -> None:
        self._progress.advance(self._all)


class _Bar:
    """The bar of one document, by pages."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._task = progress.add_task(f"{name}: upload", total=None, unit="pages")

    def show(self, job: Job) -> None:
        self._progress.update(
            self._task,
            description=f"{self._name}: {job.stage.value if job.attempt else job.state.value}",
            completed=job.pages_done,
            total=job.pages_total or None,
        )

    def end(self) -> None:
        self._progress.remove_task(self._task)


def _ingest_all(
    client: Client, files: list[Path], options: UploadOptions, board: _Board, parallel: int
) -> list[Outcome]:
    pool = ThreadPoolExecutor(parallel, thread_name_prefix="ingest")
    try:
        waiting = {pool.submit(_ingest_one, client, path, options, board) for path in files}
        outcomes: list[Outcome] = []
        while waiting:
            # Without a timeout the wait could sleep through a Ctrl-C that reached another thread.
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            outcomes += [future.result() for future in done]
        return outcomes
    except BaseException:
        # The server is gone, or the user has enough: end what waits, and what runs.
        pool.shutdown(wait=False, cancel_futures=True)
        client.close()
        raise
    finally:
        pool.shutdown()


def _ingest_one(client: Client, path: Path, options: UploadOptions, board: _Board) -> Outcome:
    bar = board.begin(path)
    document_id = ""
    try:
        upload = client.documents.upload(path, **options)
        document_id = upload.document.document_id
        job = client.documents.wait(upload.job, on_change=bar.show)
        return Outcome(path, document_id, job.pages_total, "ready")
    except DocumentExists as error:
        return Outcome(path, error.document_id, 0, "already there")
    except IngestionFailed as error:
        return Outcome(path, document_id, error.job.pages_total, "failed", f"{error} ({error.reason})")
    except (PinakesError, OSError) as error:
        if isinstance(error, Unavailable) and not error.reason:
            raise  # nobody is there: the other files would fail in the same way
        reason = error.reason or error.code if isinstance(error, PinakesError) else type(error).__name__
        return Outcome(path, document_id, 0, "failed", f"{error} ({reason})")
    finally:
        bar.end()
        board.count()


def _show_summary(outcomes: list[Outcome], console: Console) -> None:
    table = Table("file", "result", "pages", "document", box=None, pad_edge=False)
    for outcome in outcomes:
        style = "red" if outcome.problem else "green"
        table.add_row(
            Text(str(outcome.path), overflow="fold"),
            Text(outcome.result, style=style),
            str(outcome.pages or ""),
            Text(outcome.document_id, overflow="fold"),
        )
    console.print(table)
    for outcome in outcomes:
        if outcome.problem:
            console.print(Text(f"{outcome.path}: {outcome.problem}", style="red"), soft_wrap=True)
    count = {result: sum(o.result == result for o in outcomes) for result in ("ready", "already there", "failed")}
    console.print(", ".join(f"{number} {result}" for result, number in count.items() if number))
