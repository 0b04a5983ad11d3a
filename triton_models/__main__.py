"""`python -m triton_models`: prepares, verifies and lists models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from triton_models.catalogue import load_catalogue
from triton_models.errors import ModelFilesError
from triton_models.preparation import default_cache, find_prepared, prepare
from triton_models.prepared import PreparedModels
from triton_models.progress import OnProgress, Progress

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The models that Pinakes serves.")
console = Console()

CacheOption = Annotated[Path | None, typer.Option("--cache", help="Where models are kept.", show_default=False)]
OnlyOption = Annotated[str, typer.Option("--only", help="Comma-separated slots; all if not given.")]


@app.command("prepare")
def prepare_command(
    cache: CacheOption = None,
    only: OnlyOption = "",
    local: Annotated[Path | None, typer.Option("--from", help="A folder that may hold artifacts already.")] = None,
) -> None:
    """Fetches, verifies and converts the models; does nothing if they are ready."""
    with _sentences(), _bars() as on_progress:
        models = prepare(cache or default_cache(), on_progress, only=_slots(only), local=local)
    console.print(f"models are ready in {models}", soft_wrap=True)


@app.command("verify")
def verify_command(cache: CacheOption = None, only: OnlyOption = "") -> None:
    """Reads every prepared file and compares its sha256."""
    with _sentences(), _bars() as on_progress:
        models = find_prepared(cache or default_cache(), only=_slots(only))
        if models is None:
            raise ModelFilesError("these models are not prepared: run `python -m triton_models prepare`")
        PreparedModels.open(models).verify(on_progress)
    console.print(f"every file in {models} is what it should be", soft_wrap=True)


@app.command("list")
def list_command() -> None:
    """Names each slot's model, with the licence and size of its artifacts."""
    catalogue = load_catalogue()
    for name, slot in catalogue.slots.items():
        console.print(f"[bold]{name}[/]: {slot.model}")
        for artifact in catalogue.artifacts_of(slot).values():
            console.print(
                f"  {artifact.file}: {artifact.size_bytes / 1e6:.0f} MB, {artifact.licence}. {artifact.origin}"
            )


def _slots(only: str) -> list[str] | None:
    return [name.strip() for name in only.split(",")] if only else None


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except ModelFilesError as exc:
        console.print(str(exc), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from exc


@contextmanager
def _bars() -> Iterator[OnProgress]:
    """Shows each step as a bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=console) as bars:

        def show(progress: Progress) -> None:
            if progress.step not in tasks:
                tasks[progress.step] = bars.add_task(progress.step, total=None, amount="")
            bars.update(
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


if __name__ == "__main__":
    app()
