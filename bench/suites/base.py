"""What a suite is, and what it is given."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, JsonValue

from bench.metrics import Estimate
from bench.record import Better, Findings, SummaryRow
from bench.stack import StackOptions, running_stack
from bench.targets import Endpoints

PROJECT = Path(__file__).resolve().parents[2]
WORKLOADS = Path(__file__).resolve().parents[1] / "workloads"

Table = dict[str, JsonValue]
W = TypeVar("W", bound="Workload")


class Strict(BaseModel):
    """A table of a workload file: a key that nobody reads is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(Strict):
    """The bar to clear, and what we would like; in the unit of the summary row of the same name."""

    reach: float | None = None
    aim: float | None = None


class Workload(Strict):
    """What every workload has. Suites add their tables."""

    description: str
    seed: int
    targets: dict[str, Target] = {}


@dataclass(frozen=True, slots=True)
class RunRequest:
    """`data`: where the stack keeps its files; None: a temporary folder. `endpoints`: a stack that runs already; None:
    the suite starts what it needs. `sets`: the folder of retrieval sets; `pages`: of page images with their text.
    `only`: the parts to run; none: all. `cache`: where what is made once is kept; None: the user's."""

    workload: Table
    seed: int
    data: Path | None = None
    endpoints: Endpoints | None = None
    stack: StackOptions = field(default_factory=StackOptions)
    sets: Path | None = None
    pages: Path | None = None
    only: tuple[str, ...] = ()
    cache: Path | None = None


class Suite(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def parts(self) -> tuple[str, ...]:
        """What can be run by itself, by name; none: all or nothing."""

    async def run(self, request: RunRequest) -> Findings:
        """Starts what the suite needs, measures, and stops it."""

    def remarks(self, findings: Findings) -> list[str]:
        """What a reader should look at, one line each."""

    def figures(self, findings: Findings) -> Mapping[str, Figure]:
        """Pictures besides those of latencies, by name."""

    def summarize(self, findings: Findings, workload: Table, seed: int) -> tuple[SummaryRow, ...]:
        """Figures from findings alone, so that they can be made anew from a record."""


def load_workload(name: str, *, quick: bool, folder: Path = WORKLOADS) -> Table:
    """`name`.toml; with `quick`, its table `quick` replaces values of the same place. Raises OSError, ValueError."""
    table: Table = tomllib.loads((folder / f"{name}.toml").read_text())
    changes = table.pop("quick", {})
    return _merged(table, changes) if quick and isinstance(changes, dict) else table


def _merged(table: Table, changes: Table) -> Table:
    merged = dict(table)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


@asynccontextmanager
async def stack_of(request: RunRequest) -> AsyncIterator[Endpoints]:
    """The stack that the request names, or one of its own while the context lasts. Raises StackFailed."""
    if request.endpoints is not None:
        yield request.endpoints
        return
    with tempfile.TemporaryDirectory(prefix="pinakes-bench-") as folder:
        async with running_stack(PROJECT, request.data or Path(folder), request.stack) as endpoints:
            yield endpoints


Unit = Literal[
    "ms",
    "s",
    "tokens/s",
    "documents/min",
    "pages/min",
    "share",
    "calls",
    "tokens",
    "queries/s",
    "vectors/s",
    "operations/s",
    "events/s",
    "bytes",
    "x",
    "score",
]
"""`x`: one figure over another; `score`: of a ranking, from 0 to 1."""


def row(
    name: str, unit: Unit, estimate: Estimate | None, *, better: Better = "lower", scale: float = 1.0
) -> SummaryRow:
    """A row without a target. An infinite figure (a percentile among failed calls) becomes None."""
    if estimate is None:
        return SummaryRow(name, None, unit, better)
    value, low, high = (_finite(x * scale) for x in (estimate.value, estimate.low, estimate.high))
    return SummaryRow(name, value, unit, better, low, high, estimate.count)


def milliseconds(name: str, seconds: Estimate | None) -> SummaryRow:
    return row(name, "ms", seconds, scale=1e3)


def counted(name: str, unit: Unit, value: float | None, count: int, *, better: Better = "lower") -> SummaryRow:
    """A row that is one number, without an interval."""
    return SummaryRow(name, value, unit, better, count=count)


def judged(rows: tuple[SummaryRow, ...], targets: dict[str, Target]) -> tuple[SummaryRow, ...]:
    """The rows with their targets. Raises ValueError for a target that names no row."""
    unknown = targets.keys() - {row.name for row in rows}
    if unknown:
        raise ValueError(f"targets without a row: {', '.join(sorted(unknown))}")
    return tuple(_judged(row, targets.get(row.name, Target())) for row in rows)


def judged_as_run(rows: tuple[SummaryRow, ...], targets: dict[str, Target]) -> tuple[SummaryRow, ...]:
    """As `judged`, for suites of which parts can be left out: a target without a row is of such a part."""
    shown = {row.name for row in rows}
    return judged(rows, {name: target for name, target in targets.items() if name in shown})


def joined(parts: Iterable[Findings]) -> Findings:
    """What the parts of a suite have brought back, in their order."""
    found = tuple(parts)
    series = tuple(one for findings in found for one in findings.series)
    return Findings(series, {name: fact for findings in found for name, fact in findings.facts.items()})


def _judged(row: SummaryRow, target: Target) -> SummaryRow:
    met = None
    if target.reach is not None:
        met = row.value is not None and (
            row.value <= target.reach if row.better == "lower" else row.value >= target.reach
        )
    return replace(row, reach=target.reach, aim=target.aim, met=met)


def _finite(value: float) -> float | None:
    return value if abs(value) != float("inf") else None
