"""Shows a stack on a terminal: a live table while it starts, a line per change where there is no terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

from server.embedded.doctor import Finding, Verdict, healthy
from server.embedded.events import FirstKeyMade, PartChanged, PartState, StackEvent, StackReady

_MARKS = {
    PartState.HEALTHY: "[green]✔[/]",
    PartState.UNHEALTHY: "[yellow]![/]",
    PartState.RESTARTING: "[yellow]↻[/]",
    PartState.STOPPED: "[dim]■[/]",
    PartState.FAILED: "[red]✘[/]",
    PartState.WAITING: "[dim]·[/]",
}
_VERDICTS = {Verdict.OK: "[green]✔[/]", Verdict.WARN: "[yellow]![/]", Verdict.FAIL: "[red]✘[/]"}
_QUIET = {PartState.WAITING, PartState.PREPARING, PartState.STOPPING}


class StackConsole:
    """Call it with each event; use it as a context so that the terminal is left in order."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._parts: dict[str, tuple[PartChanged, float]] = {}
        self._live: Live | None = None

    def __enter__(self) -> StackConsole:
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_live()

    def __call__(self, event: StackEvent) -> None:
        match event:
            case StackReady():
                self._end_live()
                self._console.print(
                    f"[green]Pinakes is ready[/] at [bold]{event.address}[/] ({event.seconds:.1f} s); Ctrl-C stops it",
                    highlight=False,
                )
            case FirstKeyMade():
                self._end_live()
                self._console.print(
                    f"The key that may do everything, shown this once and kept in {escape(event.file)}:\n{event.key}",
                    highlight=False,
                    soft_wrap=True,
                )
            case PartChanged():
                self._parts[event.part] = (event, time.monotonic())
                if event.state in (PartState.FAILED, PartState.STOPPING):
                    self._end_live()
                if event.state not in _QUIET and not (self._live and event.state is PartState.STARTING):
                    self._console.print(_line(event), highlight=False)

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for event, since in self._parts.values():
            if event.state in (PartState.PREPARING, PartState.STARTING, PartState.STOPPING):
                waited = f"{time.monotonic() - since:.0f} s"
                table.add_row(Spinner("dots"), event.part, event.state.value, waited)
        return table

    def _end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _line(event: PartChanged) -> str:
    took = f" [dim]({event.seconds:.1f} s)[/]" if event.seconds else ""
    # The rest of a failure, the end of the log, is in the error that follows.
    detail = f": {escape(event.detail.splitlines()[0])}" if event.detail else ""
    return f"{_MARKS.get(event.state, '[dim]…[/]')} {event.part} {event.state.value}{took}{detail}"


def show_findings(findings: Iterable[Finding], console: Console | None = None) -> bool:
    """Prints each finding as it comes; returns whether none of them is a failure."""
    console = console or Console()
    seen = []
    for finding in findings:
        fix = f"\n    fix: [bold]{escape(finding.fix)}[/]" if finding.fix else ""
        console.print(
            f"{_VERDICTS[finding.verdict]} {finding.subject}: {escape(finding.message)}{fix}",
            highlight=False,
            soft_wrap=True,
        )
        seen.append(finding)
    return healthy(seen)


def findings_as_json(findings: Iterable[Finding]) -> tuple[str, bool]:
    """All findings as one JSON array, and whether none of them is a failure."""
    seen = list(findings)
    rows = [asdict(finding) | {"verdict": finding.verdict.value} for finding in seen]
    return json.dumps(rows, indent=2, ensure_ascii=False), healthy(seen)
