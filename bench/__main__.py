"""Command line of the bench: `python -m bench --help`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bench.catalogue import SUITES
from bench.compare import compare
from bench.record import Record, UnreadableRecord, read, write
from bench.report import comparison_page, remarks_of, summary_text, write_report
from bench.running import run_suite
from bench.stack import StackFailed
from bench.suites.index.datasets import NoDataSets
from bench.suites.models.ocr import NoPages
from bench.suites.serving.ingestion import CorpusNotIngested
from bench.targets import Endpoints, RefusedTarget

app = typer.Typer(help="Measures Pinakes.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command(name="list")
def list_suites() -> None:
    """Lists the suites."""
    for suite in SUITES.values():
        print(f"{suite.name}: {suite.description}")


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="Name of the suite.")],
    out: Annotated[Path, typer.Option(help="Where the record is written (JSON).")],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer calls: a few minutes.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Where the stack keeps its files; a temporary folder by default.")
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="Measure this server (127.0.0.1:PORT) instead of starting one.")
    ] = None,
    triton: Annotated[str | None, typer.Option(help="With --server: the address of its Triton.")] = None,
    sets: Annotated[
        Path | None,
        typer.Option(help="Folder of retrieval sets, for the suites that search them; synthetic vectors without."),
    ] = None,
    pages: Annotated[
        Path | None,
        typer.Option(help="Folder of page images with their text, for the part of `models` that reads them."),
    ] = None,
    only: Annotated[str, typer.Option(help="Parts of the suite to run, by name, with commas between them.")] = "",
) -> None:
    """Runs a suite and writes the record with every sample."""
    if suite not in SUITES:
        raise typer.BadParameter(f"there is no suite {suite}; there are {', '.join(SUITES)}")
    if server is None and triton is not None:
        raise typer.BadParameter("--triton goes with --server")
    chosen = tuple(filter(None, only.split(",")))
    if unknown := set(chosen) - set(SUITES[suite].parts):
        parts = ", ".join(SUITES[suite].parts) or "no parts to choose from"
        raise typer.BadParameter(f"{suite} has no part {', '.join(sorted(unknown))}; there are {parts}")
    try:
        endpoints = None if server is None else Endpoints(server, triton)
        record = asyncio.run(
            run_suite(SUITES[suite], quick=quick, data=data, endpoints=endpoints, sets=sets, pages=pages, only=chosen)
        )
    except (RefusedTarget, StackFailed, CorpusNotIngested, NoDataSets, NoPages) as exc:
        _fail(str(exc))
    write(record, out)
    print(summary_text(record.summary))
    for remark in remarks_of(record):
        print(f"- {remark}")
    print(f"written to {out}")


@app.command()
def report(
    records: Annotated[list[Path], typer.Argument(help="Records of runs.")],
    out: Annotated[Path, typer.Option(help="Folder for the page and its pictures.")] = Path("out/bench/report"),
) -> None:
    """Makes a page with tables and pictures from records."""
    print(f"written to {write_report([(path.stem, _read(path)) for path in records], out)}")


@app.command(name="compare")
def compare_runs(
    old: Annotated[Path, typer.Argument(help="Record of the older run.")],
    new: Annotated[Path, typer.Argument(help="Record of the newer run.")],
    fail_on_regression: Annotated[
        bool, typer.Option("--fail-on-regression", help="Exit with 1 when a measure got worse.")
    ] = False,
    threshold: Annotated[float, typer.Option(help="By how much a time must have grown to count: 0.1 is 10 %.")] = 0.1,
) -> None:
    """Says which times and shares differ between two runs, and which differences are shown by the samples."""
    comparison = compare(_read(old), _read(new))
    print(comparison_page(comparison))
    regressions = comparison.regressions(threshold)
    if regressions:
        print(f"worse: {', '.join(regressions)}")
        if fail_on_regression:
            raise typer.Exit(1)


def _read(path: Path) -> Record:
    try:
        return read(path)
    except UnreadableRecord as exc:
        _fail(str(exc))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
