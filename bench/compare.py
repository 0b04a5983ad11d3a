"""Judges a run against an older one, measure by measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.environment import differences, remarks
from bench.metrics import Estimate, Share, Verdict, latency_verdict, median_ratio, proportion, proportion_difference
from bench.record import Better, Record, Series

_SEED = 1
_FAILING: Better = "lower"

ShareVerdict = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True, slots=True)
class TimeChange:
    """A time in both runs: medians in seconds, and new / old with its interval. The medians are infinite when more than
    half of the calls failed."""

    name: str
    old_s: float
    new_s: float
    ratio: Estimate | None
    verdict: Verdict

    def regressed(self, threshold: float) -> bool:
        """Shown to be slower, and by more than `threshold` (0.1: ten percent); or failing where it did not."""
        if np.isinf(self.new_s) and np.isfinite(self.old_s):
            return True
        return self.verdict == "slower" and self.ratio is not None and self.ratio.value > 1 + threshold


@dataclass(frozen=True, slots=True)
class ShareChange:
    """A share in both runs, and new - old with its interval."""

    name: str
    old: float
    new: float
    difference: Estimate
    verdict: ShareVerdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """`warnings` say what else changed between the runs; `missing` are the measures that only one of them has."""

    times: tuple[TimeChange, ...]
    shares: tuple[ShareChange, ...]
    warnings: tuple[str, ...]
    missing: tuple[str, ...]

    def regressions(self, threshold: float) -> list[str]:
        """Names of the measures that got worse: times by more than `threshold`, shares by any difference shown."""
        times = [change.name for change in self.times if change.regressed(threshold)]
        return times + [change.name for change in self.shares if change.verdict == "worse"]


def compare(old: Record, new: Record) -> Comparison:
    """Latencies and stages are compared by the ratio of their medians, shares by their difference. Repeatable."""
    times: list[TimeChange] = []
    for before in old.series:
        after = new.find(before.name)
        if after is not None:
            times += _time_changes(before, after)
    old_shares, new_shares = _shares(old), _shares(new)
    shares = [
        _share_change(name, share, new_shares[name][0], better)
        for name, (share, better) in old_shares.items()
        if name in new_shares
    ]
    judged = tuple(change for change in shares if change is not None)
    return Comparison(tuple(times), judged, tuple(_warnings(old, new)), tuple(_missing(old, new)))


def _time_changes(old: Series, new: Series) -> list[TimeChange]:
    changes = [_time_change(old.name, old.latencies_s(), new.latencies_s())]
    common = [stage for stage in old.stage_names() if stage in new.stage_names()]
    changes += [_time_change(f"{old.name}: {stage}", old.stages_s(stage), new.stages_s(stage)) for stage in common]
    return [change for change in changes if change is not None]


def _time_change(name: str, old_s: Sequence[float], new_s: Sequence[float]) -> TimeChange | None:
    if not old_s or not new_s:
        return None
    ratio = median_ratio(old_s, new_s, np.random.default_rng(_SEED))
    return TimeChange(name, float(np.median(old_s)), float(np.median(new_s)), ratio, latency_verdict(ratio))


def _shares(record: Record) -> dict[str, tuple[Share, Better]]:
    """The summary's shares, and of each series the share of calls that failed."""
    rows = [row for row in record.summary if row.unit == "share" and row.value is not None]
    shares = {row.name: (Share(round((row.value or 0.0) * row.count), row.count), row.better) for row in rows}
    failed = {
        f"{series.name}: failed": (Share(series.failures(), len(series.samples)), _FAILING) for series in record.series
    }
    return shares | failed


def _share_change(name: str, old: Share, new: Share, better: Better) -> ShareChange | None:
    before, after, difference = proportion(old), proportion(new), proportion_difference(old, new)
    if before is None or after is None or difference is None:
        return None
    verdict = _share_verdict(difference, higher_is_better=better == "higher")
    return ShareChange(name, before.value, after.value, difference, verdict)


def _share_verdict(difference: Estimate, *, higher_is_better: bool) -> ShareVerdict:
    rose, fell = difference.low > 0, difference.high < 0
    if not (rose or fell):
        return "no difference shown"
    return "better" if rose == higher_is_better else "worse"


def _warnings(old: Record, new: Record) -> list[str]:
    warnings = differences(old.environment, new.environment)
    if old.suite != new.suite:
        warnings.append(f"suite: {old.suite} -> {new.suite}")
    if old.workload != new.workload:
        warnings.append("the workloads differ")
    warnings += [f"old run: {remark}" for remark in remarks(old.environment)]
    return warnings + [f"new run: {remark}" for remark in remarks(new.environment)]


def _missing(old: Record, new: Record) -> list[str]:
    gone = [f"{series.name} (only in the old run)" for series in old.series if new.find(series.name) is None]
    return gone + [f"{series.name} (only in the new run)" for series in new.series if old.find(series.name) is None]
