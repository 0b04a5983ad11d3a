"""Filters as bitmaps: random ones, and ones that go with or against the query; with the exact neighbours under each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from bench.suites.index.collection import Collection
from bench.suites.index.truth import Truth
from bench.suites.index.workload import FilterKind, FilterPart, FiltersPlan

Words = npt.NDArray[np.uint64]
Bits = npt.NDArray[np.bool_]

_ANCHORS = 50
"""A correlated filter is centred on one of so many neighbours of its query."""


@dataclass(frozen=True, slots=True, eq=False)
class FilterSet:
    """masks: a file with uint64[m, ceil(n/64)]; truth: the nearest allowed rows of query i under mask i. `allowed`:
    rows that a mask leaves, in the median."""

    name: str
    masks: Path
    truth: Truth
    allowed: int

    def hits(self, found: npt.NDArray[np.int64]) -> int:
        """How many of int64[q, k], answers to the first q queries, are right."""
        return self.truth.first(len(found)).hits(found, np.load(self.masks, mmap_mode="r")[: len(found)])


def filter_sets(
    collection: Collection, asked: npt.NDArray[np.int64], plan: FiltersPlan, k: int, seed: int
) -> list[FilterSet]:
    """For each filter of the plan, one mask per query of `asked`; cached.

    `random`: any rows. `near`: those nearest to a neighbour of the query. `far`: those farthest from it.
    """
    rows = len(collection.vectors)
    alone = [(FilterPart(kind=kind, share=share),) for kind in plan.kinds for share in plan.shares]
    filters: dict[str, Sequence[FilterPart]] = {filter_name(parts): parts for parts in (*alone, *plan.conjunctions)}
    key = hashlib.sha256(repr((sorted(filters), rows, k, seed)).encode() + asked.tobytes()).hexdigest()[:16]
    folder = collection.folder / f"filters-{key}"
    if not (folder / "done").exists():
        _make(folder, filters, collection, asked, k, seed)
    return [_read(folder, name, collection, asked) for name in filters]


def filter_name(parts: Sequence[FilterPart]) -> str:
    """For example `near 1 %` or `random 50 % and far 20 %`."""
    return " and ".join(f"{part.kind} {part.share * 100:g} %" for part in parts)


def _make(
    folder: Path,
    filters: dict[str, Sequence[FilterPart]],
    collection: Collection,
    asked: npt.NDArray[np.int64],
    k: int,
    seed: int,
) -> None:
    vectors = np.array(collection.vectors)
    rows = len(vectors)
    neighbours = collection.neighbours(rows, asked, min(_ANCHORS, rows))
    rng = np.random.default_rng(seed)
    masks = {name: np.zeros((len(asked), -(-rows // 64)), np.uint64) for name in filters}
    true = {name: np.full((len(asked), k), -1, np.int64) for name in filters}
    for number in track(range(len(asked)), description="filters", transient=True):
        scores = vectors @ collection.queries[asked[number]]
        order = np.argsort(-(vectors @ vectors[rng.choice(neighbours[number])]))
        for name, parts in filters.items():
            allowed = np.logical_and.reduce([_BITS[part.kind](order, part.share, rng) for part in parts])
            packed = masks[name][number].view(np.uint8)
            packed[: -(-rows // 8)] = np.packbits(allowed, bitorder="little")
            best = _best(scores, np.flatnonzero(allowed), k)
            true[name][number, : len(best)] = best
    folder.mkdir(parents=True, exist_ok=True)
    for name in filters:
        np.save(folder / f"{name}.masks.npy", masks[name])
        np.save(folder / f"{name}.true.npy", true[name])
    (folder / "done").touch()


def _read(folder: Path, name: str, collection: Collection, asked: npt.NDArray[np.int64]) -> FilterSet:
    path = folder / f"{name}.masks.npy"
    counts = np.bitwise_count(np.load(path, mmap_mode="r")).sum(axis=1)
    truth = Truth(collection.vectors, collection.queries[asked], np.load(folder / f"{name}.true.npy"))
    return FilterSet(name, path, truth, int(np.median(counts)))


def _best(scores: npt.NDArray[np.float32], allowed: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    if len(allowed) > k:
        allowed = allowed[np.argpartition(-scores[allowed], k)[:k]]
    return allowed[np.argsort(-scores[allowed], kind="stable")]


def _random(order: npt.NDArray[np.int64], share: float, rng: np.random.Generator) -> Bits:
    bits = np.zeros(len(order), np.bool_)
    bits[rng.choice(len(order), _count(order, share), replace=False, shuffle=False)] = True
    return bits


def _near(order: npt.NDArray[np.int64], share: float, rng: np.random.Generator) -> Bits:
    bits = np.zeros(len(order), np.bool_)
    bits[order[: _count(order, share)]] = True
    return bits


def _far(order: npt.NDArray[np.int64], share: float, rng: np.random.Generator) -> Bits:
    return _near(order[::-1], share, rng)


def _count(order: npt.NDArray[np.int64], share: float) -> int:
    return max(1, round(len(order) * share))


_BITS: dict[FilterKind, Callable[[npt.NDArray[np.int64], float, np.random.Generator], Bits]] = {
    "random": _random,
    "near": _near,
    "far": _far,
}
