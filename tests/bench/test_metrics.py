"""Figures against known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics import (
    Estimate,
    Share,
    latency_verdict,
    median,
    median_ratio,
    paired_median_difference,
    paired_median_ratio,
    percentile,
    proportion,
    proportion_difference,
)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.sampled_from([5.0, 50.0, 90.0, 99.0]))
def test_percentile_is_numpys(values: list[float], percent: float) -> None:
    estimate = percentile(values, percent)
    assert estimate is not None
    assert estimate.value == pytest.approx(float(np.percentile(values, percent)), rel=1e-9, abs=1e-12)
    assert min(values) <= estimate.low <= estimate.high <= max(values)
    assert estimate.count == len(values)


def test_median_interval_is_that_of_the_binomial() -> None:
    """P(40 <= B(100, 1/2) <= 60) = .9648, and no narrower symmetric pair reaches .95."""
    estimate = median([float(value) for value in range(1, 101)])
    assert estimate == Estimate(50.5, 40, 61, 100)


def test_median_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        estimate = median(rng.exponential(1.0, 50).tolist())
        assert estimate is not None
        covered += estimate.low <= math.log(2) <= estimate.high
    assert 0.92 <= covered / 400 <= 0.99


def test_failures_are_infinitely_late() -> None:
    mostly_well = percentile([1.0] * 8 + [math.inf] * 2, 50)
    assert mostly_well is not None
    assert mostly_well.value == 1.0
    high = percentile([1.0] * 8 + [math.inf] * 2, 95)
    assert high is not None
    assert high.value == math.inf


def test_nothing_has_no_figure() -> None:
    rng = np.random.default_rng(0)
    assert median([]) is None
    assert proportion(Share(0, 0)) is None
    assert median_ratio([], [1.0], rng) is None
    assert median_ratio([1.0], [math.inf], rng) is None
    assert paired_median_difference([math.inf], [1.0], rng) is None


@pytest.mark.parametrize("percent", [0.0, 100.0, -1.0])
def test_percentile_refuses_the_ends(percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile([1.0], percent)


def test_median_ratio_finds_the_factor() -> None:
    rng = np.random.default_rng(11)
    old = rng.lognormal(0, 0.3, 400)
    new = rng.lognormal(math.log(1.5), 0.3, 400)
    ratio = median_ratio(old.tolist(), new.tolist(), rng)
    assert ratio is not None
    assert ratio.low < 1.5 < ratio.high
    assert ratio.high - ratio.low < 0.3
    assert latency_verdict(ratio) == "slower"


def test_median_ratio_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(60):
        ratio = median_ratio(rng.gamma(4, 1, 40).tolist(), rng.gamma(4, 1, 40).tolist(), rng)
        assert ratio is not None
        covered += ratio.low <= 1 <= ratio.high
    assert covered >= 52


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (None, "too few samples"),
        (Estimate(0.5, 0.4, 0.6, 7), "too few samples"),
        (Estimate(0.5, 0.4, 0.6, 8), "faster"),
        (Estimate(2.0, 1.1, 3.0, 8), "slower"),
        (Estimate(1.2, 0.9, 1.4, 8), "no difference shown"),
    ],
)
def test_verdict(ratio: Estimate | None, verdict: str) -> None:
    assert latency_verdict(ratio) == verdict


def test_paired_difference_sees_what_is_smaller_than_the_noise() -> None:
    rng = np.random.default_rng(2)
    base = rng.exponential(0.1, 200)
    other = base + 0.001 + rng.normal(0, 0.0002, 200)
    difference = paired_median_difference(base.tolist(), other.tolist(), rng)
    assert difference is not None
    assert 0.0009 < difference.low < 0.001 < difference.high < 0.0011


def test_paired_ratio() -> None:
    rng = np.random.default_rng(2)
    assert paired_median_ratio([1.0, 100.0, math.inf, 0.0], [2.0, 200.0, math.inf, 1.0], rng) == Estimate(2, 2, 2, 2)
    assert paired_median_ratio([math.inf], [math.inf], rng) is None
    failing = paired_median_ratio([1.0] * 3, [1.0, math.inf, math.inf], rng)
    assert failing is not None
    assert failing.value == math.inf
    with pytest.raises(ValueError, match="pairs"):
        paired_median_ratio([1.0], [], rng)


def test_paired_difference_leaves_failures_out_and_refuses_strangers() -> None:
    rng = np.random.default_rng(2)
    difference = paired_median_difference([1.0, math.inf, 2.0, 3.0], [2.0, 1.0, math.inf, 4.0], rng)
    assert difference == Estimate(1.0, 1.0, 1.0, 2)
    with pytest.raises(ValueError, match="pairs"):
        paired_median_difference([1.0], [1.0, 2.0], rng)


def test_proportion_is_wilsons() -> None:
    """Newcombe 1998, table 1: 81 of 263 and 0 of 20."""
    estimate = proportion(Share(81, 263))
    assert estimate is not None
    assert (estimate.low, estimate.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    none = proportion(Share(0, 20))
    assert none is not None
    assert (none.low, none.high) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_proportion_difference_is_newcombes() -> None:
    """Newcombe 1998 (part II), table II, method 10: 56/70 - 48/80 is .0524 to .3339."""
    difference = proportion_difference(Share(48, 80), Share(56, 70))
    assert difference is not None
    assert difference.value == pytest.approx(0.2)
    assert (difference.low, difference.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
