"""Measures the planner's thresholds on the index of a data directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import index
import kernels
from index.generations import REGISTER_FILE
from index.manifest import MANIFEST_FILE, read_manifest
from index.storage import replace_file
from index.tuning import NothingToMeasure, Tuning, measure
from server.domain.errors import DependencyUnavailable


def tune(directory: Path, copies: Path, options: index.IndexOptions) -> tuple[Tuning, Path]:
    """Measures for some seconds; returns also what was measured on: the serving generation, or the newest of `copies`
    while a server has the index open. Blocks.

    Raises DependencyUnavailable, which says what to do, if there is neither, or nothing to measure.
    """
    kernels.warm_up()
    try:
        with _opened(directory, copies, options) as (snapshot, path):
            return measure(snapshot, options), path
    except (index.HybridIndexError, OSError, NothingToMeasure) as error:
        raise DependencyUnavailable("the index", str(error)) from error


def write_thresholds(file: Path, thresholds: index.PlannerThresholds) -> None:
    """As settings, to be read at the next start. A crash leaves the old file or the new one."""
    text = (
        "# Measured by `pinakes tune`. The environment and --config win over it; without it the defaults hold.\n"
        "[index.index.planner_thresholds]\n"
        f"flat_rows = {thresholds.flat_rows}\n"
        f"walk_share = {thresholds.walk_share}\n"
    )
    replace_file(file, text.encode())


@contextmanager
def _opened(directory: Path, copies: Path, options: index.IndexOptions) -> Iterator[tuple[index.Snapshot, Path]]:
    if not (directory / REGISTER_FILE).exists():
        raise DependencyUnavailable("the index", f"{directory} holds none; start the server and ingest documents first")
    try:
        # Of an index that is there, these are its own.
        generations = index.Generations.open(directory, dimension=1, fingerprint="", options=options)
    except index.IndexLocked:
        with _newest(copies, options) as copy:
            yield copy
    else:
        with generations:
            yield generations.snapshot(), directory / generations.serving.name


@contextmanager
def _newest(copies: Path, options: index.IndexOptions) -> Iterator[tuple[index.Snapshot, Path]]:
    manifests = sorted(copies.glob(f"*/{MANIFEST_FILE}"), key=lambda path: path.stat().st_mtime)
    if not manifests:
        raise DependencyUnavailable(
            "the index",
            "a server has it open: make a copy first with `pinakes index snapshot NAME`, or stop the server",
        )
    path = manifests[-1].parent
    manifest = read_manifest(path)
    assert manifest is not None, "it was there a moment ago"
    opened = index.HybridIndex.open(
        path, dimension=manifest.dimension, fingerprint=manifest.fingerprint, options=options
    )
    with opened:
        yield opened.snapshot(), path
