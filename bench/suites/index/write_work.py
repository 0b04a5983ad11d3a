"""What is done with Pinakes' hybrid index while it changes, in a process of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.suites.index.entries import Ask, Entry
from bench.suites.index.store_pinakes import PinakesStore, prepare, upsert

if TYPE_CHECKING:
    from index import Fusion, HybridIndex, Upsert

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_LARGEST_BATCH = 512
_REBUILDS = 2
_ANY_READER = "asker"


class Searched(NamedTuple):
    """Seconds from the start; `latency_s` counts from the schedule."""

    scheduled_s: float
    sent_s: float
    latency_s: float
    error: str


class Upserted(NamedTuple):
    searches: list[Searched]
    written: int
    seconds: float
    rebuilds: int


@dataclass
class Changing:
    """An index that changes. `written` counts the upserts so far."""

    store: PinakesStore | None = None
    vectors: Floats | None = None
    queries: Floats | None = None
    written: int = 0


def make() -> Changing:
    prepare()
    return Changing()


def open_index(changing: Changing, folder: Path, vectors: Path, queries: Path) -> None:
    changing.store = PinakesStore(folder)
    changing.vectors = np.load(vectors, mmap_mode="r")
    changing.queries = np.load(queries, mmap_mode="r")


def close_index(changing: Changing) -> None:
    _index(changing).close()


def search_while_upserting(
    changing: Changing,
    asks: Sequence[Ask],
    schedule: Sequence[float],
    entries: Sequence[Entry],
    rate_per_s: float,
    apply_every_s: float,
    commit_every_s: float,
    threads: int,
    limit: int,
) -> Upserted:
    """Searches at the times of `schedule`, while `entries` are upserted at a steady rate (0: not at all) as the server
    does it: one writer, which applies what has become due and commits now and then, and two threads that rebuild what
    is due after a commit.

    Returns when the last search has; rebuilds that still run then are waited for.
    """
    store, queries = changing.store, changing.queries
    assert store is not None and queries is not None, "open the index first"
    vectors = [np.array(queries[ask.number]) for ask in asks]
    searches: list[Searched] = []
    writer = _Writer(changing, entries, rate_per_s, apply_every_s, commit_every_s)
    origin = time.perf_counter()

    def search(place: int, due: float) -> None:
        sent, error = time.perf_counter() - origin, ""
        try:
            store.search(asks[place % len(asks)], vectors[place % len(asks)], limit)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is a failed call
            error = f"{type(exc).__name__}: {exc}"[:200]
        searches.append(Searched(due, sent, time.perf_counter() - origin - due, error))

    with ThreadPoolExecutor(threads, "searcher") as searchers:
        if rate_per_s:
            writer.start()
        for place, due in enumerate(schedule):
            time.sleep(max(0.0, origin + due - time.perf_counter()))
            searchers.submit(search, place, due)
    seconds = time.perf_counter() - origin
    written = writer.stop()
    return Upserted(sorted(searches), written, seconds, writer.rebuilds)


class _Writer:
    """Writes in a thread, rebuilds in two others (heads need not wait for a merge of segments), under one lock: the
    index has one owner at a time."""

    def __init__(
        self,
        changing: Changing,
        entries: Sequence[Entry],
        rate_per_s: float,
        apply_every_s: float,
        commit_every_s: float,
    ) -> None:
        self.rebuilds = 0
        self._changing = changing
        self._index = _index(changing)
        self._entries = entries
        self._rate_per_s = rate_per_s
        self._apply_every_s = apply_every_s
        self._commit_every_s = commit_every_s
        self._owning = threading.Lock()
        self._stopping = threading.Event()
        self._written = 0
        self._thread = threading.Thread(target=self._write, name="writer")
        self._rebuilders: list[threading.Thread] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> int:
        """How many were written."""
        self._stopping.set()
        for thread in (self._thread, *self._rebuilders):
            if thread.ident is not None:
                thread.join()
        return self._written

    def _write(self) -> None:
        began = committed = time.perf_counter()
        while not self._stopping.wait(self._apply_every_s):
            now = time.perf_counter()
            due = int((now - began) * self._rate_per_s) - self._written
            while due > 0 and not self._stopping.is_set():
                count = min(due, _LARGEST_BATCH)
                self._apply(count)
                due -= count
            if now - committed >= self._commit_every_s:
                committed = now
                with self._owning:
                    self._index.commit()
                self._start_rebuilding()

    def _apply(self, count: int) -> None:
        vectors = self._changing.vectors
        assert vectors is not None
        with self._owning:
            position = self._index.position
            operations: list[Upsert] = []
            for number in range(self._changing.written, self._changing.written + count):
                entry = self._entries[number % len(self._entries)]
                operations.append(upsert(entry, vectors[entry.number], position + len(operations) + 1))
            self._index.apply(operations)
        self._changing.written += count
        self._written += count

    def _start_rebuilding(self) -> None:
        self._rebuilders = [each for each in self._rebuilders if each.is_alive()]
        for _ in range(_REBUILDS - len(self._rebuilders)):
            self._rebuilders.append(threading.Thread(target=self._rebuild, name="rebuilder"))
            self._rebuilders[-1].start()

    def _rebuild(self) -> None:
        while True:
            with self._owning:
                rebuild = self._index.plan_rebuild()
            if rebuild is None:
                return
            try:
                rebuild.run()
            finally:
                with self._owning:
                    self._index.install(rebuild)
                    self.rebuilds += 1


def replace_entries(changing: Changing, removed: Sequence[int], added: Sequence[Entry]) -> None:
    """Removes entries by number, adds others, and commits."""
    from index import Remove

    index, vectors = _index(changing), changing.vectors
    assert vectors is not None
    index.apply([Remove(index.position + at, str(number)) for at, number in enumerate(removed, start=1)])
    start = index.position
    index.apply([upsert(each, vectors[each.number], start + at) for at, each in enumerate(added, start=1)])
    index.commit()


def compact(changing: Changing) -> None:
    _index(changing).compact()


def nearest(changing: Changing, tenant: str, numbers: Rows, k: int) -> Rows:
    """int64[q, k]: for each of these queries the entries that the index finds by vector; -1 where there are fewer."""
    from index import Filter, Reader, SearchRequest

    snapshot, queries = _index(changing).snapshot(), changing.queries
    assert queries is not None
    found = np.full((len(numbers), k), -1, np.int64)
    for line, number in zip(found, numbers, strict=True):
        request = SearchRequest(Filter(Reader(tenant, _ANY_READER)), limit=k, vector=np.array(queries[number]))
        hits = [int(hit.chunk_id) for hit in snapshot.search(request).hits]
        line[: len(hits)] = hits
    return found


def ranked(changing: Changing, asks: Sequence[Ask], ranking: str, weight: float, limit: int) -> list[list[int]]:
    """For each question the entries in the order of one ranking: `dense`, `lexical`, or a fusion's name."""
    import index as package
    from index import Filter, Reader, SearchRequest

    fusions: dict[str, Fusion] = {
        "RRF": package.ReciprocalRankFusion(),
        "convex": package.ConvexFusion(weight),
        "distribution": package.DistributionFusion(),
    }
    snapshot, queries = _index(changing).snapshot(), changing.queries
    assert queries is not None
    found = []
    for ask in asks:
        request = SearchRequest(
            Filter(Reader(ask.tenant, _ANY_READER)),
            limit=limit,
            vector=None if ranking == "lexical" else np.array(queries[ask.number]),
            text=None if ranking == "dense" else ask.text,
            fusion=fusions.get(ranking, fusions["RRF"]),
            candidates=limit,
        )
        found.append([int(hit.chunk_id) for hit in snapshot.search(request).hits])
    return found


def _index(changing: Changing) -> HybridIndex:
    assert changing.store is not None, "open the index first"
    return changing.store.index
