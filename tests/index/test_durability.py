"""Crashes at every step, damaged files, wrong owners, and bytes that must be gone."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import (
    Analyzer,
    Filter,
    HybridIndex,
    IndexCorrupt,
    IndexLocked,
    IndexMismatch,
    IndexOptions,
    InvalidOperation,
    Operation,
    Reader,
    Remove,
    SearchRequest,
    SearchStopped,
)
from index import journal as journal_module
from index import segment as segment_module
from index.segment import ROWS_FILE
from index.storage import read_arrays, write_arrays
from index.strings import PackedTexts
from tests.index.conftest import Open
from tests.index.endless_writer import operation_at
from tests.index.model import DIMENSION, FINGERPRINT, Model, check_search, chunk, query_vector

ROOT = Path(__file__).parents[2]
EVERYONE = Filter(Reader("t1", "alice"))
SMALL = IndexOptions(seal_rows=3, merge_width=2)


class Crash(BaseException):
    pass


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], int]:
    """Lets the `step`-th durable action (fsync or rename) fail before it happens; returns how many were tried."""
    tried = 0

    def before(real: Callable[..., object]) -> Callable[..., object]:
        def stand_in(*arguments: object) -> object:
            nonlocal tried
            tried += 1
            if tried >= step:
                raise Crash
            return real(*arguments)

        return stand_in

    monkeypatch.setattr(os, "fsync", before(os.fsync))
    monkeypatch.setattr(Path, "replace", before(Path.replace))
    return lambda: tried


def drain(index: HybridIndex) -> None:
    while index.maintain():
        pass


ACTIONS: dict[str, tuple[IndexOptions, Callable[[HybridIndex], object]]] = {
    "journal": (IndexOptions(), HybridIndex.commit),
    "freeze": (SMALL, HybridIndex.commit),
    "seal at once": (replace(SMALL, max_frozen_heads=0), HybridIndex.commit),
    "seal and merge": (SMALL, drain),
    "compact": (IndexOptions(), HybridIndex.compact),
    "compact in steps": (SMALL, lambda index: compact_in_steps(index)),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_crash_at_any_step_leaves_the_old_state_or_the_new(
    action: str, tmp_path: Path, analyzer: Analyzer, open_index: Open
) -> None:
    options, act = ACTIONS[action]
    before = open_index("before", options)
    model = Model(analyzer)
    for start in (1, 6):
        operations: list[Operation] = [
            chunk(position, f"chunk-{position}", text="apple 東京") for position in range(start, start + 5)
        ]
        before.apply(operations)
        before.commit()
        model.apply(operations)
    before.close()
    changes: list[Operation] = [
        Remove(11, "chunk-1"),
        chunk(12, "chunk-7", text="pear"),
        chunk(13, "chunk-new", text="apple"),
    ]
    after = model.copy()
    after.apply(changes)

    outcomes = set()
    for step in range(1, 100):
        path = tmp_path / f"crash-{step}"
        shutil.copytree(tmp_path / "before", path)
        index = open_index(path.name, options)
        index.apply(changes)
        with pytest.MonkeyPatch.context() as patch:
            tried = crash_at(patch, step)
            crashed = False
            try:
                act(index)
            except Crash:
                crashed = True
            assert crashed == (tried() >= step)
        shutil.copytree(path, tmp_path / f"restart-{step}")
        restarted = open_index(f"restart-{step}", options)
        outcomes.add(restarted.position)
        expected = {10: model, 13: after}[restarted.position]
        check_search(restarted.snapshot(), expected, EVERYONE, "apple 東京 pear", step, 5)
        act(index)  # the process lived on after all: trying again works
        check_search(index.snapshot(), after, EVERYONE, "apple 東京 pear", step, 5)
        index.close()
        again = open_index(path.name, options)
        check_search(again.snapshot(), after, EVERYONE, "apple 東京 pear", step, 5)
        if not crashed:
            break
    assert step > 2 and not crashed
    assert outcomes == {10, 13}


def test_a_killed_writer_loses_nothing_that_it_committed(tmp_path: Path, analyzer: Analyzer, open_index: Open) -> None:
    model = Model(analyzer)
    for _ in range(2):
        enough = model.position + 40
        command = [sys.executable, "-m", "tests.index.endless_writer", str(tmp_path / "index")]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            while int(line := writer.stdout.readline()) < enough:
                pass
            writer.kill()
            committed = int((line + writer.stdout.read()).split(b"\n")[-2])
        index = open_index()
        assert index.position >= committed
        model.apply([operation_at(position) for position in range(1, index.position + 1)])
        check_search(index.snapshot(), model, EVERYONE, "apple 東京", committed, 30)
        index.close()


def filled(open_index: Open) -> HybridIndex:
    """Ten chunks in a segment with tombstones, eleven in another, ten in a frozen head, three in the head."""
    index = open_index(options=IndexOptions(seal_rows=10, max_dead_share=1.0))
    index.apply([chunk(position, f"chunk-{position}") for position in range(1, 11)])
    assert index.maintain()
    index.apply([Remove(11, "chunk-3"), *(chunk(position, f"chunk-{position}") for position in range(12, 23))])
    assert index.maintain()
    index.apply([chunk(position, f"chunk-{position}") for position in range(23, 33)])
    index.commit()
    index.apply([chunk(position, f"chunk-{position}") for position in range(33, 36)])
    index.commit()
    index.close()
    return index


def index_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != "lock")


@pytest.mark.parametrize("when", ["opening", "opening if small", "afterwards"])
def test_every_damaged_file_is_named(
    when: str, open_index: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(open_index)
    if when == "afterwards":
        monkeypatch.setattr(segment_module, "SMALL_FILE_BYTES", 0)
    options = IndexOptions(verify_checksums=when == "opening")
    names = [name for name in index_files(tmp_path / "index") if (tmp_path / "index" / name).stat().st_size]
    kinds = {"manifest", "journal", ROWS_FILE, "tombstones", "idx", "meta.json"}
    assert all(any(kind in name for name in names) for kind in kinds)
    for name in names:
        for damage in ("truncated", "flipped", "missing"):
            if (name, damage) == ("manifest", "missing"):
                continue  # that is an empty directory: see below
            shutil.rmtree(tmp_path / "damaged", ignore_errors=True)
            shutil.copytree(tmp_path / "index", tmp_path / "damaged")
            path = tmp_path / "damaged" / name
            content = bytearray(path.read_bytes())
            if damage == "missing":
                path.unlink()
            elif damage == "truncated":
                path.write_bytes(content[:-1])
            else:
                content[len(content) // 2] ^= 0x10
                path.write_bytes(content)
            with pytest.raises(IndexCorrupt) as caught:
                damaged = open_index("damaged", options)
                assert when == "afterwards", "found at once"
                try:
                    damaged.verify()
                finally:
                    damaged.close()
            assert caught.value.path == path


@pytest.mark.parametrize("bad", [-1, 10, 2**31 - 1])
def test_an_id_whose_row_is_not_there_is_damage(
    bad: int, open_index: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large files are used before their checksums are looked at."""
    filled(open_index)
    monkeypatch.setattr(segment_module, "SMALL_FILE_BYTES", -1)
    damaged = tmp_path / "index" / "segments" / "segment-00000002" / ROWS_FILE
    arrays = read_arrays(damaged)
    assert len(arrays["rows_by_hash"]) == 10
    damaged.unlink()
    write_arrays(damaged, {**arrays, "rows_by_hash": np.full(10, bad, np.int32)})
    index = open_index()
    with pytest.raises(IndexCorrupt, match=f"row {bad} of 10") as caught:
        index.apply([Remove(36, "chunk-1")])
    assert (caught.value.path, index.position) == (damaged, 35)


@pytest.mark.parametrize("file", ["rows", "tombstones", "journal"])
@pytest.mark.parametrize("problem", [errno.EMFILE, errno.EACCES, errno.ENOMEM])
def test_a_file_that_cannot_be_opened_now_is_not_corrupt(
    problem: int, file: str, open_index: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes it for corrupt deletes an index that is whole."""
    filled(open_index)
    monkeypatch.setattr(segment_module, "SMALL_FILE_BYTES", -1)
    really_open = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name.startswith(file):
            raise OSError(problem, os.strerror(problem), str(path))
        return really_open(path, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        with pytest.raises(OSError, match=file) as caught:
            open_index()
    assert caught.value.errno == problem
    assert len(open_index().snapshot().live_rows()) == 4


def test_sizes_are_checked_even_without_checksums(open_index: Open, tmp_path: Path) -> None:
    filled(open_index)
    for path in (tmp_path / "index").rglob(ROWS_FILE):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IndexCorrupt, match="bytes instead of"):
        open_index(options=IndexOptions(verify_checksums=False))


def test_without_a_manifest_the_index_starts_empty_and_clean(open_index: Open, tmp_path: Path) -> None:
    filled(open_index)
    (tmp_path / "index" / "manifest").unlink()
    index = open_index()
    assert index.position == 0
    assert index_files(tmp_path / "index") == ["journal-00000000", "manifest"]


def test_strays_are_removed(open_index: Open, tmp_path: Path) -> None:
    filled(open_index)
    root = tmp_path / "index"
    good = index_files(root)
    segment = next((root / "segments").iterdir())
    for name in (
        "manifest.new",
        "journal-00000099",
        "segments/segment-00000099/rows",
        f"{segment}/tombstones-00000099",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"stray")
    open_index()
    assert index_files(root) == good


def test_what_was_not_committed_is_gone_and_comes_again(open_index: Open) -> None:
    index = open_index()
    index.apply([chunk(1, "a")])
    index.commit()
    index.apply([chunk(2, "b")])
    index.close()
    again = open_index()
    assert (again.position, again.committed_position) == (1, 1)
    again.apply([chunk(1, "ignored"), chunk(2, "b")])
    result = again.snapshot().search(SearchRequest(EVERYONE, 10, vector=query_vector(0)))
    assert (result.position, {hit.chunk_id for hit in result.hits}) == (2, {"a", "b"})


ERASING: dict[str, Callable[[HybridIndex], object]] = {
    "compact": HybridIndex.compact,
    "merge_all": HybridIndex.merge_all,
    "in the background": lambda index: compact_in_steps(index),
}


def compact_in_steps(index: HybridIndex) -> None:
    up_to = index.position
    index.commit()
    while rebuild := index.plan_compaction(up_to):
        rebuild.run()
        index.install(rebuild)


def vector_bytes(rows_file: Path, chunk_id: str) -> list[bytes]:
    """What a segment has of a chunk's vector, in whatever arrays."""
    arrays = read_arrays(rows_file)
    ids = PackedTexts(arrays["chunk_id.offsets"], arrays["chunk_id.content"])
    (row,) = (number for number in range(len(ids)) if ids[number] == chunk_id)
    of_rows = [array for array in arrays.values() if array.ndim == 2 and len(array) == len(ids)]
    return [array[row].tobytes() for array in of_rows if array[row].nbytes >= 4 * DIMENSION]


@pytest.mark.parametrize("erase", ERASING)
def test_erasure_takes_every_byte(erase: str, open_index: Open, tmp_path: Path) -> None:
    """From a segment, the journal of a frozen head and that of the head; `old` has a version in each."""
    index = open_index(options=IndexOptions(seal_rows=5, max_dead_share=1.0))
    secret = chunk(3, "chunk-secret", text="zzmarkerword", heading="zzmarkerheading", owner="zzmarkerowner", seed=101)
    old = [chunk(position, "chunk-old", text=f"zzmarkerversion{position}", seed=position) for position in (7, 13, 14)]
    markers = [b"zzmarker", b"chunk-secret", b"frozen-9", *(each.vector.tobytes() for each in (secret, *old))]

    def remaining() -> set[int]:
        contents = [(tmp_path / "index" / name).read_bytes() for name in index_files(tmp_path / "index")]
        return {number for number, each in enumerate(markers) if any(each in content for content in contents)}

    index.apply([chunk(1, "a"), chunk(2, "b"), secret, chunk(4, "c"), chunk(5, "d"), chunk(6, "e"), old[0]])
    index.commit()
    seen = remaining()
    index.maintain()
    (rows_file,) = (tmp_path / "index").rglob(ROWS_FILE)
    for chunk_id in ("chunk-secret", "chunk-old"):
        markers += vector_bytes(rows_file, chunk_id)
    assert len(markers) >= 11
    index.apply([*(chunk(position, f"frozen-{position}") for position in range(8, 13)), old[1]])
    index.commit()
    index.apply([old[2], Remove(15, "frozen-9"), Remove(16, "d")])
    index.commit()
    assert len(list((tmp_path / "index").glob("journal-*"))) == 2
    assert seen | remaining() == set(range(len(markers)))
    index.apply([Remove(17, "chunk-secret"), chunk(18, "chunk-old", text="new", seed=103)])
    index.commit()
    assert {0, 1, 2} <= remaining()
    held = [index.holds_removed]
    ERASING[erase](index)
    assert remaining() == set()
    assert [*held, index.holds_removed] == [True, False]
    result = index.snapshot().search(SearchRequest(EVERYONE, 10, text="zzmarkerword zzmarkerversion14 new"))
    assert [hit.chunk_id for hit in result.hits] == ["chunk-old"]


def test_a_compaction_in_steps_ends_while_removals_go_on(open_index: Open) -> None:
    index = open_index(options=IndexOptions(seal_rows=2, merge_width=100, max_dead_share=1.0))
    for start in range(1, 20, 2):
        index.apply([chunk(start, f"chunk-{start}"), chunk(start + 1, f"chunk-{start + 1}")])
        index.maintain()
    index.apply([Remove(30 + number, f"chunk-{number}") for number in range(1, 6)])
    up_to, steps = index.position, 0
    while rebuild := index.plan_compaction(up_to):
        rebuild.run()
        index.install(rebuild)
        steps += 1
        index.apply([Remove(index.position + 1, f"chunk-{20 - steps}")])
    assert steps == 4, "the head, whose journal names the removed, and three segments"
    assert index.holds_removed


def test_a_saved_copy_is_an_index_of_its_own(open_index: Open, tmp_path: Path, analyzer: Analyzer) -> None:
    index, model = open_index(options=SMALL), Model(analyzer)

    def change(*operations: Operation) -> None:
        index.apply(operations)
        model.apply(list(operations))

    change(*(chunk(position, f"chunk-{position}", text="apple") for position in range(1, 5)))
    index.maintain()
    change(*(chunk(position, f"chunk-{position}", text="pear") for position in range(5, 9)), Remove(9, "chunk-2"))
    index.commit()  # a frozen head
    change(chunk(10, "chunk-10"))
    rebuild = index.plan_rebuild()
    assert rebuild is not None
    rebuild.run()
    index.save_snapshot(tmp_path / "copies" / "saved")
    saved_model = model.copy()
    change(chunk(11, "chunk-1", text="new"), Remove(12, "chunk-5"))
    index.install(rebuild)
    index.compact()
    with pytest.raises(FileExistsError):
        index.save_snapshot(tmp_path / "copies" / "saved")
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["saved"]
    saved = open_index("copies/saved")
    saved.verify()
    check_search(saved.snapshot(), saved_model, EVERYONE, "apple pear new", 1, 9)
    saved.apply([chunk(11, "chunk-3", text="other")])
    saved.compact()
    check_search(index.snapshot(), model, EVERYONE, "apple pear new", 1, 9)
    index.verify()


@pytest.mark.parametrize("across", [False, True], ids=["links", "copies"])
def test_a_crash_while_saving_leaves_no_copy_or_a_whole_one(
    across: bool, open_index: Open, tmp_path: Path, analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(open_index)
    index = open_index()
    target = tmp_path / "saved"

    def refused(source: Path, link: Path) -> None:
        raise OSError(errno.EXDEV, "another file system")

    if across:
        monkeypatch.setattr(os, "link", refused)
    for step in range(1, 200):
        with pytest.MonkeyPatch.context() as patch:
            tried = crash_at(patch, step)
            with contextlib.suppress(Crash):
                index.save_snapshot(target)
        crashed = tried() >= step
        if target.exists():
            saved = open_index("saved", IndexOptions(verify_checksums=True))
            assert saved.position == index.position
            saved.close()
            shutil.rmtree(target)
        if not crashed:
            break
    assert not crashed and step > (30 if across else 10)
    links = {path.stat().st_nlink for path in (tmp_path / "index").rglob(ROWS_FILE)}
    assert links == {1}


def test_too_many_removed_rows_are_rebuilt_without_being_asked(open_index: Open, tmp_path: Path) -> None:
    index = open_index(options=IndexOptions(seal_rows=6))
    index.apply([chunk(position, f"chunk-{position}") for position in range(1, 7)])
    assert index.maintain() and not index.maintain()
    before = list((tmp_path / "index" / "segments").iterdir())
    index.apply([Remove(7, "chunk-1"), Remove(8, "chunk-2")])
    assert not index.maintain()
    assert list((tmp_path / "index" / "segments").iterdir()) == before
    index.apply([Remove(9, "chunk-3")])
    assert index.maintain()
    assert list((tmp_path / "index" / "segments").iterdir()) != before
    index.apply([Remove(position, f"chunk-{position - 6}") for position in range(10, 13)])
    assert index.maintain()
    assert list((tmp_path / "index" / "segments").iterdir()) == []


def test_changes_during_a_rebuild_are_kept(open_index: Open, analyzer: Analyzer, tmp_path: Path) -> None:
    index, model = open_index(options=IndexOptions(seal_rows=3, merge_width=2)), Model(analyzer)

    def change(*operations: Operation) -> None:
        index.apply(operations)
        model.apply(list(operations))

    for start in (1, 4):
        change(*(chunk(position, f"chunk-{position}", text="apple") for position in range(start, start + 3)))
        index.commit()
    rebuild = index.plan_rebuild()
    assert rebuild is not None and index.plan_rebuild() is None
    change(Remove(7, "chunk-1"))
    rebuild.run()
    change(*(chunk(position, f"chunk-{position - 4}", text="pear") for position in range(8, 11)))
    index.commit()  # seals, which must not sweep the new segment away
    change(Remove(11, "chunk-6"))
    index.install(rebuild)
    check_search(index.snapshot(), model, EVERYONE, "apple pear", 1, 9)
    assert [part.allowed for part in index.snapshot().search(SearchRequest(EVERYONE, 1, text="x")).parts] == [2, 2]
    index.close()
    check_search(open_index().snapshot(), model, EVERYONE, "apple pear", 1, 9)


def test_heads_wait_for_the_rebuild_that_was_planned_but_not_for_ever(open_index: Open) -> None:
    index = open_index(options=IndexOptions(seal_rows=1, max_frozen_heads=2))

    def heads_after(position: int) -> int:
        index.apply([chunk(position, f"chunk-{position}")])
        index.commit()
        return sum(part.name.startswith("head") for part in index.snapshot().parts)

    assert [heads_after(position) for position in range(1, 5)] == [1, 2, 0, 1]
    rebuild = index.plan_rebuild()
    assert rebuild is not None
    assert [heads_after(position) for position in range(5, 9)] == [2, 3, 4, 0]
    rebuild.run()
    index.install(rebuild)
    assert not rebuild.directory.exists(), "it came too late"
    assert len(index.snapshot().search(SearchRequest(EVERYONE, 10, vector=query_vector(0))).hits) == 8


def test_a_rebuild_that_failed_or_came_too_late_leaves_nothing(open_index: Open, tmp_path: Path) -> None:
    index = open_index(options=IndexOptions(seal_rows=2))
    index.apply([chunk(1, "a"), chunk(2, "b")])
    index.commit()
    index.apply([Remove(3, "a")])
    for late in (False, True):
        rebuild = index.plan_rebuild()
        assert rebuild is not None
        if late:
            rebuild.run()
            index.compact()
        index.install(rebuild)
        assert not rebuild.directory.exists()
        result = index.snapshot().search(SearchRequest(EVERYONE, 5, vector=query_vector(0)))
        assert [hit.chunk_id for hit in result.hits] == ["b"]
    assert len(list((tmp_path / "index" / "segments").iterdir())) == 1


def test_one_owner(open_index: Open) -> None:
    index = open_index()
    with pytest.raises(IndexLocked):
        open_index()
    index.close()
    open_index()


def test_other_vectors_are_refused(open_index: Open, tmp_path: Path, analyzer: Analyzer) -> None:
    open_index().close()
    with pytest.raises(IndexMismatch) as caught:
        open_index(fingerprint="other-model@1")
    assert (caught.value.what, caught.value.stored, caught.value.wanted) == (
        "fingerprint",
        FINGERPRINT,
        "other-model@1",
    )
    with pytest.raises(IndexMismatch, match="dimension"):
        HybridIndex.open(tmp_path / "index", dimension=DIMENSION + 1, fingerprint=FINGERPRINT, analyzer=analyzer)
    open_index()


@pytest.mark.parametrize("bad", [[0.0] * (DIMENSION + 1), [float("nan")] * DIMENSION, [float("inf")] * DIMENSION])
def test_a_bad_vector_refuses_the_batch(open_index: Open, bad: list[float]) -> None:
    index = open_index()
    wrong = chunk(2, "b")
    object.__setattr__(wrong, "vector", np.array(bad, np.float32))
    with pytest.raises(InvalidOperation) as caught:
        index.apply([chunk(1, "a"), wrong])
    assert (caught.value.position, index.position) == (2, 0)
    assert index.snapshot().search(SearchRequest(EVERYONE, 5, vector=query_vector(0))).hits == ()


def test_a_search_can_be_stopped_between_segments(open_index: Open) -> None:
    index = open_index()
    for position in (1, 2, 3):
        index.apply([chunk(position, f"chunk-{position}")])
        index.compact()
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 4

    with pytest.raises(SearchStopped):
        index.snapshot().search(SearchRequest(EVERYONE, 5, vector=query_vector(0), text="text"), stop)
    assert asked == 5


def test_a_torn_journal_record_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal_module.create(path)
    size = journal_module.append(
        path, 0, [journal_module.encode(Remove(1, "a")), journal_module.encode(Remove(2, "b"))]
    )
    assert list(journal_module.replay(path, size)) == [Remove(1, "a"), Remove(2, "b")]
    with pytest.raises(IndexCorrupt, match=r"cut off|damaged"):
        list(journal_module.replay(path, size - 3))
