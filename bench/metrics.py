"""Figures from samples. Pure functions; what is random takes a generator.

Intervals are 95 % unless said otherwise. They cover the chance of the samples of one run, not the difference between
runs: a machine that was busy with something else is busy for all samples of the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 4_000
_BLOCK_VALUES = 4_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, its interval, and how many values it is made of. `value` may be infinite, when failures count so."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `count`."""

    hits: int
    count: int


def percentile(values: Sequence[float], percent: float) -> Estimate | None:
    """The percentile by linear interpolation, as NumPy's default, with the distribution-free interval of its order
    statistics (Hahn and Meeker, "Statistical Intervals", 5.2). None without values.

    With few values the interval reaches the smallest or the largest one and then covers less than 95 %.
    """
    if not 0 < percent < 100:
        raise ValueError(f"percent must be between 0 and 100, not {percent}")
    if not values:
        return None
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    q = percent / 100
    lower = int(stats.binom.ppf((1 - CONFIDENCE) / 2, count, q)) - 1
    upper = int(stats.binom.ppf((1 + CONFIDENCE) / 2, count, q))
    return Estimate(
        _interpolated(ordered, q), float(ordered[max(lower, 0)]), float(ordered[min(upper, count - 1)]), count
    )


def median(values: Sequence[float]) -> Estimate | None:
    return percentile(values, 50)


def median_ratio(old: Sequence[float], new: Sequence[float], rng: np.random.Generator) -> Estimate | None:
    """median(new) / median(old) with the percentile interval of the bootstrap over both, independently (Efron and
    Tibshirani, "An Introduction to the Bootstrap", 13.3). None unless both medians are finite and the old one is
    positive."""
    if not old or not new:
        return None
    before, after = np.median(old), np.median(new)
    if not (np.isfinite(before) and np.isfinite(after) and before > 0):
        return None
    divisors = _resampled_medians(np.asarray(old, dtype=np.float64), rng)
    dividends = _resampled_medians(np.asarray(new, dtype=np.float64), rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = _interval(dividends / divisors)
    return Estimate(float(after / before), low, high, min(len(old), len(new)))


def paired_median_ratio(old: Sequence[float], new: Sequence[float], rng: np.random.Generator) -> Estimate | None:
    """The median of new[i] / old[i] with its bootstrap interval over pairs: for calls that did the same thing, however
    much the calls differ among themselves. Pairs without a ratio (both failed, or nothing to divide by) are left
    out."""
    if len(old) != len(new):
        raise ValueError(f"{len(old)} and {len(new)} values are no pairs")
    before, after = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    usable = (before > 0) & ~(np.isinf(before) & np.isinf(after))
    if not usable.any():
        return None
    ratios = after[usable] / before[usable]
    low, high = _interval(_resampled_medians(ratios, rng))
    return Estimate(float(np.median(ratios)), low, high, len(ratios))


def paired_median_difference(
    base: Sequence[float], other: Sequence[float], rng: np.random.Generator
) -> Estimate | None:
    """The median of other[i] - base[i] with its bootstrap interval over pairs; pairs with a failure are left out."""
    if len(base) != len(other):
        raise ValueError(f"{len(base)} and {len(other)} values are no pairs")
    pairs = np.asarray([base, other], dtype=np.float64)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] == 0:
        return None
    differences = pairs[1] - pairs[0]
    low, high = _interval(_resampled_medians(differences, rng))
    return Estimate(float(np.median(differences)), low, high, len(differences))


def proportion(share: Share) -> Estimate | None:
    """hits / count with the Wilson score interval. None when there are no cases."""
    if share.count == 0:
        return None
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    n, p = share.count, share.hits / share.count
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Estimate(p, max(0.0, centre - half), min(1.0, centre + half), n)


def proportion_difference(old: Share, new: Share) -> Estimate | None:
    """new - old for independent shares, with Newcombe's hybrid score interval (Statistics in Medicine 17, 1998)."""
    before, after = proportion(old), proportion(new)
    if before is None or after is None:
        return None
    difference = after.value - before.value
    down = math.hypot(after.value - after.low, before.high - before.value)
    up = math.hypot(after.high - after.value, before.value - before.low)
    return Estimate(difference, difference - down, difference + up, min(old.count, new.count))


Verdict = Literal["faster", "slower", "no difference shown", "too few samples"]
MIN_SAMPLES = 8


def latency_verdict(ratio: Estimate | None) -> Verdict:
    """What an interval of median_ratio (new / old) says about times."""
    if ratio is None or ratio.count < MIN_SAMPLES:
        return "too few samples"
    if ratio.high < 1:
        return "faster"
    if ratio.low > 1:
        return "slower"
    return "no difference shown"


def _interpolated(ordered: npt.NDArray[np.float64], q: float) -> float:
    position = (len(ordered) - 1) * q
    below, above = ordered[math.floor(position)], ordered[math.ceil(position)]
    # Infinity times a share of zero would be nan.
    if below == above:
        return float(below)
    return float(below + (above - below) * (position - math.floor(position)))


def _resampled_medians(values: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """float64[RESAMPLES], made in blocks so that memory stays bounded."""
    rows = max(1, min(RESAMPLES, _BLOCK_VALUES // len(values)))
    blocks = []
    for start in range(0, RESAMPLES, rows):
        picks = rng.integers(0, len(values), (min(rows, RESAMPLES - start), len(values)))
        blocks.append(np.median(values[picks], axis=1))
    return np.concatenate(blocks)


def _interval(resampled: npt.NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.nanpercentile(resampled, [tail, 100 - tail], method="nearest")
    return float(low), float(high)
