from __future__ import annotations

import asyncio

import pytest

from server.adapters.postgres.answer_store import PostgresAnswerStore
from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.document_access import PostgresDocumentSharing
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.document_names import PostgresDocumentNames
from server.adapters.postgres.document_originals import PostgresDocumentOriginals
from server.adapters.postgres.events import PostgresEventAccess
from server.adapters.postgres.job_control import PostgresJobControl
from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.adapters.postgres.pool import PostgresPool
from server.application.document_ports import WantedAccess
from server.application.job_ports import WantedLetters
from server.domain.documents import Failure
from server.domain.errors import AccessChanged, DocumentNotFound, InvalidField, JobNotFound
from server.domain.permissions import Role
from server.domain.principals import AccessList, Principal
from tests.server.postgres.conftest import ANA, BEN, EVE, MODEL, Archive, make_chunks, shown

CARL = Principal("acme", "carl", frozenset({"law"}))
ROOT = Principal("acme", "root", frozenset(), Role.ADMIN)
FOREIGN_ROOT = Principal("rival", "root", frozenset(), Role.ADMIN)
ONLY_THE_OWNER = WantedAccess()


@pytest.fixture
def sharing(pool: PostgresPool) -> PostgresDocumentSharing:
    return PostgresDocumentSharing(pool)


@pytest.mark.parametrize(
    ("wanted", "readers"),
    [
        (ONLY_THE_OWNER, {"ana"}),
        (WantedAccess(users=("ben",)), {"ana", "ben"}),
        (WantedAccess(groups=("law", "sales")), {"ana", "ben", "carl"}),
        (WantedAccess(groups=("ben",)), {"ana"}),
        (WantedAccess(users=("law",)), {"ana"}),
        (WantedAccess(tenant_wide=True), {"ana", "ben", "carl"}),
        (WantedAccess(owner="ben"), {"ben"}),
        (WantedAccess(owner="ben", users=("ana",)), {"ana", "ben"}),
    ],
)
async def test_all_that_reads_documents_agrees_on_who_may(
    sharing: PostgresDocumentSharing, archive: Archive, pool: PostgresPool, wanted: WantedAccess, readers: set[str]
) -> None:
    document, chunk_ids = await archive.ready(name="secret plan.md")
    position = (await sharing.share(ANA, document.document_id, wanted, None))[1]
    catalog, store = PostgresDocumentCatalog(pool), PostgresPassageStore(pool)
    for reader in (ANA, BEN, CARL, EVE):
        may = reader.tenant == "acme" and reader.user in readers
        listed = await catalog.page(reader, 10, "", None, ())
        assert [each.document_id for each in listed.documents] == [document.document_id] * may
        assert set(await shown(store, reader, chunk_ids, position)) == set(chunk_ids if may else ())
        named = await PostgresDocumentNames(pool).named(reader, ["secret plan"], 5)
        assert bool(named) == may
        assert bool(await PostgresEventAccess(pool).readable(reader, [document.document_id])) == may
        assert await PostgresAnswerStore(pool).readable(reader, {document.document_id}) == may
        for read in (
            catalog.get(reader, document.document_id),
            PostgresDocumentOriginals(pool).locate(reader, document.document_id),
        ):
            if may:
                await read
            else:
                with pytest.raises(DocumentNotFound):
                    await read
        if not may:
            with pytest.raises(JobNotFound):
                await catalog.job(reader, document.job_id)


async def test_the_index_hears_of_it_and_nothing_is_embedded_anew(
    sharing: PostgresDocumentSharing, archive: Archive, pool: PostgresPool
) -> None:
    document, chunk_ids = await archive.ready(chunks=3)
    log = PostgresChangeLog(pool)
    before = await log.head()
    vectors = {entry.chunk_id: entry.chunk and entry.chunk.embedding for entry in await log.read(0, 100, MODEL)}
    wanted = WantedAccess(users=("ben",), groups=("law",))
    changed, position = await sharing.share(ANA, document.document_id, wanted, None)
    assert changed.access == AccessList("ana", ("law",), tenant_wide=False, users=("ben",))
    entries = await log.read(before, 100, MODEL)
    assert [entry.chunk_id for entry in entries] == chunk_ids
    assert entries[-1].position == position == await log.head()
    for entry in entries:
        assert entry.chunk is not None
        assert (entry.chunk.users, entry.chunk.groups, entry.chunk.tenant_wide) == (("ben",), ("law",), False)
        assert entry.chunk.embedding == vectors[entry.chunk_id]


async def test_the_same_access_again_changes_nothing(
    sharing: PostgresDocumentSharing, archive: Archive, pool: PostgresPool
) -> None:
    document, _ = await archive.ready()
    first, position = await sharing.share(ANA, document.document_id, ONLY_THE_OWNER, None)
    again = await sharing.share(ANA, document.document_id, ONLY_THE_OWNER, None)
    assert again == (first, position)
    assert await PostgresChangeLog(pool).head() == position


async def test_of_changes_at_a_time_one_is_made_and_the_others_are_told(
    sharing: PostgresDocumentSharing, archive: Archive
) -> None:
    document, _ = await archive.ready()
    wanted = [WantedAccess(users=(f"user-{number}",)) for number in range(6)]
    outcomes = await asyncio.gather(
        *(sharing.share(ANA, document.document_id, each, document.access_version) for each in wanted),
        return_exceptions=True,
    )
    [made] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert sum(isinstance(outcome, AccessChanged) for outcome in outcomes) == 5
    assert made[0].access_version == document.access_version + 1
    await sharing.share(ANA, document.document_id, ONLY_THE_OWNER, made[0].access_version)


@pytest.mark.parametrize("stranger", [BEN, CARL, EVE, FOREIGN_ROOT])
async def test_only_the_owner_and_administrators_of_its_tenant_may(
    sharing: PostgresDocumentSharing, archive: Archive, stranger: Principal
) -> None:
    document, _ = await archive.ready()
    with pytest.raises(DocumentNotFound):
        await sharing.share(stranger, document.document_id, WantedAccess(owner=stranger.user), None)
    by_root, _ = await sharing.share(ROOT, document.document_id, WantedAccess(users=("ben",)), None)
    assert by_root.access.owner == "ana"
    for gone in ("no id", "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(DocumentNotFound):
            await sharing.share(ANA, gone, ONLY_THE_OWNER, None)


async def test_a_deleted_document_cannot_be_shared(sharing: PostgresDocumentSharing, archive: Archive) -> None:
    document, _ = await archive.ready()
    await PostgresDocumentCatalog(archive.pool).delete(ANA, document.document_id)
    with pytest.raises(DocumentNotFound):
        await sharing.share(ANA, document.document_id, WantedAccess(tenant_wide=True), None)


async def test_it_cannot_be_given_to_who_has_the_same_bytes(sharing: PostgresDocumentSharing, archive: Archive) -> None:
    document, _ = await archive.ready(ANA, content="same", access=AccessList("ana"))
    await archive.ready(BEN, content="same", access=AccessList("ben"))
    with pytest.raises(InvalidField, match=r"acl\.owner"):
        await sharing.share(ANA, document.document_id, WantedAccess(owner="ben"), None)


async def test_a_revision_on_its_way_does_not_bring_back_what_was_taken(
    sharing: PostgresDocumentSharing, archive: Archive, pool: PostgresPool
) -> None:
    document, _ = await archive.ready()
    catalog, store = PostgresDocumentCatalog(pool), PostgresPassageStore(pool)
    new = archive.new(replaced_document_id=document.document_id)
    assert new.access.tenant_wide
    job = (await catalog.accept(ANA, new))[1]
    await sharing.share(ANA, document.document_id, WantedAccess(users=("carl",)), None)
    chunks = make_chunks(document, 5)[3:]
    position = await archive.commit(await archive.claim(job.job_id), chunks)
    with pytest.raises(DocumentNotFound):
        await catalog.get(BEN, document.document_id)
    ids = [chunk.chunk_id for chunk in chunks]
    assert not await shown(store, BEN, ids, position)
    assert set(await shown(store, CARL, ids, position)) == set(ids)


async def test_who_may_read_now_does_not_see_what_was_replaced_before(
    sharing: PostgresDocumentSharing, archive: Archive, pool: PostgresPool
) -> None:
    document, old = await archive.ready(access=AccessList("ana"))
    position = await PostgresChangeLog(pool).head()
    new = archive.new(replaced_document_id=document.document_id, access=AccessList("ana"))
    job = (await PostgresDocumentCatalog(pool).accept(ANA, new))[1]
    await archive.commit(await archive.claim(job.job_id), make_chunks(document, 5)[3:])
    await sharing.share(ANA, document.document_id, WantedAccess(users=("ben",)), None)
    store = PostgresPassageStore(pool)
    assert not await shown(store, BEN, old, position)
    assert set(await shown(store, ANA, old, position)) == set(old)


async def test_a_dead_letter_names_a_replacement_only_to_its_readers(
    sharing: PostgresDocumentSharing, archive: Archive, pool: PostgresPool
) -> None:
    document, _ = await archive.ready(name="plan")
    new = archive.new(
        name="why ben goes", replaced_document_id=document.document_id, access=AccessList("ana", users=("carl",))
    )
    job = (await PostgresDocumentCatalog(pool).accept(ANA, new))[1]
    await PostgresJobLedger(pool).release(await archive.claim(job.job_id), Failure("UnreadableDocument", "x"), None)
    names = {}
    for reader in (ANA, BEN, CARL):
        [letter] = (await PostgresJobControl(pool).dead_letters(reader, 5, "", WantedLetters())).letters
        names[reader.user] = letter.document_name
    assert names == {"ana": "why ben goes", "ben": "plan", "carl": "why ben goes"}
