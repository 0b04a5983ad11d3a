"""Pictures of the suite's findings besides latencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from bench.plots import PALETTE
from bench.record import Findings
from bench.suites.index.contenders import CONTENDERS, PINAKES
from bench.suites.index.filtering import NONE
from bench.suites.index.observations import Calling, CurvePoint, FilterPoint, from_facts

_COLORS = {contender.name: color for contender, color in zip(CONTENDERS, PALETTE, strict=False)}
_CALLING: dict[Calling, str] = {"one": "one query a call", "batch": "all queries in one call"}
_LOWEST_RECALL = 0.85
_MISS = 1e-4
"""A recall of 1 is drawn here on the scale of what is missed."""


def figures(findings: Findings) -> dict[str, Figure]:
    """By name: recall against queries a second, and both against the share of rows that a filter allows."""
    curves = from_facts(findings.facts.get("unfiltered"), CurvePoint)
    filters = from_facts(findings.facts.get("filters"), FilterPoint)
    return ({"recall-and-rate": _curves(curves)} if curves else {}) | (
        {"filters": _filters(filters)} if any(each.filter != NONE for each in filters) else {}
    )


def _curves(points: Sequence[CurvePoint]) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, (calling, title) in zip(figure.subplots(1, 2, sharey=True), _CALLING.items(), strict=True):
        for name in dict.fromkeys(each.contender for each in points):
            curve = [each for each in points if each.contender == name and each.calling == calling]
            curve = sorted(
                (each for each in curve if each.hits >= _LOWEST_RECALL * each.wanted), key=lambda each: each.effort
            )
            missed = [max(1 - each.hits / each.wanted, _MISS) for each in curve]
            rates = [each.queries / float(np.median(each.seconds)) for each in curve]
            axes.plot(missed, rates, marker="o", markersize=3, label=name, **_line(name))
        axes.set(xscale="log", yscale="log", xlabel="recall@10", title=f"one thread, {title}")
        axes.invert_xaxis()
        ticks = [0.1, 0.05, 0.02, 0.01, 0.005, 0.001]
        axes.set_xticks(ticks, [f"{1 - tick:g}" for tick in ticks])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    figure.axes[0].set_ylabel("queries/s")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), fontsize=7, frameon=False, loc="outside lower center", ncols=7
    )
    return figure


def _filters(points: Sequence[FilterPoint]) -> Figure:
    """A column per kind of filter: rates above, recall below."""
    rows = max(each.allowed for each in points)
    kinds = list(dict.fromkeys(_kind(each) for each in points if each.filter != NONE))
    figure = Figure(figsize=(3.6 * len(kinds), 5.5), layout="constrained")
    grid = figure.subplots(2, len(kinds), sharex=True, sharey="row", squeeze=False)
    for (above, below), kind in zip(grid.T, kinds, strict=True):
        for name in dict.fromkeys(each.contender for each in points):
            under = sorted(
                (each for each in points if each.contender == name and each.filter != NONE and _kind(each) == kind),
                key=lambda each: each.allowed,
            )
            if not under:
                continue
            shares = [each.allowed / rows for each in under]
            rates = [each.queries / float(np.median(each.seconds)) for each in under]
            above.plot(shares, rates, marker="o", markersize=3, label=name, **_line(name))
            below.plot(shares, [each.hits / each.wanted for each in under], marker="o", markersize=3, **_line(name))
        own = next((each for each in points if each.contender == PINAKES and each.filter == NONE), None)
        if own is not None:
            above.axhline(own.queries / float(np.median(own.seconds)), color=_COLORS[PINAKES], ls=":", lw=1)
        above.set(xscale="log", yscale="log", title=kind)
        below.set(xlabel="share of rows allowed", ylim=(-0.02, 1.02))
    grid[0][0].set_ylabel("queries/s")
    grid[1][0].set_ylabel("recall@10")
    figure.suptitle("one thread; dotted: Pinakes without a filter", fontsize=9)
    figure.legend(
        *grid[0][0].get_legend_handles_labels(), fontsize=7, frameon=False, loc="outside lower center", ncols=7
    )
    return figure


def _kind(point: FilterPoint) -> str:
    return "two filters" if " and " in point.filter else point.filter.partition(" ")[0]


def _line(name: str) -> dict[str, Any]:
    return {"color": _COLORS.get(name, "#000000"), "lw": 2.2 if name == PINAKES else 1.1}
