"""Contenders over the same vectors, each in its process, with indexes kept on disk between runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from bench.suites.index import dense_work
from bench.suites.index.collection import Collection
from bench.suites.index.contenders import CONTENDERS, Contender
from bench.suites.index.dense_work import Bench
from bench.suites.index.processes import OWN_PYTHON, PROJECT, Worker

DENSE_SOURCES = ("index/dense", "index/storage.py", "kernels", "bench/suites/index/pinakes_dense.py")
INDEX_SOURCES = ("index", "kernels")
_PEERS_LOCK = PROJECT / "requirements" / "peers.txt"

Crew = Mapping[str, Worker[Bench]]
T = TypeVar("T")


def chosen(names: Sequence[str]) -> list[Contender]:
    """Those whose environment is there. Raises ValueError for a name that no contender has."""
    unknown = set(names) - {each.name for each in CONTENDERS}
    if unknown:
        raise ValueError(f"no contender is called {', '.join(sorted(unknown))}")
    return [each for each in CONTENDERS if each.name in names and each.present]


@contextmanager
def crew(contenders: Sequence[Contender], collection: Collection, rows: int) -> Iterator[Crew]:
    """All of them with an index of the first `rows` vectors, ready to search."""
    with ExitStack() as stack:
        workers = {}
        for contender in contenders:
            folder = built(contender, collection, rows)
            worker = workers[contender.name] = stack.enter_context(
                Worker(contender.python, dense_work.maker(contender.name))
            )
            worker.call(dense_work.load, folder)
        yield workers


def built(contender: Contender, collection: Collection, rows: int) -> Path:
    """The folder of an index of the first `rows` vectors; built by all cores if there is none."""
    folder = collection.folder / "indexes" / f"{_slug(contender.name)}-{rows}-{_version(contender)}"
    if not folder.exists():
        remove_stale(folder)
        print(f"building {contender.name} over {rows:,} vectors", flush=True)
        began = time.monotonic()
        with Worker(contender.python, dense_work.maker(contender.name)) as worker:
            worker.call(dense_work.build, collection.vectors_path, rows, len(os.sched_getaffinity(0)))
            worker.call(dense_work.save, folder)
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return folder


def in_turns(items: Sequence[T], rounds: int, do: Callable[[int, T], None]) -> None:
    """Every item once per round; the order turns around from round to round, so that neither a drift of the machine nor
    being second favours one."""
    for number in range(rounds):
        for item in items if number % 2 == 0 else reversed(items):
            do(number, item)


def remove_stale(folder: Path) -> None:
    """Deletes what was made of the same thing by another version, whose digest ends the name."""
    for stale in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
        shutil.rmtree(stale)


def source_digest(names: Sequence[str]) -> str:
    """Of the sources that decide what an index of ours looks like: files, or folders of them."""
    digest = hashlib.sha256()
    for name in names:
        path = PROJECT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _version(contender: Contender) -> str:
    if contender.python == OWN_PYTHON:
        return source_digest(DENSE_SOURCES)
    digest = hashlib.sha256(json.dumps(dict(contender.configuration), sort_keys=True).encode())
    digest.update(_PEERS_LOCK.read_bytes())
    return digest.hexdigest()[:12]


def _slug(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name.lower())
