"""The port `PassageIndex` over the real index."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import index
from server.adapters.hybrid_passage_index import HybridPassageIndex, PassageIndexOptions
from server.adapters.index_generations import FollowedLog, HybridIndexGenerations
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, IndexBehind, Overloaded, StageDeadline
from server.domain.passages import (
    ConvexFusion,
    IndexedChunk,
    IndexQuery,
    LogEntry,
    ReciprocalRankFusion,
    SearchFilter,
    SearchMode,
)
from server.domain.principals import Principal
from tests.index.model import DIMENSION, query_vector

ALICE = Principal("t1", "alice", frozenset({"g1"}))
OPTIONS = PassageIndexOptions(search_threads=1, waiting_searches=1)


def entry(position: int, chunk_id: str, text: str = "apple", *, owner: str = "alice", language: str = "en") -> LogEntry:
    return LogEntry(
        position,
        chunk_id,
        IndexedChunk(
            chunk_id=chunk_id,
            document_id=f"d-{chunk_id}",
            tenant="t1",
            owner=owner,
            groups=("g2",),
            users=(),
            tenant_wide=False,
            tags=("red",),
            language=language,
            text=text,
            heading_path=("Part one", "Fruit"),
            first_page=1,
            last_page=1,
            created_unix_s=0,
            embedding=query_vector(position).astype("<f4").tobytes(),
        ),
    )


def query(
    text: str = "apple", mode: SearchMode = SearchMode.HYBRID, wanted: SearchFilter | None = None, limit: int = 5
) -> IndexQuery:
    return IndexQuery(ALICE, text, mode, ConvexFusion(0.5), wanted or SearchFilter(), limit)


def words_on_disk(directory: Path) -> set[str]:
    """Which of the marked words. (The analyzer keeps only the stems of words: these are their own.)"""
    contents = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    return {word.decode() for word in re.findall(rb"zzq(?:old|mid|new)", contents)}


async def open_index(
    path: Path, options: PassageIndexOptions = OPTIONS, log: FollowedLog | None = None, model: str = "model@1"
) -> HybridIndexGenerations:
    return await HybridIndexGenerations.open(path / "index", path / "copies", DIMENSION, model, options, log)


def serving(generations: HybridIndexGenerations) -> HybridPassageIndex:
    return generations.views()[generations.serving]


@pytest.fixture
async def passages(tmp_path: Path) -> AsyncIterator[HybridPassageIndex]:
    opened = await open_index(tmp_path)
    yield serving(opened)
    await opened.close()


async def test_it_finds_what_was_applied(passages: HybridPassageIndex) -> None:
    port = passages
    await port.apply([entry(1, "a"), entry(2, "b", "pear", language="ja"), entry(3, "hidden", owner="bob")])
    assert port.position == 3
    vector = query_vector(2)
    found = await port.search(query(), vector, Deadline.after(5))
    assert {hit.chunk_id for hit in found.hits} == {"a", "b"}
    assert (found.position, found.lexical_candidates, found.plans[0].plan) == (3, 1, "flat")
    by_id = {hit.chunk_id: hit for hit in found.hits}
    assert by_id["a"].lexical and by_id["a"].lexical.rank == 1 and by_id["b"].lexical is None
    assert by_id["b"].dense and by_id["b"].dense.score == pytest.approx(1.0, abs=1e-3)

    async def ids(asked: IndexQuery) -> set[str]:
        return {hit.chunk_id for hit in (await port.search(asked, vector, Deadline.after(5))).hits}

    assert await ids(query(mode=SearchMode.LEXICAL)) == {"a"}
    assert await ids(query("fruit", SearchMode.LEXICAL)) == {"a", "b"}
    assert await ids(query(mode=SearchMode.DENSE, limit=1)) == {"b"}
    assert await ids(query(wanted=SearchFilter(document_ids=("d-a", "d-hidden")))) == {"a"}
    assert await ids(query(wanted=SearchFilter(languages=("ja",), tags=("red",)))) == {"b"}
    by_rank = IndexQuery(ALICE, "apple", SearchMode.HYBRID, ReciprocalRankFusion(), SearchFilter(), 1)
    assert await ids(by_rank) == {"a"}
    await port.apply([LogEntry(4, "a", None), entry(4, "ignored")])
    assert await ids(query()) == {"b"}


async def test_it_comes_back_as_committed(tmp_path: Path) -> None:
    first = await open_index(tmp_path)
    await serving(first).apply([entry(1, "a")])
    await serving(first).commit()
    await serving(first).apply([entry(2, "b")])
    await first.close()
    second = await open_index(tmp_path)
    assert second.position == 1
    await serving(second).compact()
    found = await second.search(query(mode=SearchMode.LEXICAL), None, Deadline.after(5))
    assert [hit.chunk_id for hit in found.hits] == ["a"]
    await second.close()


async def test_segments_are_rebuilt_in_the_background(tmp_path: Path) -> None:
    options = PassageIndexOptions(index=index.IndexOptions(seal_rows=1, merge_width=2))
    opened = await open_index(tmp_path, options)
    passages = serving(opened)
    for position in range(1, 8):
        await passages.apply([entry(position, f"chunk-{position}")])
        await passages.commit()
        assert passages.position == position
    segments = tmp_path / "index" / passages.generation / "segments"
    async with asyncio.timeout(60):
        # Of 4, 2 and 1 rows.
        while len(list(segments.iterdir())) > 3 or len(passages.snapshot().parts) > 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await opened.close()
    await passages.verify()  # that it was closed is no damage
    again = await open_index(tmp_path, options)
    found = await again.search(query(limit=10), query_vector(1), Deadline.after(5))
    assert len(found.hits) == 7
    await again.close()


def endless(order: object) -> None:
    time.sleep(600)


async def test_closing_does_not_wait_for_a_large_rebuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.rebuilding.carry_out", endless)
    opened = await open_index(tmp_path, PassageIndexOptions(index=index.IndexOptions(seal_rows=1, helper_rows=1)))
    await serving(opened).apply([entry(1, "a")])
    await serving(opened).commit()
    async with asyncio.timeout(60):
        await opened.close()
    monkeypatch.undo()
    again = await open_index(tmp_path)
    found = await again.search(query(limit=10), query_vector(1), Deadline.after(5))
    assert [hit.chunk_id for hit in found.hits] == ["a"]
    await again.close()


async def test_changes_go_on_while_removed_chunks_leave_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "index"
    options = PassageIndexOptions(index=index.IndexOptions(seal_rows=3, max_dead_share=1.0))
    opened = await open_index(tmp_path, options)
    passages = serving(opened)
    started, go_on = asyncio.Event(), threading.Event()
    loop, run = asyncio.get_running_loop(), index.Rebuild.run

    def slow(self: index.Rebuild) -> None:
        if self.segments:
            loop.call_soon_threadsafe(started.set)
            go_on.wait(10)
        run(self)

    monkeypatch.setattr(index.Rebuild, "run", slow)
    assert not await passages.compact()
    await passages.apply([entry(1, "a", "zzqold"), entry(2, "b"), entry(3, "c", "zzqmid")])
    await passages.commit()
    await passages.apply([entry(4, "d", "zzqnew"), entry(5, "e")])
    await passages.commit()
    await passages.apply([LogEntry(6, "a", None), LogEntry(7, "d", None)])
    assert {"zzqold", "zzqnew"} <= words_on_disk(directory)
    compacting = asyncio.create_task(passages.compact())
    await started.wait()
    await passages.apply([entry(8, "f"), LogEntry(9, "c", None)])
    await passages.commit()
    go_on.set()
    assert await compacting
    assert words_on_disk(directory) == {"zzqmid"}
    assert await passages.compact()
    assert words_on_disk(directory) == set()
    assert not await passages.compact(), "there is nothing left to do"
    found = await passages.search(query(limit=10), query_vector(1), Deadline.after(5))
    assert {hit.chunk_id for hit in found.hits} == {"b", "e", "f"}
    await opened.close()


async def test_a_compaction_that_failed_says_so_and_can_be_repeated(
    passages: HybridPassageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    await passages.apply([entry(1, "a"), LogEntry(2, "a", None)])

    def full(self: index.Rebuild) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(index.Rebuild, "run", full)
        with pytest.raises(DependencyUnavailable):
            await passages.compact()
    assert await passages.compact()


async def test_waiting_for_a_position(passages: HybridPassageIndex) -> None:
    waiting = [asyncio.create_task(passages.wait_for(2, Deadline.after(5))) for _ in range(3)]
    await passages.apply([entry(1, "a")])
    assert not any(task.done() for task in waiting)
    await passages.apply([entry(2, "b")])
    await asyncio.gather(*waiting)
    await passages.wait_for(2, Deadline.after(-1))
    with pytest.raises(IndexBehind) as caught:
        await passages.wait_for(3, Deadline.after(0.01))
    assert (caught.value.wanted, caught.value.applied) == (3, 2)


async def test_overload_deadline_and_abandoned_searches(
    passages: HybridPassageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    await passages.apply([entry(1, "a")])
    started, go_on = threading.Event(), threading.Event()
    real, stops = index.Snapshot.search, []

    def slow(self: index.Snapshot, request: index.SearchRequest, stop: index.Stop) -> index.SearchResult:
        started.set()
        go_on.wait(10)
        stops.append(stop())
        return real(self, request, stop)

    monkeypatch.setattr(index.Snapshot, "search", slow)
    with pytest.raises(StageDeadline):
        await passages.search(query(), query_vector(0), Deadline.after(-1))
    late = asyncio.create_task(passages.search(query(), query_vector(0), Deadline.after(0.05)))
    cancelled = asyncio.create_task(passages.search(query(), query_vector(0), Deadline.after(10)))
    await asyncio.to_thread(started.wait, 10)
    with pytest.raises(Overloaded):
        await passages.search(query(), query_vector(0), Deadline.after(5))
    with pytest.raises(StageDeadline):
        await late
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    go_on.set()
    found = await passages.search(query(), query_vector(0), Deadline.after(5))
    assert [hit.chunk_id for hit in found.hits] == ["a"]
    assert stops == [True, False]  # the late one was told to stop, the cancelled one never began


async def test_closing_ends_searches_that_wait_in_an_error_to_retry() -> None:
    """Those that run are waited for, and a caller who is gone hears nothing."""
    lane = PassageIndexOptions(search_threads=1, waiting_searches=3).lane()
    started, go_on = threading.Event(), threading.Event()

    def slow(stop: index.Stop) -> str:
        started.set()
        go_on.wait(10)
        return "found"

    running = asyncio.create_task(lane.run(slow, Deadline.after(10), "search"))
    await asyncio.to_thread(started.wait, 10)
    waiting = [asyncio.create_task(lane.run(slow, Deadline.after(10), "search")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[2].cancel()
    closing = asyncio.create_task(lane.close())
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DependencyUnavailable] * 2 + [asyncio.CancelledError]
    assert not closing.done()
    go_on.set()
    assert await running == "found"
    await closing


async def test_a_damaged_index_starts_again_from_the_log(tmp_path: Path) -> None:
    first = await open_index(tmp_path)
    await serving(first).apply([entry(1, "a")])
    await serving(first).commit()
    await first.close()
    (tmp_path / "index" / first.serving / "manifest").write_bytes(b"nonsense")
    second = await open_index(tmp_path, log=FollowedLog("database-a", 1))
    assert (second.position, second.sound) == (0, False)
    await serving(second).apply([entry(1, "a")])
    assert second.sound
    assert (await second.search(query(), query_vector(1), Deadline.after(5))).hits
    await second.close()


async def test_an_index_that_holds_half_of_its_log_is_not_sound_after_a_restart_either(tmp_path: Path) -> None:
    first = await open_index(tmp_path, log=FollowedLog("database-a", 4))
    await serving(first).apply([entry(1, "a"), entry(2, "b")])
    await serving(first).commit()
    await first.close()
    second = await open_index(tmp_path, log=FollowedLog("database-a", 4))
    soundness = [second.sound]
    for position in (3, 4):
        await serving(second).apply([entry(position, f"c{position}")])
        soundness.append(second.sound)
    assert soundness == [False, False, True]
    await second.close()


async def test_a_closed_index_refuses_searches(tmp_path: Path) -> None:
    opened = await open_index(tmp_path)
    await opened.close()
    for _ in range(3):  # no refusal takes a place
        with pytest.raises(DependencyUnavailable, match="closed"):
            await opened.search(query(), query_vector(0), Deadline.after(5))


@pytest.mark.parametrize(
    ("log", "kept"),
    [
        (FollowedLog("database-a", 2), True),
        (FollowedLog("database-a", 9), True),
        (FollowedLog("database-a", 1), False),
        (FollowedLog("database-b", 9), False),
    ],
    ids=["same", "longer", "restored", "another"],
)
async def test_an_index_is_kept_only_for_its_own_log(tmp_path: Path, log: FollowedLog, kept: bool) -> None:
    first = await open_index(tmp_path, log=FollowedLog("database-a", 0))
    await serving(first).apply([entry(1, "a"), entry(2, "b")])
    await serving(first).commit()
    await first.close()
    for _ in range(2):
        again = await open_index(tmp_path, log=log)
        assert again.position == (2 if kept else 0)
        found = await again.search(query(), query_vector(1), Deadline.after(5))
        assert len(found.hits) == again.position
        await again.close()


async def test_another_model_is_refused(tmp_path: Path) -> None:
    await (await open_index(tmp_path)).close()
    with pytest.raises(DependencyUnavailable, match="fingerprint"):
        await open_index(tmp_path, model="model@2")


async def test_a_bad_entry_is_refused_whole(passages: HybridPassageIndex) -> None:
    bad = entry(2, "b")
    assert bad.chunk is not None
    object.__setattr__(bad.chunk, "embedding", bad.chunk.embedding[:-4])
    with pytest.raises(DependencyUnavailable):
        await passages.apply([entry(1, "a"), bad])
    assert passages.position == 0
