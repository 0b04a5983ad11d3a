"""How the commands of this folder speak: progress as bars, an error as a sentence and an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from triton_models.errors import ModelFilesError
from triton_models.progress import OnProgress, Progress

console = Console()

CacheOption = Annotated[Path | None, typer.Option("--cache", help="Where models are kept.", show_default=False)]


@contextmanager
def sentences() -> Iterator[None]:
    """Ends the command with status 1 on a ModelFilesError, which is printed."""
    try:
        yield
    except ModelFilesError as exc:
        console.print(str(exc), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from exc


@contextmanager
def bars() -> Iterator[OnProgress]:
    """Shows each step as a bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=console) as shown:

        def show(progress: Progress) -> None:
            if progress.step not in tasks:
                tasks[progress.step] = shown.add_task(progress.step, total=None, amount="")
            shown.update(
                tasks[progress.step],
                completed=progress.done,
                total=progress.total or None,
                amount=_amount(progress),
            )

        yield show


def _amount(progress: Progress) -> str:
    if progress.unit == "bytes":
        return f"{progress.done / 1e6:.1f} / {progress.total / 1e6:.1f} MB"
    return f"{progress.done} / {progress.total}" if progress.total else ""
