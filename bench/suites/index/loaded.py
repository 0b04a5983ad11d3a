"""Stores filled with entries, kept on disk between runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.suites.index import store_work
from bench.suites.index.collection import Collection
from bench.suites.index.crew import INDEX_SOURCES, remove_stale, source_digest
from bench.suites.index.entries import Entry
from bench.suites.index.processes import PROJECT, Worker
from bench.suites.index.stores import PINAKES, STORES, StoreKind

_LOAD_SECONDS_FILE = "load-seconds"
_STORE_FOLDER = "store"
_PEERS_LOCK = PROJECT / "requirements" / "peers.txt"


def chosen_stores(names: Sequence[str]) -> list[StoreKind]:
    """Those whose environment is there. Raises ValueError for a name that no store has."""
    unknown = set(names) - {each.name for each in STORES}
    if unknown:
        raise ValueError(f"no store is called {', '.join(sorted(unknown))}")
    return [each for each in STORES if each.name in names and each.python.exists()]


def loaded(
    kind: StoreKind, collection: Collection, entries: Sequence[Entry], what: str, limit_s: float
) -> tuple[Path, float]:
    """The store's folder and the seconds that it took to fill; filled if there is none. what: names the entries.
    Raises TooSlow, WorkerFailed."""
    folder = _folder(kind, collection, len(entries), what)
    if not folder.exists():
        remove_stale(folder)
        print(f"loading {len(entries):,} passages into {kind.name}", flush=True)
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        try:
            with Worker(kind.python, store_work.maker(kind.name)) as worker:
                seconds = worker.call_within(
                    limit_s, store_work.load, partial / _STORE_FOLDER, entries, collection.vectors_path
                )
            (partial / _LOAD_SECONDS_FILE).write_text(repr(seconds))
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        print(f"  {seconds:.0f} s", flush=True)
    return folder / _STORE_FOLDER, float((folder / _LOAD_SECONDS_FILE).read_text())


def is_loaded(kind: StoreKind, collection: Collection, rows: int, what: str) -> bool:
    """Whether `loaded` would find the store filled."""
    return _folder(kind, collection, rows, what).exists()


def _folder(kind: StoreKind, collection: Collection, rows: int, what: str) -> Path:
    digest = hashlib.sha256(json.dumps(dict(kind.configuration), sort_keys=True).encode())
    digest.update(source_digest(INDEX_SOURCES).encode() if kind.name == PINAKES else _PEERS_LOCK.read_bytes())
    name = "".join(character if character.isalnum() else "-" for character in kind.name.lower())
    return collection.folder / "stores" / f"{name}-{what}-{rows}-{digest.hexdigest()[:12]}"


def pinakes() -> StoreKind:
    return next(each for each in STORES if each.name == PINAKES)
