"""What is done with a contender in its own process; called through `processes.Worker`."""

from __future__ import annotations

import functools
import gc
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.suites.index.contenders import CONTENDERS, Contender, VectorIndex

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class Timed(NamedTuple):
    """rows: int64[q, k], -1 where fewer were found; `seconds` for all of them."""

    seconds: float
    rows: Rows


@dataclass
class Bench:
    contender: Contender
    index: VectorIndex | None = None
    queries: Floats | None = None
    filters: list[Any] | None = None


def make(name: str) -> Bench:
    contender = next(each for each in CONTENDERS if each.name == name)
    contender.prepare()
    return Bench(contender)


def maker(name: str) -> Callable[[], Bench]:
    return functools.partial(make, name)


def build(bench: Bench, vectors: Path, rows: int, threads: int) -> float:
    """Seconds; the vectors are in memory before, and the index after."""
    floats = np.array(np.load(vectors, mmap_mode="r")[:rows])
    bench.index = None
    with _no_garbage_collection():
        began = time.perf_counter()
        bench.index = bench.contender.build(floats, threads)
        return time.perf_counter() - began


def save(bench: Bench, folder: Path) -> None:
    """Whole or not at all."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _index(bench).save(partial)
    partial.replace(folder)


def load(bench: Bench, folder: Path) -> None:
    bench.index = bench.contender.open(folder)


def open_and_ask(bench: Bench, folder: Path, query: Floats, k: int, mapped: bool) -> float:
    """Seconds from nothing to the first answer."""
    opener = bench.contender.open_mapped if mapped else bench.contender.open
    assert opener is not None
    with _no_garbage_collection():
        began = time.perf_counter()
        bench.index = opener(folder)
        bench.index.search(query, k, max(k, 64))
        return time.perf_counter() - began


def set_queries(bench: Bench, queries: Floats) -> None:
    bench.queries = queries


def set_filters(bench: Bench, masks: Path, count: int) -> None:
    """The first `count` of uint64[m, words]."""
    words = np.load(masks, mmap_mode="r")
    bench.filters = [_index(bench).filter(np.array(words[number])) for number in range(count)]


def one_by_one(bench: Bench, k: int, effort: int) -> Timed:
    """One query a call."""
    index, queries = _index(bench), _queries(bench)
    with _no_garbage_collection():
        began = time.perf_counter()
        found = [index.search(query, k, effort) for query in queries]
        seconds = time.perf_counter() - began
    return Timed(seconds, _padded(found, k))


def all_at_once(bench: Bench, k: int, effort: int) -> Timed:
    """All queries in one call."""
    index, queries = _index(bench), _queries(bench)
    with _no_garbage_collection():
        began = time.perf_counter()
        found = index.search_many(queries, k, effort)
        seconds = time.perf_counter() - began
    return Timed(seconds, found)


def filtered(bench: Bench, k: int, effort: int, count: int) -> Timed:
    """The first `count` queries one by one, the i-th with the i-th filter."""
    index, queries, filters = _index(bench), _queries(bench)[:count], (bench.filters or [])[:count]
    with _no_garbage_collection():
        began = time.perf_counter()
        found = [index.search_filtered(query, k, effort, each) for query, each in zip(queries, filters, strict=True)]
        seconds = time.perf_counter() - began
    return Timed(seconds, _padded(found, k))


def resident_bytes(bench: Bench) -> int:
    """Pages of this process that are in memory, its share of those that others use, too (Pss); mapped files count as
    far as their pages were touched."""
    gc.collect()
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/smaps_rollup has no Pss")


def serve_queries(bench: Bench, queries: Path, count: int, k: int, effort: int) -> None:
    """Answers `count` queries, from the start again when there are fewer."""
    floats = np.load(queries, mmap_mode="r")
    for number in range(count):
        _index(bench).search(np.array(floats[number % len(floats)]), k, effort)


def _index(bench: Bench) -> VectorIndex:
    assert bench.index is not None, "build or load first"
    return bench.index


def _queries(bench: Bench) -> Floats:
    assert bench.queries is not None, "set the queries first"
    return bench.queries


def _padded(found: list[Rows], k: int) -> Rows:
    rows = np.full((len(found), k), -1, np.int64)
    for line, each in zip(rows, found, strict=True):
        line[: len(each)] = each
    return rows


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
