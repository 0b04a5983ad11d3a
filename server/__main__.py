"""`python -m server`, and the commands that `pinakes` gets from here: up, serve, worker, tune, doctor, backup."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any

import structlog
import typer
import uvloop

from server.backup_command import backup
from server.command_options import ConfigOption, DataOption, fail, settings_of
from server.domain.errors import PinakesError
from server.settings import TUNED_FILE, Settings, require_tls_1_3, stack_options
from server.telemetry import configure_logging

_log = structlog.get_logger()

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The processes of Pinakes.")

app.add_typer(backup, name="backup")


@app.command()
def up(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Starts PostgreSQL, NATS, Triton, the server and a worker, and keeps them running until Ctrl-C."""
    # Only this command needs a terminal.
    from server.embedded.console import StackConsole
    from server.embedded.errors import EmbeddedError
    from server.embedded.stack import run_stack

    settings = settings_of(config, data_dir)
    with StackConsole() as console:
        try:
            status = asyncio.run(run_stack(stack_options(settings, config), console))
        except EmbeddedError as error:
            fail(str(error))
    raise typer.Exit(status)


@app.command()
def serve(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Answers calls; PostgreSQL, NATS and Triton must be running. `up` does it all."""
    settings = settings_of(config, data_dir)
    if settings.server.tls.enabled:
        require_tls_1_3()
    from server.app import serve as run

    _run(run, settings)


@app.command()
def worker(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Ingests documents; PostgreSQL, NATS and Triton must be running. `up` does it all."""
    from server.app import work as run

    _run(run, settings_of(config, data_dir))


class Tunable(StrEnum):
    """What can be measured."""

    INDEX = "index"
    MODELS = "models"


@app.command()
def tune(
    what: Annotated[Tunable, typer.Argument()] = Tunable.INDEX,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    limit_s: Annotated[float, typer.Option(help="Models: begin no layout of a slot after so many seconds.")] = 180.0,
    slot: Annotated[list[str] | None, typer.Option(help="Models: only of this slot; can be repeated.")] = None,
) -> None:
    """Measures on this machine what is fastest; heeded from the next start on.

    `index`: how the index at hand is searched. While a server has it open, its newest copy is measured on (`pinakes
    index snapshot NAME`). `models`: how many processes of how many threads serve the models of texts, in which batches,
    in a Triton of its own; stop the server before, or it is measured, too.
    """
    settings = settings_of(config, data_dir)
    if what is Tunable.MODELS:
        _tune_models(settings, limit_s, slot or [])
    else:
        _tune_index(settings)


def _tune_index(settings: Settings) -> None:
    from server.adapters.index_tuning import tune as measure
    from server.adapters.index_tuning import write_thresholds

    used = settings.index.index
    typer.echo("measuring for some seconds; the first time on a machine kernels are compiled")
    try:
        tuning, path = measure(settings.data_dir / "index", settings.data_dir / "snapshots", used)
        write_thresholds(settings.data_dir / TUNED_FILE, tuning.thresholds)
    except (PinakesError, OSError) as error:
        fail(str(error))
    found, before = tuning.thresholds, used.planner_thresholds
    typer.echo(f"on {path}, {tuning.rows:,} rows in the largest part with a graph:")
    flat = f"{found.flat_rows:,} (so far {before.flat_rows:,})"
    share = f"{found.walk_share:g} (so far {before.walk_share:g})"
    typer.echo(f"  flat_rows {flat}: up to so many allowed rows are all compared")
    typer.echo(f"  walk_share {share}: from this share of allowed rows near a query on, all rows are walked")
    typer.echo(f"written to {settings.data_dir / TUNED_FILE}")


def _tune_models(settings: Settings, limit_s: float, only: Sequence[str]) -> None:
    from server.embedded.errors import EmbeddedError
    from server.model_tuning import Plan, tune_models, write_layouts
    from triton_models.errors import ModelFilesError
    from triton_models.layouts import LAYOUTS_FILE, TUNED_SLOTS, Layout, Timing

    def show(slot: str, layout: Layout, timing: Timing) -> None:
        typer.echo(
            f"{slot:<8}{layout.instances:>9}{layout.threads:>9}{layout.batch_tokens:>14}{layout.queue_delay_us:>10}"
            f"{timing.bulk_s * 1e3:>12.1f}{timing.single_s * 1e3:>12.2f}"
        )

    options = stack_options(settings)
    if options.triton_address is not None:
        fail("a Triton elsewhere is configured (triton.address): only the one that `pinakes up` starts is measured")
    unknown = set(only) - set(TUNED_SLOTS)
    if unknown:
        fail(f"nothing can be measured of {', '.join(sorted(unknown))}; there are {', '.join(TUNED_SLOTS)}")
    cores = len(os.sched_getaffinity(0))
    plan = Plan(
        options.profile,
        options.cache,
        settings.model_catalogue,
        options.environment,
        cores,
        slots=tuple(only) or TUNED_SLOTS,
        limit_s=limit_s,
    )
    typer.echo("slot    instances  threads  batch tokens  delay us     bulk ms   single ms")
    try:
        tuned = asyncio.run(tune_models(plan, show))
        file = settings.data_dir / LAYOUTS_FILE
        write_layouts(file, tuned, cores)
    except (PinakesError, EmbeddedError, ModelFilesError, OSError) as error:
        fail(str(error))
    for each in tuned:
        best = each.best
        typer.echo(
            f"{each.slot} ({each.model}): instances {best.instances}, threads {best.threads}, "
            f"batches of {best.batch_tokens} tokens, delay {best.queue_delay_us} us"
        )
    typer.echo(f"written to {file}")


@app.command()
def doctor(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Looks for what is wrong with the machine and the configuration; exit status 1 if something is."""
    from server.embedded.console import findings_as_json, show_findings
    from server.embedded.doctor import examine

    findings = examine(stack_options(settings_of(config, data_dir)))
    if as_json:
        text, healthy = findings_as_json(findings)
        typer.echo(text)
    else:
        healthy = show_findings(findings)
    raise typer.Exit(0 if healthy else 1)


def _run(main: Callable[[Settings], Coroutine[Any, Any, None]], settings: Settings) -> None:
    """Until SIGTERM or SIGINT, which end it in order."""
    configure_logging(settings.log_level)
    _log.info("settings", **settings.model_dump(mode="json"))

    async def until_signalled() -> None:
        task = asyncio.ensure_future(main(settings))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            _log.info("stopped")

    problems: list[str] = []
    try:
        uvloop.run(until_signalled())
    except* (PinakesError, OSError) as group:
        problems = list(_messages(group))
    if problems:
        fail("\n".join(problems))


def _messages(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    """Of the errors in it, and in the groups in it: background work ends in groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _messages(error)
        else:
            yield str(error)


if __name__ == "__main__":
    app()
