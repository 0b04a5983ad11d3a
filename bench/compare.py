"""Judges a run against an older one, measure by measure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.environment import differences, remarks
from bench.metrics import (
    Estimate,
    Share,
    Verdict,
    latency_verdict,
    median_ratio,
    paired_median_ratio,
    proportion,
    proportion_difference,
)
from bench.record import Better, Record, Series

_SEED = 1
_FAILING: Better = "lower"
_Times = dict[int, float]

ShareVerdict = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True, slots=True)
class TimeChange:
    """A time in both runs: medians in seconds, and new / old with its interval. The medians are infinite when more than
    half of the calls failed. One that is not `decisive` is only shown: another measure judges it better."""

    name: str
    old_s: float
    new_s: float
    ratio: Estimate | None
    verdict: Verdict
    decisive: bool = True

    def regressed(self, threshold: float) -> bool:
        """Shown to be slower, and by more than `threshold` (0.1: ten percent); or failing where it did not."""
        if not self.decisive:
            return False
        return _regressed(self.ratio, self.verdict, threshold) or _fails_now(self.old_s, self.new_s)


@dataclass(frozen=True, slots=True)
class RelativeChange:
    """How many times as long one operation took as the other one that it took turns with, in both runs; and new / old
    of that. Whatever slows the whole machine down slows both and drops out."""

    name: str
    old: float
    new: float
    ratio: Estimate | None
    verdict: Verdict

    def regressed(self, threshold: float) -> bool:
        return _regressed(self.ratio, self.verdict, threshold)


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
    relative: tuple[RelativeChange, ...]
    shares: tuple[ShareChange, ...]
    warnings: tuple[str, ...]
    missing: tuple[str, ...]

    def regressions(self, threshold: float) -> list[str]:
        """Names of the measures that got worse: times by more than `threshold`, shares by any difference shown."""
        times = [change.name for change in self.times if change.regressed(threshold)]
        times += [change.name for change in self.relative if change.regressed(threshold)]
        return times + [change.name for change in self.shares if change.verdict == "worse"]


def compare(old: Record, new: Record) -> Comparison:
    """Latencies and stages are compared by the ratio of their medians, shares by their difference. Repeatable.

    Where both runs made the same calls (same workload and seed), times are compared call by call.
    """
    same_calls = old.workload == new.workload and old.seed == new.seed
    times: list[TimeChange] = []
    for before in old.series:
        after = new.find(before.name)
        if after is not None:
            times += _time_changes(before, after, same_calls=same_calls)
    old_shares, new_shares = _shares(old), _shares(new)
    shares = [
        _share_change(name, share, new_shares[name][0], better)
        for name, (share, better) in old_shares.items()
        if name in new_shares
    ]
    judged = tuple(change for change in shares if change is not None)
    return Comparison(
        tuple(times), tuple(_relative_changes(old, new)), judged, tuple(_warnings(old, new)), tuple(_missing(old, new))
    )


def _time_changes(old: Series, new: Series, *, same_calls: bool) -> list[TimeChange]:
    decisive = old.mode != "alternating"
    changes = [_time_change(old.name, _latencies(old), _latencies(new), paired=same_calls, decisive=decisive)]
    for stage in old.stage_names():
        if stage in new.stage_names():
            times = _stage(old, stage), _stage(new, stage)
            changes.append(_time_change(f"{old.name}: {stage}", *times, paired=same_calls, decisive=decisive))
    return [change for change in changes if change is not None]


def _time_change(name: str, old: _Times, new: _Times, *, paired: bool, decisive: bool) -> TimeChange | None:
    """Times are by the number of their call."""
    if not old or not new:
        return None
    rng = np.random.default_rng(_SEED)
    if paired:
        common = [number for number in old if number in new]
        ratio = paired_median_ratio([old[number] for number in common], [new[number] for number in common], rng)
    else:
        ratio = median_ratio(list(old.values()), list(new.values()), rng)
    old_s, new_s = (float(np.median(list(times.values()))) for times in (old, new))
    verdict = "slower" if _fails_now(old_s, new_s) else latency_verdict(ratio)
    return TimeChange(name, old_s, new_s, ratio, verdict, decisive)


def _relative_changes(old: Record, new: Record) -> list[RelativeChange]:
    """Of the operations that took turns, each against the last one."""
    taking_turns = [series.name for series in old.series if series.mode == "alternating" and new.find(series.name)]
    if len(taking_turns) < 2:
        return []
    *names, base = taking_turns
    return [_relative_change(name, base, old, new) for name in names]


def _relative_change(name: str, base: str, old: Record, new: Record) -> RelativeChange:
    before, after = _against(old, name, base), _against(new, name, base)
    ratio = median_ratio(before, after, np.random.default_rng(_SEED))
    old_median, new_median = (float(np.median(times)) if times else float("nan") for times in (before, after))
    return RelativeChange(f"{name} / {base}", old_median, new_median, ratio, latency_verdict(ratio))


def _against(record: Record, name: str, base: str) -> list[float]:
    """The latency of each call over that of its twin; calls of which either failed are left out."""
    one, other = record.find(name), record.find(base)
    if one is None or other is None:
        return []
    pairs = zip(one.samples, other.samples, strict=False)
    return [a.latency_s / b.latency_s for a, b in pairs if not a.error and not b.error and b.latency_s > 0]


def _latencies(series: Series) -> _Times:
    return {sample.number: latency_s for sample, latency_s in zip(series.samples, series.latencies_s(), strict=True)}


def _stage(series: Series, stage: str) -> _Times:
    return {s.number: s.stages_s[stage] for s in series.samples if not s.error and stage in s.stages_s}


def _fails_now(old_s: float, new_s: float) -> bool:
    """More than half of the calls fail that did not before."""
    return math.isinf(new_s) and math.isfinite(old_s)


def _regressed(ratio: Estimate | None, verdict: Verdict, threshold: float) -> bool:
    return verdict == "slower" and ratio is not None and ratio.value > 1 + threshold


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
