"""`pinakes ingest`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain
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
from pinakes.results import IngestionPriority, Job

# A file is taken as written when two looks, at least so far apart, find it the same.
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class File:
    """A file, and what its document is called: by its path below the folder that was named, so that two files of one
    name are two documents."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file. `problem` is empty unless it failed; `again` is the file if the server is to blame, and
    may take it later."""

    path: Path
    document_id: str
    pages: int
    result: str
    problem: str = ""
    again: File | None = None


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
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Then goes on to ingest files as they come and change, until Ctrl-C. A changed file becomes a new "
            "revision of its document; that of a deleted file stays. What the server could not take is tried again.",
        ),
    ] = False,
    parallel: Annotated[int, typer.Option(min=1, max=32, help="So many documents at a time.")] = 4,
) -> None:
    """Uploads documents and waits until they are searchable; exits with 1 if any failed."""
    connection: Connection = context.obj
    console = Console(highlight=False)
    # Before the first look, or what comes between the two would be missed.
    changes = _changes(paths) if watch else None
    files = list(find_files(paths))
    if not files and changes is None:
        console.print("No files.")
        return
    options = UploadOptions(tags=tag or (), allowed_groups=group or (), replace=replace or watch)
    if watch or len(files) > 1:
        options["priority"] = IngestionPriority.BULK
    outcomes: list[Outcome] = []
    if files:
        outcomes = _ingest_all(connection, files, options, parallel, console)
        _show_summary(sorted(outcomes, key=lambda outcome: outcome.path), console)
    failed = any(outcome.problem for outcome in outcomes)
    if changes is not None:
        settling = Settling()
        for outcome in outcomes:
            if outcome.again is not None:
                settling.touch(outcome.again)
        failed = any(outcome.problem and outcome.again is None for outcome in outcomes)
        failed |= _follow(connection, changes, settling, options, parallel, console)["failed"] > 0
    if failed:
        raise typer.Exit(1)


def find_files(paths: list[Path]) -> Iterator[File]:
    """The files, and those below the folders, in order; hidden ones only when named. Raises FileNotFoundError."""
    for path in paths:
        path.stat()
        if not path.is_dir():
            yield File(path, path.name)
            continue
        for found in sorted(path.rglob("*")):
            if found.is_file() and not _hidden(found.relative_to(path)):
                yield File(found, found.relative_to(path).as_posix())


def _hidden(below: Path) -> bool:
    return any(part.startswith(".") for part in below.parts)


class Settling:
    """Files that are being written, and whether they have come to rest: two looks in a row find them the same."""

    def __init__(self) -> None:
        self._seen: dict[File, tuple[int, int] | None] = {}

    def touch(self, file: File) -> None:
        """It has changed."""
        self._seen[file] = None

    def look(self) -> list[File]:
        """Those at rest, each once; a file that is gone is forgotten."""
        rested = []
        for file, seen in list(self._seen.items()):
            try:
                state = file.path.stat()
            except OSError:
                del self._seen[file]
                continue
            now = (state.st_size, state.st_mtime_ns)
            if now == seen:
                del self._seen[file]
                rested.append(file)
            else:
                self._seen[file] = now
        return rested


def _changes(paths: list[Path]) -> Iterator[set[File]]:
    """The files that were made or changed since the call, again and again; nothing, where a while passes without any.
    Raises FileNotFoundError."""
    from watchfiles import Change, watch  # other commands should not pay for it

    changes = watch(*paths, watch_filter=None, rust_timeout=int(_LOOK_EVERY_S * 1e3), yield_on_timeout=True)
    # It begins to watch when it is first asked.
    first = next(changes)
    return (
        {
            file
            for change, name in changed
            if change is not Change.deleted and (file := _watched(Path(name), paths)) is not None
        }
        for changed in chain((first,), changes)
    )


def _follow(
    connection: Connection,
    changes: Iterator[set[File]],
    settling: Settling,
    options: UploadOptions,
    parallel: int,
    console: Console,
) -> Counter[str]:
    """The results of the files that settle, come and change until Ctrl-C."""
    results: Counter[str] = Counter()
    looked = 0.0
    try:
        console.print("Watching; Ctrl-C ends it.")
        for changed in changes:
            for file in changed:
                settling.touch(file)
            if time.monotonic() - looked < _LOOK_EVERY_S:
                continue
            looked = time.monotonic()
            rested = settling.look()
            if not rested:
                continue
            try:
                found = _ingest_all(connection, rested, options, parallel, console)
            except Unavailable as error:
                console.print(Text(f"{error}; trying again", style="red"), soft_wrap=True)
                for file in rested:
                    settling.touch(file)
                continue
            for outcome in found:
                # Before it is shown: Ctrl-C may come at once.
                if outcome.again is None:
                    results[outcome.result] += 1
                else:
                    settling.touch(outcome.again)
                console.print(_line(outcome), soft_wrap=True)
    except KeyboardInterrupt:
        _show_counts(results, console)
    return results


def _watched(found: Path, paths: list[Path]) -> File | None:
    """The file as `find_files` would name it; None if it would not."""
    found = found.absolute()
    for path in paths:
        whole = path.absolute()
        if found == whole:
            return File(path, path.name)
        if found.is_relative_to(whole) and not _hidden(found.relative_to(whole)) and found.is_file():
            below = found.relative_to(whole)
            return File(path / below, below.as_posix())
    return None


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
    connection: Connection, files: list[File], options: UploadOptions, parallel: int, console: Console
) -> list[Outcome]:
    """Raises Unavailable if nobody answers."""
    pool = ThreadPoolExecutor(parallel, thread_name_prefix="ingest")
    with connection.open() as client, _Board(console, len(files)) as board:
        try:
            waiting = {pool.submit(_ingest_one, client, file, options, board) for file in files}
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


def _ingest_one(client: Client, file: File, options: UploadOptions, board: _Board) -> Outcome:
    path = file.path
    bar = board.begin(path)
    document_id = ""
    try:
        upload = client.documents.upload(path, **(options | {"name": file.name}))
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
        again = file if isinstance(error, PinakesError) and error.retryable else None
        return Outcome(path, document_id, 0, "failed", f"{error} ({reason})", again)
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
            console.print(_line(outcome), soft_wrap=True)
    _show_counts(Counter(outcome.result for outcome in outcomes), console)


def _line(outcome: Outcome) -> Text:
    if outcome.problem:
        return Text(f"{outcome.path}: {outcome.problem}", style="red")
    return Text(f"{outcome.path}: {outcome.result}", style="green")


def _show_counts(results: Counter[str], console: Console) -> None:
    told = (f"{results[result]} {result}" for result in ("ready", "already there", "failed") if results[result])
    console.print(", ".join(told))
