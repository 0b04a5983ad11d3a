"""The generations of the index, as the server keeps them: built beside each other, swapped, copied, replaced."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

import index
from server.adapters.hybrid_passage_index import PassageIndexOptions
from server.adapters.index_generations import FollowedLog, HybridIndexGenerations
from server.application.follow_generations import FollowGenerations
from server.application.follow_log import FollowOptions
from server.application.local_bell import LocalBell
from server.application.look_after_index import LookAfterIndex
from server.application.verify_index import VerifyIndex, VerifyOptions
from server.domain.deadline import Deadline
from server.domain.errors import (
    DependencyUnavailable,
    GenerationExists,
    GenerationNotFound,
    IndexBehind,
    SnapshotExists,
    StageDeadline,
    WrongGenerationState,
)
from server.domain.events import AlertKind, SystemAlert
from server.domain.generations import GenerationOptions, GenerationState
from server.domain.passages import LogEntry
from tests.index.model import query_vector
from tests.index.test_passage_index import OPTIONS, entry, open_index, query, serving
from tests.server.application.announcements import Announcements

LEANER = GenerationOptions(16, 64)
LOG = [entry(position, f"c{position}") for position in range(1, 13)]


@pytest.fixture
async def generations(tmp_path: Path) -> AsyncIterator[HybridIndexGenerations]:
    opened = await open_index(tmp_path)
    await serving(opened).apply(LOG)
    await serving(opened).commit()
    yield opened
    await opened.close()


async def found(generations: HybridIndexGenerations) -> tuple[str, set[str]]:
    result = await generations.search(query(limit=20), query_vector(1), Deadline.after(5))
    return result.generation, {hit.chunk_id for hit in result.hits}


async def built(generations: HybridIndexGenerations) -> str:
    name = (await generations.begin(LEANER)).name
    await generations.views()[name].apply(LOG)
    await generations.views()[name].commit()
    await generations.caught_up(name)
    return name


async def test_a_generation_is_built_beside_the_serving_one_swapped_and_swapped_back(
    generations: HybridIndexGenerations,
) -> None:
    first = generations.serving
    begun = await generations.begin(LEANER)
    assert (begun.state, begun.position, begun.options, begun.segments) == (GenerationState.BUILDING, 0, LEANER, ())
    with pytest.raises(GenerationExists) as refused:
        await generations.begin(LEANER)
    assert refused.value.generation == begun.name
    with pytest.raises(WrongGenerationState, match="is being built"):
        await generations.activate(begun.name)
    other = generations.views()[begun.name]
    await other.apply(LOG[:5])
    assert await found(generations) == (first, {each.chunk_id for each in LOG})
    await other.apply(LOG[5:])
    await generations.caught_up(begun.name)
    now, previous = await generations.activate(begun.name)
    assert (now.state, previous, generations.serving) == (GenerationState.SERVING, first, begun.name)
    assert await found(generations) == (begun.name, {each.chunk_id for each in LOG})
    assert (await generations.activate(begun.name))[1] == begun.name, "once more changes nothing"
    with pytest.raises(WrongGenerationState, match="is being built"):
        await generations.activate(first)
    await generations.caught_up(first)
    assert (await generations.activate(first))[1] == begun.name
    assert [each.state for each in await generations.all()] == [GenerationState.SERVING, GenerationState.READY]


async def test_a_swap_waits_until_no_position_is_lost(generations: HybridIndexGenerations) -> None:
    name = await built(generations)
    newer = entry(13, "c13")
    await serving(generations).apply([newer])
    swapping = asyncio.create_task(generations.activate(name))
    held_up = asyncio.create_task(serving(generations).apply([entry(14, "c14")]))
    done, _ = await asyncio.wait((swapping, held_up), timeout=0.05)
    assert not done
    await generations.views()[name].apply([newer])
    await swapping
    await held_up
    assert (await found(generations))[0] == name
    assert "c13" in (await found(generations))[1]


async def test_who_waits_for_a_position_waits_for_the_generation_that_serves_then(
    generations: HybridIndexGenerations,
) -> None:
    name = await built(generations)
    first, second = serving(generations), generations.views()[name]
    waiting = asyncio.create_task(generations.wait_for(13, Deadline.after(10)))
    await asyncio.sleep(0)
    await generations.activate(second.generation)
    await first.apply([entry(13, "c13")])
    done, _ = await asyncio.wait((waiting,), timeout=0.05)
    assert not done
    await generations.retire(first.generation)
    await second.apply([entry(13, "c13")])
    await waiting
    with pytest.raises(IndexBehind):
        await generations.wait_for(14, Deadline.after(0.01))


async def test_a_deleted_generation_leaves_nothing(generations: HybridIndexGenerations, tmp_path: Path) -> None:
    name = await built(generations)
    assert (tmp_path / "index" / name).exists()
    with pytest.raises(WrongGenerationState, match="serves"):
        await generations.retire(generations.serving)
    await generations.retire(name)
    with pytest.raises(GenerationNotFound):
        await generations.activate(name)
    await generations.erase(name)
    assert not (tmp_path / "index" / name).exists()
    with pytest.raises(GenerationNotFound):
        await generations.retire(name)
    assert await found(generations) == (generations.serving, {each.chunk_id for each in LOG})


async def test_all_come_back_as_they_were(tmp_path: Path) -> None:
    first = await open_index(tmp_path)
    await serving(first).apply(LOG)
    await serving(first).commit()
    name = (await first.begin(LEANER)).name
    await first.views()[name].apply(LOG[:7])
    await first.views()[name].commit()
    await first.close()
    again = await open_index(tmp_path)
    old, new = await again.all()
    assert (old.name, old.state, old.position) == (first.serving, GenerationState.SERVING, 12)
    assert (new.name, new.state, new.position, new.options) == (name, GenerationState.BUILDING, 7, LEANER)
    assert new.create_time >= old.create_time
    await again.close()


class PassedWhenLookedAt(Deadline):
    """Leaves time to begin, and none to go on."""

    def budget(self, stage: str) -> float:
        return 10.0


async def test_two_generations_are_compared(generations: HybridIndexGenerations) -> None:
    name = await built(generations)
    compared = await generations.compare(name, 10, Deadline.after(20))
    assert (compared.serving_recall, compared.other_recall, compared.overlap, compared.samples) == (1.0, 1.0, 1.0, 10)
    await generations.views()[name].apply([LogEntry(13, f"c{number}", None) for number in (1,)])
    assert (await generations.compare(name, 12, Deadline.after(20))).overlap < 1.0
    for passed in (Deadline.after(-1), PassedWhenLookedAt(0.0)):
        with pytest.raises(StageDeadline):
            await generations.compare(name, 10, passed)
    with pytest.raises(GenerationNotFound):
        await generations.compare("generation-9999", 10, Deadline.after(20))


async def test_a_copy_can_be_opened_and_stays_as_it_is(generations: HybridIndexGenerations, tmp_path: Path) -> None:
    copy = await generations.copy("monday", Deadline.after(20))
    assert (copy.path, copy.position) == (str(tmp_path / "copies" / "monday"), 12)
    assert copy.size_bytes == sum(path.stat().st_size for path in Path(copy.path).rglob("*") if path.is_file()) > 0
    await serving(generations).apply([LogEntry(13, "c1", None)])
    with pytest.raises(SnapshotExists):
        await generations.copy("monday", Deadline.after(20))
    with index.HybridIndex.open(Path(copy.path), dimension=len(query_vector(0)), fingerprint="model@1") as opened:
        everything = index.Filter(index.Reader("t1", "alice", frozenset({"g1"})))
        hits = opened.snapshot().search(index.SearchRequest(everything, 20, vector=query_vector(1))).hits
    assert {hit.chunk_id for hit in hits} == {each.chunk_id for each in LOG}


async def test_a_copy_waits_for_no_comparison(
    generations: HybridIndexGenerations, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = threading.Event(), threading.Event()
    real = index.compare

    def slow(ours: index.Snapshot, theirs: index.Snapshot, samples: int, stop: index.Stop) -> index.Comparison:
        started.set()
        go_on.wait(10)
        return real(ours, theirs, samples, stop)

    monkeypatch.setattr(index, "compare", slow)
    comparing = asyncio.create_task(generations.compare(generations.serving, 1, Deadline.after(20)))
    await asyncio.to_thread(started.wait, 10)
    assert (await generations.copy("monday", Deadline.after(20))).size_bytes > 0
    assert not comparing.done()
    go_on.set()
    await comparing


async def test_a_generation_that_cannot_be_built_says_why(generations: HybridIndexGenerations) -> None:
    name = (await generations.begin(LEANER)).name
    bad = LOG[0]
    assert bad.chunk is not None
    with pytest.raises(DependencyUnavailable):
        await generations.views()[name].apply([replace(bad, chunk=replace(bad.chunk, embedding=b"\0" * 4))])
    told = (await generations.all())[1]
    assert (told.state, "shape" in told.failure) == (GenerationState.FAILED, True)
    with pytest.raises(WrongGenerationState, match="shape"):
        await generations.activate(name)
    await generations.views()[name].apply(LOG)
    assert (await generations.all())[1].state is GenerationState.BUILDING


class WholeLog:
    """The change log of `LOG`."""

    async def read(self, after: int, limit: int, fingerprint: str) -> list[LogEntry]:
        return LOG[after : after + limit]

    async def head(self) -> int:
        return len(LOG)


async def with_a_segment(path: Path) -> HybridIndexGenerations:
    sealed = PassageIndexOptions(search_threads=1, index=replace(OPTIONS.index, seal_rows=len(LOG)))
    opened = await open_index(path, sealed)
    await serving(opened).apply(LOG)
    await serving(opened).commit()
    while not any(part.name.startswith("segment") for part in (await opened.all())[0].segments):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return opened


def damage(path: Path) -> str:
    """Changes one bit of the largest file of a segment; returns its name."""
    files = [file for file in path.rglob("segments/*/*") if file.is_file()]
    largest = max(files, key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    return largest.name


async def test_damage_is_found_told_and_mended_from_the_log(tmp_path: Path) -> None:
    opened = await with_a_segment(tmp_path)
    first = opened.serving
    assert await opened.verify(first) == ""
    assert await opened.verify("generation-9999") == ""
    soundness = [opened.sound]
    name = damage(tmp_path)
    assert name in await opened.verify(first)
    soundness.append(opened.sound)
    log, told, options = WholeLog(), Announcements(), FollowOptions(poll_s=0.01)
    following = FollowGenerations(log, opened, LocalBell(), told, "model@1", options)
    care = LookAfterIndex(opened, opened, following, log, LEANER)
    task = asyncio.create_task(following.run())
    await asyncio.wait_for(VerifyIndex(care, opened, told, VerifyOptions(look_every_s=0.01)).verify(), 30)
    alerts = [event for event in told.events if isinstance(event, SystemAlert)]
    assert [(alert.kind, alert.subject) for alert in alerts] == [(AlertKind.INDEX_DAMAGED, first)]
    assert name in alerts[0].problem
    assert ([*soundness, opened.sound], opened.serving != first) == ([True, False, True], True)
    assert [each.name for each in await opened.all()] == [opened.serving]
    assert await found(opened) == (opened.serving, {each.chunk_id for each in LOG})
    assert not (tmp_path / "index" / first).exists()
    task.cancel()
    await asyncio.wait((task,))
    await opened.close()


async def test_only_damage_is_kept_as_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = await with_a_segment(tmp_path)

    def failing(code: int) -> Callable[[Path, index.Stop], int]:
        def checksum(path: Path, stop: index.Stop) -> int:
            raise OSError(code, os.strerror(code))

        return checksum

    monkeypatch.setattr("index.segment.file_checksum", failing(errno.EMFILE))
    with pytest.raises(DependencyUnavailable, match="Too many open files"):
        await opened.verify(opened.serving)
    soundness = [opened.sound]
    monkeypatch.setattr("index.segment.file_checksum", failing(errno.EIO))
    assert "Input/output error" in await opened.verify(opened.serving)
    assert [*soundness, opened.sound] == [True, False]
    await opened.close()


@pytest.mark.parametrize("damaged", ["serving", "other", "list"])
async def test_what_cannot_be_opened_is_begun_anew_and_the_rest_stays(tmp_path: Path, damaged: str) -> None:
    first = await open_index(tmp_path, log=FollowedLog("database-a", 0))
    await serving(first).apply(LOG)
    await serving(first).commit()
    name = await built(first)
    await first.close()
    files = {
        "serving": tmp_path / "index" / first.serving / "manifest",
        "other": tmp_path / "index" / name / "manifest",
        "list": tmp_path / "index" / "generations",
    }
    files[damaged].write_bytes(b"nonsense")
    again = await open_index(tmp_path, log=FollowedLog("database-a", 12))
    positions = [each.position for each in await again.all()]
    assert positions == {"serving": [0, 12], "other": [12, 0], "list": [0]}[damaged]
    assert again.sound == (damaged == "other")
    await again.close()


async def test_a_generation_that_does_not_serve_gives_way_to_searches(
    generations: HybridIndexGenerations, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = (await generations.begin(LEANER)).name
    started, go_on = threading.Event(), threading.Event()
    real = index.Snapshot.search

    def slow(self: index.Snapshot, request: index.SearchRequest, stop: index.Stop) -> index.SearchResult:
        started.set()
        go_on.wait(10)
        return real(self, request, stop)

    monkeypatch.setattr(index.Snapshot, "search", slow)
    searching = asyncio.create_task(found(generations))
    await asyncio.to_thread(started.wait, 10)
    building = asyncio.create_task(generations.views()[name].apply(LOG))
    await serving(generations).apply([entry(13, "c13")])
    assert not building.done()
    go_on.set()
    await searching
    await building
    assert generations.views()[name].position == 12
