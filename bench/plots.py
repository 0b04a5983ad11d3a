"""Pictures of a record: how latencies are spread, and which stages they are made of. Written as PNG."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from bench.record import Record, Series

_DPI = 110
_FEW_DECADES = 1e3
"""Up to this range of times the axis has room for 2 and 5 between the powers of ten."""
PALETTE = (
    "#2f5d8a",
    "#d98032",
    "#4c9a6a",
    "#a94442",
    "#7b68a6",
    "#8c6d46",
    "#3c9fb0",
    "#b0588f",
    "#7f7f7f",
    "#b5b03c",
)
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
}


def draw(record: Record, folder: Path, prefix: str = "") -> list[Path]:
    """One or two pictures per series with calls that succeeded; returns their paths, in the order of the series."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with mpl.rc_context(_STYLE):
        for series in record.series:
            if series.failures() == len(series.samples):
                continue
            paths.append(_saved(_latency_figure(series), folder / f"{prefix}{_file_name(series.name)}-latency.png"))
            if series.stage_names():
                paths.append(_saved(_stage_figure(series), folder / f"{prefix}{_file_name(series.name)}-stages.png"))
    return paths


def save(make: Callable[[], Mapping[str, Figure]], folder: Path, prefix: str = "") -> list[Path]:
    """A suite's own pictures, by name, made in the style of all; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        return [_saved(figure, folder / f"{prefix}{_file_name(name)}.png") for name, figure in make().items()]


def _latency_figure(series: Series) -> Figure:
    """The share of calls that took at most so long (failed calls never do), and a histogram."""
    latencies_ms = np.sort(np.asarray(series.latencies_s()) * 1e3)
    finite = latencies_ms[np.isfinite(latencies_ms)]
    figure = Figure(figsize=(8, 3), layout="constrained")
    spread, histogram = figure.subplots(1, 2)
    spread.step(finite, np.arange(1, len(finite) + 1) / len(latencies_ms), where="post", color=PALETTE[0])
    for stage, color in zip(_wide_stages(series), PALETTE[1:], strict=False):
        times_ms = np.sort(np.asarray(series.stages_s(stage)) * 1e3)
        spread.step(
            times_ms, np.arange(1, len(times_ms) + 1) / len(times_ms), where="post", color=color, label=stage, lw=0.9
        )
    spread.set(
        xscale="log",
        ylim=(0, 1),
        xlabel="ms",
        ylabel="share of calls",
        title=f"{series.name}: latency (bold) and stages",
    )
    spread.lines[0].set(linewidth=2.2, zorder=3)
    left, right = spread.get_xlim()
    spread.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if right < left * _FEW_DECADES else (1,)))
    spread.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    spread.xaxis.set_minor_formatter(NullFormatter())
    if len(spread.lines) > 1:
        spread.legend(fontsize=7, frameon=False)
    histogram.hist(finite, bins="auto" if len(finite) > 1 else 1, color=PALETTE[0])
    histogram.set(xlabel="ms", ylabel="calls", title=f"{len(latencies_ms)} calls, {series.failures()} failed")
    return figure


def _stage_figure(series: Series) -> Figure:
    """Median and 95th percentile of each stage."""
    stages = series.stage_names()
    times_ms = [np.asarray(series.stages_s(stage)) * 1e3 for stage in stages]
    medians = [float(np.median(times)) for times in times_ms]
    high = [float(np.percentile(times, 95)) for times in times_ms]
    figure = Figure(figsize=(8, 0.9 + 0.34 * len(stages)), layout="constrained")
    axes = figure.subplots()
    positions = np.arange(len(stages))
    axes.barh(positions, high, color="#cfd9e4", label="p95")
    axes.barh(positions, medians, height=0.5, color=PALETTE[0], label="p50")
    axes.set_yticks(positions, stages)
    axes.invert_yaxis()
    axes.set(xlabel="ms", title=f"{series.name}: stages")
    figure.legend(fontsize=7, frameon=False, loc="outside right upper")
    return figure


def _wide_stages(series: Series) -> Sequence[str]:
    """The stages that are worth a line: those that differ from zero on the plot's scale."""
    return [stage for stage in series.stage_names() if float(np.median(series.stages_s(stage) or [0.0])) > 1e-5]


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=_DPI)
    return path


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
