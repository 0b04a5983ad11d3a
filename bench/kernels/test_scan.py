"""What a row of a flat scan costs: 384 dimensions, in cache and from memory, all rows and a tenth of them.

Rows are chosen anew between rounds: the same ones for all would stay in the cache and flatter the scan.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import kernels

WIDTH = 384
KEPT = 100


@pytest.mark.parametrize("share", [1.0, 0.1])
@pytest.mark.parametrize("rows", [10_000, 100_000])
def test_scan_digits(benchmark: BenchmarkFixture, rows: int, share: float) -> None:
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 256, (rows, WIDTH // 2), dtype=np.uint8)
    scales = rng.random(rows).astype(np.float32)
    queries = itertools.cycle(rng.integers(-127, 128, (8, WIDTH), dtype=np.int8))
    chosen = [np.flatnonzero(rng.random(rows) < share).astype(np.int32) for _ in range(8)]
    candidates = itertools.cycle(chosen)
    pool = np.empty(KEPT, np.int64)

    def scan() -> int:
        return int(kernels.scan_digits(digits, scales, next(queries), next(candidates), pool))

    assert scan() == KEPT
    benchmark.extra_info["rows"] = int(rows * share)
    benchmark.pedantic(scan, rounds=100, iterations=1, warmup_rounds=10)  # type: ignore[no-untyped-call]
    if benchmark.stats is not None:
        benchmark.extra_info["ns_per_row"] = benchmark.stats.stats.median * 1e9 / (rows * share)


@pytest.mark.parametrize("name", ["dot_codes_portable", "dot_codes_vnni"])
def test_dot_of_codes(benchmark: BenchmarkFixture, name: str) -> None:
    if name == "dot_codes_vnni" and not kernels.HAS_VNNI:
        pytest.skip("no AVX512-VNNI")
    row, query = np.random.default_rng(0).integers(-127, 128, (2, WIDTH), dtype=np.int8)
    benchmark(getattr(kernels, name), row, query, kernels.sum_codes(query))


@pytest.mark.parametrize("name", ["dot_digits_portable", "dot_digits_vnni"])
def test_dot_of_digits(benchmark: BenchmarkFixture, name: str) -> None:
    if name == "dot_digits_vnni" and not kernels.HAS_VNNI:
        pytest.skip("no AVX512-VNNI")
    rng = np.random.default_rng(0)
    row, query = rng.integers(0, 256, WIDTH // 2, np.uint8), rng.integers(-127, 128, WIDTH, np.int8)
    benchmark(getattr(kernels, name), row, query)
