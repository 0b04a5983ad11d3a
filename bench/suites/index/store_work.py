"""What is done with a store in its own process; called through `processes.Worker`."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.suites.index.entries import Ask, Entry
from bench.suites.index.stores import STORES, HybridStore, StoreKind

Floats = npt.NDArray[np.float32]


class Called(NamedTuple):
    """The call that asked the question at `place` of those given; times are seconds from the common start."""

    place: int
    sent_s: float
    latency_s: float
    found: list[int]
    error: str


@dataclass
class Held:
    kind: StoreKind
    store: HybridStore | None = None
    asks: Sequence[Ask] = ()
    vectors: Floats | None = None


def make(name: str) -> Held:
    held = Held(next(each for each in STORES if each.name == name))
    held.kind.prepare()
    return held


def maker(name: str) -> Callable[[], Held]:
    return functools.partial(make, name)


def load(held: Held, folder: Path, entries: Sequence[Entry], vectors: Path) -> float:
    """Seconds; `folder` is new."""
    folder.mkdir(parents=True)
    floats = np.load(vectors, mmap_mode="r")
    began = time.perf_counter()
    held.kind.load(folder, entries, floats)
    return time.perf_counter() - began


def open_and_ask(held: Held, folder: Path, limit: int) -> float:
    """Seconds from nothing to the first answer; the questions are set before."""
    assert held.vectors is not None, "set the questions first"
    began = time.perf_counter()
    held.store = held.kind.open(folder)
    held.store.search(held.asks[0], held.vectors[0], limit)
    return time.perf_counter() - began


def set_asks(held: Held, asks: Sequence[Ask], queries: Path) -> None:
    held.asks = asks
    floats = np.load(queries, mmap_mode="r")
    held.vectors = np.stack([floats[ask.number] for ask in asks])


def call_concurrently(held: Held, places: Sequence[int], callers: int, limit: int, budget_s: float) -> list[Called]:
    """Asks the questions at these places; `callers` threads, each of which sends its next call when the one before has
    returned. No call is begun after `budget_s`."""
    store, vectors = held.store, held.vectors
    assert store is not None and vectors is not None, "open the store and set the questions first"
    called: list[Called] = []
    start = threading.Barrier(callers)
    origin = time.perf_counter()

    def caller(number: int) -> None:
        start.wait()
        for place in places[number::callers]:
            sent = time.perf_counter()
            if sent - origin > budget_s:
                return
            error, found = "", []
            try:
                found = store.search(held.asks[place], vectors[place], limit)
            except Exception as exc:  # noqa: BLE001 - whatever a store raises is a failed call
                error = f"{type(exc).__name__}: {exc}"[:200]
            called.append(Called(place, sent - origin, time.perf_counter() - sent, found, error))

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return called
