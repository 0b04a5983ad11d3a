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
def test_scan_codes(benchmark: BenchmarkFixture, rows: int, share: float) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, (rows, WIDTH), dtype=np.int8)
    scales = rng.random(rows).astype(np.float32)
    queries = itertools.cycle(rng.integers(-127, 128, (8, WIDTH), dtype=np.int8))
    chosen = [np.flatnonzero(rng.random(rows) < share).astype(np.int32) for _ in range(8)]
    candidates = itertools.cycle(chosen)
    scores, found = np.empty(KEPT, np.float32), np.empty(KEPT, np.int32)

    def scan() -> int:
        return kernels.scan_codes(codes, scales, next(queries), next(candidates), scores, found)

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
