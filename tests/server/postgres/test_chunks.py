"""Chunks are committed once, in an order that every reader sees, and read by those who may."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from server.adapters.postgres import change_log
from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.identifiers import new_id
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.adapters.postgres.pool import PostgresPool
from server.domain.documents import DocumentState, JobState
from server.domain.errors import EmbeddingMismatch
from server.domain.principals import AccessList
from tests.server.postgres.conftest import ANA, BEN, EVE, MODEL, Archive, make_chunks, shown, vectors_for

# An index that has applied all there is.
END = 1_000_000


@pytest.fixture
def log(pool: PostgresPool) -> PostgresChangeLog:
    return PostgresChangeLog(pool)


async def test_a_commit_makes_everything_visible_at_once(archive: Archive, log: PostgresChangeLog) -> None:
    catalog = PostgresDocumentCatalog(archive.pool)
    accepted, job = await archive.accept(tags=("b", "a"))
    lease = await archive.claim(job.job_id)
    chunks = make_chunks(accepted, 3)
    assert await archive.commit(lease, chunks) == 3
    document = await catalog.get(ANA, accepted.document_id)
    assert (document.state, document.chunk_count, document.page_count) == (DocumentState.READY, 3, 2)
    ended = await catalog.job(ANA, job.job_id)
    assert (ended.state, ended.log_position, ended.chunk_count) == (JobState.SUCCEEDED, 3, 3)
    entries = await log.read(0, 10, MODEL)
    assert [entry.position for entry in entries] == [1, 2, 3]
    for entry, chunk, vector in zip(entries, chunks, vectors_for(chunks), strict=True):
        indexed = entry.chunk
        assert indexed is not None
        assert (indexed.chunk_id, indexed.text) == (chunk.chunk_id, chunk.text)
        assert (indexed.tenant, indexed.owner, indexed.tenant_wide) == ("acme", "ana", True)
        assert (indexed.tags, indexed.heading_path) == (("a", "b"), ("Part", "Chapter"))
        assert (indexed.first_page, indexed.last_page) == (1, 2)
        assert indexed.created_unix_s == int(document.create_time.timestamp())
        np.testing.assert_array_equal(np.frombuffer(indexed.embedding, "<f4"), vector)


async def test_pages_keep_how_surely_and_by_which_model_they_were_read(archive: Archive) -> None:
    await archive.ready()
    readings = await archive.scalar("SELECT json_agg(json_build_array(confidence, engine) ORDER BY number) FROM pages")
    assert readings == [[1.0, None], [0.93, "recognizer@1+ab12"]]


async def test_a_repeated_commit_is_the_first_one(archive: Archive, log: PostgresChangeLog) -> None:
    document, job = await archive.accept()
    lease = await archive.claim(job.job_id)
    chunks = make_chunks(document, 2)
    first = await archive.commit(lease, chunks)
    await archive.ready()
    assert await archive.commit(lease, chunks) == first
    assert await log.head() == 4
    assert await archive.scalar("SELECT count(*) FROM chunks") == 4


async def test_of_parallel_commits_each_chunk_is_logged_once(archive: Archive, log: PostgresChangeLog) -> None:
    document, job = await archive.accept()
    lease = await archive.claim(job.job_id)
    chunks = make_chunks(document, 5)
    positions = await asyncio.gather(*(archive.commit(lease, chunks) for _ in range(6)))
    assert set(positions) == {5}
    assert len(await log.read(0, 100, MODEL)) == 5


async def test_embeddings_of_another_model_are_refused_until_the_models_agree(archive: Archive) -> None:
    await archive.ready()
    document, job = await archive.accept()
    lease = await archive.claim(job.job_id)
    chunks = make_chunks(document, 2)
    with pytest.raises(EmbeddingMismatch) as refused:
        await archive.commit(lease, chunks, "model-2")
    assert (refused.value.wanted, refused.value.held) == ("model-2", MODEL)
    assert await archive.scalar("SELECT count(*) FROM chunks") == 2, "nothing of it is left"
    assert await archive.commit(lease, chunks, MODEL) == 4


async def test_of_two_first_commits_by_two_models_one_is_refused(archive: Archive) -> None:
    accepted = [await archive.accept() for _ in range(2)]
    leases = [await archive.claim(job.job_id) for _, job in accepted]
    ended = await asyncio.gather(
        *(
            archive.commit(lease, make_chunks(document, 3), f"model-{number}")
            for number, (lease, (document, _)) in enumerate(zip(leases, accepted, strict=True))
        ),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in ended) == ["EmbeddingMismatch", "int"]
    assert await archive.scalar("SELECT count(DISTINCT fingerprint) FROM embeddings") == 1


async def test_a_document_without_text_is_ready_with_no_chunks(archive: Archive, log: PostgresChangeLog) -> None:
    document, job = await archive.accept()
    assert await archive.commit(await archive.claim(job.job_id), []) == 0
    assert (await PostgresDocumentCatalog(archive.pool).get(ANA, document.document_id)).state is DocumentState.READY
    assert await log.read(0, 10, MODEL) == []


async def test_a_deletion_is_logged_and_its_upserts_come_as_removals(archive: Archive, log: PostgresChangeLog) -> None:
    document, deleted = await archive.ready()
    _, kept = await archive.ready()
    deletion = await PostgresDocumentCatalog(archive.pool).delete(ANA, document.document_id)
    assert deletion.position == await log.head() == 6
    entries = await log.read(0, 10, MODEL)
    assert [(entry.chunk_id, entry.chunk is None) for entry in entries[:4]] == [
        (deleted[0], True),
        (deleted[1], True),
        (kept[0], False),
        (kept[1], False),
    ]
    assert {entry.chunk_id for entry in entries[4:]} == set(deleted)
    assert all(entry.chunk is None for entry in entries[4:])


async def test_another_models_embeddings_are_not_mixed_in(archive: Archive, log: PostgresChangeLog) -> None:
    await archive.ready(chunks=1)
    assert [entry.chunk for entry in await log.read(0, 10, "model-2")] == [None]


async def test_positions_become_visible_in_order(pool: PostgresPool, log: PostgresChangeLog) -> None:
    """The later transaction wants to commit first. With a sequence it could, and a tail would skip the earlier one."""
    appended = asyncio.Event()
    may_commit = asyncio.Event()

    async def early() -> None:
        async with pool.transaction("acme") as connection:
            await change_log.append(connection, [], [new_id()])
            appended.set()
            await may_commit.wait()

    async def late() -> None:
        await appended.wait()
        async with pool.transaction("acme") as connection:
            await change_log.append(connection, [], [new_id()])

    async with asyncio.TaskGroup() as group:
        group.create_task(early())
        waiting = group.create_task(late())
        await appended.wait()
        await asyncio.wait([waiting], timeout=0.3)
        assert not waiting.done(), "its position is greater, so it must not commit before the earlier one"
        assert await log.read(0, 10, MODEL) == []
        assert await log.head() == 0
        may_commit.set()
    assert [entry.position for entry in await log.read(0, 10, MODEL)] == [1, 2]


async def test_a_tail_misses_nothing_while_many_write(pool: PostgresPool, log: PostgresChangeLog) -> None:
    async def write(number: int) -> None:
        for turn in range(20):
            async with pool.transaction("acme") as connection:
                await change_log.append(connection, [new_id() for _ in range(1 + (number + turn) % 3)], [])
                if turn % 5 == 4:
                    await connection.execute("SELECT pg_sleep(0.002)")
                if turn % 7 == 6:
                    await connection.rollback()

    async def follow(writers: asyncio.Future[list[None]]) -> list[int]:
        seen: list[int] = []
        while True:
            finished = writers.done()
            entries = await log.read(seen[-1] if seen else 0, 16, MODEL)
            seen += [entry.position for entry in entries]
            if finished and not entries:
                return seen

    writers = asyncio.gather(*(write(number) for number in range(5)))
    seen = await follow(writers)
    await writers
    assert seen == list(range(1, await log.head() + 1))
    assert len(seen) > 100


async def test_passages_are_what_was_committed(archive: Archive, pool: PostgresPool) -> None:
    document, chunk_ids = await archive.ready(chunks=2)
    passages = await shown(PostgresPassageStore(pool), ANA, [*chunk_ids, "no id", str(new_id())], END)
    assert set(passages) == set(chunk_ids)
    chunk, passage = make_chunks(document, 2)[1], passages[chunk_ids[1]]
    assert (passage.text, passage.heading_path, passage.line_spans) == (
        chunk.text,
        chunk.heading_path,
        chunk.line_spans,
    )
    assert (passage.document_id, passage.document_name, passage.revision) == (document.document_id, document.name, 1)
    assert [(page.number, page.width, page.height) for page in passage.pages] == [(1, 595.0, 842.0), (2, 842.0, 595.0)]
    assert await shown(PostgresPassageStore(pool), ANA, [], END) == {}


@pytest.mark.parametrize(
    ("access", "readers"),
    [
        (AccessList("ana", (), tenant_wide=True), {"ANA", "BEN"}),
        (AccessList("ana", ("sales",), tenant_wide=False), {"ANA", "BEN"}),
        (AccessList("ana", (), tenant_wide=False), {"ANA"}),
    ],
)
async def test_passages_are_read_by_those_who_may(
    archive: Archive, pool: PostgresPool, access: AccessList, readers: set[str]
) -> None:
    document, chunk_ids = await archive.ready(chunks=1, access=access)
    store = PostgresPassageStore(pool)
    principals = {"ANA": ANA, "BEN": BEN, "EVE": EVE}
    assert {name for name, principal in principals.items() if await shown(store, principal, chunk_ids, END)} == readers
    await PostgresDocumentCatalog(pool).delete(ANA, document.document_id)
    assert await shown(store, ANA, chunk_ids, END) == {}


async def test_what_stands_beside_a_chunk_is_of_its_revision_and_shown_to_those_who_may_read_it(
    archive: Archive,
) -> None:
    store = PostgresPassageStore(archive.pool)
    private = AccessList("ana", (), tenant_wide=False)
    _, own = await archive.ready(chunks=6, access=private)
    _, other = await archive.ready(chunks=2)
    assert await store.beside(ANA, [own[2]], 1) == own[1:4]
    assert await store.beside(ANA, [own[0], own[5]], 1) == [own[0], own[1], own[4], own[5]]
    assert set(await store.beside(ANA, [own[1], other[0]], 2)) == {*own[:4], *other}
    assert await store.beside(ANA, [own[2]], 0) == [own[2]]
    assert await store.beside(ANA, [new_id().hex], 3) == []
    passages = await shown(store, ANA, await store.beside(ANA, [own[2]], 1), END)
    assert [passages[chunk_id].ordinal for chunk_id in own[1:4]] == [1, 2, 3]
    assert await shown(store, BEN, await store.beside(ANA, [own[2]], 1), END) == {}
