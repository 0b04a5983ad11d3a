"""Records and comparisons as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from bench.catalogue import SUITES
from bench.compare import Comparison
from bench.environment import remarks
from bench.metrics import Estimate
from bench.plots import draw, save
from bench.record import Record, SummaryRow

_SHOWN = (
    "cpu",
    "cpu_flags",
    "cores",
    "cgroup_cpu_max",
    "governor",
    "gpus",
    "niceness",
    "memory_bytes",
    "kernel",
    "python",
    "git_commit",
    "git_dirty",
)
_LOAD = ("load_average_before", "load_average_after", "busy_share", "steal_share")


def remarks_of(record: Record) -> list[str]:
    """What to know before one believes the figures, and what its suite says of the findings."""
    suite = SUITES.get(record.suite)
    return remarks(record.environment) + (suite.remarks(record.findings) if suite else [])


def summary_text(rows: Sequence[SummaryRow]) -> str:
    """For a terminal: columns, one row a line."""
    lines = [list(SUMMARY_HEADER), *summary_cells(rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(line.rstrip() for line in aligned)


def write_report(records: Sequence[tuple[str, Record]], folder: Path) -> Path:
    """A page `report.md` with its pictures, from records by name; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = ["# Benchmark report\n"]
    for name, record in records:
        prefix = f"{name}-" if len(records) > 1 else ""
        suite = SUITES.get(record.suite)
        pictures = save(partial(suite.figures, record.findings), folder, prefix) if suite else []
        pictures += draw(record, folder, prefix)
        sections.append(_section(name, record, pictures))
    page = folder / "report.md"
    page.write_text("\n".join(sections))
    return page


SUMMARY_HEADER = ("measure", "value", "95 % interval", "unit", "of", "to reach", "met")


def summary_cells(rows: Sequence[SummaryRow]) -> list[list[str]]:
    """The cells under SUMMARY_HEADER."""
    return [
        [row.name, _number(row.value), _interval(row), row.unit, str(row.count), _bar(row), _verdict(row)]
        for row in rows
    ]


def comparison_page(comparison: Comparison) -> str:
    times = [
        [
            change.name,
            _number(change.old_s * 1e3),
            _number(change.new_s * 1e3),
            *_ratio(change.ratio),
            change.verdict if change.decisive else f"({change.verdict})",
        ]
        for change in comparison.times
    ]
    shares = [
        [
            change.name,
            _number(change.old),
            _number(change.new),
            f"{change.difference.low:+.3f} to {change.difference.high:+.3f}",
            change.verdict,
        ]
        for change in comparison.shares
    ]
    relative = [
        [change.name, _number(change.old), _number(change.new), *_ratio(change.ratio), change.verdict]
        for change in comparison.relative
    ]
    parts = [_table(["time (p50)", "old ms", "new ms", "new / old", "95 % interval", "verdict"], times)]
    if relative:
        parts.append(_table(["in turns (p50)", "old", "new", "new / old", "95 % interval", "verdict"], relative))
    if shares:
        parts.append(_table(["share", "old", "new", "95 % interval of the difference", "verdict"], shares))
    parts += [f"Note: {warning}" for warning in comparison.warnings]
    parts += [f"Not compared: {name}" for name in comparison.missing]
    return "\n\n".join(parts) + "\n"


def _section(name: str, record: Record, pictures: Sequence[Path]) -> str:
    environment = record.environment
    kind = " (quick)" if record.quick else ""
    facts = [[key.replace("_", " "), _text(environment.get(key))] for key in (*_SHOWN, *_LOAD)]
    lines = [
        f"## {name}: {record.suite}{kind}\n",
        f"{record.started_at}, {record.duration_s:.0f} s, seed {record.seed}.\n",
        _table(SUMMARY_HEADER, summary_cells(record.summary)) + "\n",
        *(f"- {remark}\n" for remark in remarks_of(record)),
        *(f"![{picture.stem}]({picture.name})\n" for picture in pictures),
        "### Environment\n",
        _table(["", ""], facts) + "\n",
    ]
    return "\n".join(lines)


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _ratio(ratio: Estimate | None) -> list[str]:
    return ["", ""] if ratio is None else [f"{ratio.value:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}"]


def _number(value: float | None) -> str:
    """Three significant digits, none of them hidden in an exponent."""
    if value is None:
        return "none"
    if value == float("inf"):
        return "failed"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _interval(row: SummaryRow) -> str:
    if row.low is None and row.high is None:
        return ""
    return f"{_number(row.low)} to {'failed' if row.high is None else _number(row.high)}"


def _bar(row: SummaryRow) -> str:
    if row.reach is None:
        return ""
    return f"{'≤' if row.better == 'lower' else '≥'} {_number(row.reach)}"


def _verdict(row: SummaryRow) -> str:
    return {True: "yes", False: "no", None: ""}[row.met]


def _text(value: JsonValue) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return "unknown" if value is None else str(value)
