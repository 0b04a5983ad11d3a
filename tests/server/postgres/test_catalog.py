"""Who sees which document, and what happens once however often it is asked for."""

from __future__ import annotations

import asyncio

import pytest

from server.adapters.postgres.blob_references import PostgresBlobReferences
from server.adapters.postgres.database_identity import database_id
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.document_originals import PostgresDocumentOriginals
from server.adapters.postgres.pool import PostgresPool
from server.domain.documents import DocumentState, JobState
from server.domain.errors import DocumentExists, DocumentNotFound, InvalidPageToken, JobNotFound
from server.domain.principals import AccessList
from tests.server.postgres.conftest import ANA, BEN, EVE, Archive


@pytest.fixture
def catalog(pool: PostgresPool) -> PostgresDocumentCatalog:
    return PostgresDocumentCatalog(pool)


async def test_fifty_parallel_uploads_of_the_same_bytes_make_one_document(
    catalog: PostgresDocumentCatalog, archive: Archive
) -> None:
    uploads = [
        catalog.accept(ANA if i % 2 else BEN, archive.new(ANA if i % 2 else BEN, content="x")) for i in range(50)
    ]
    outcomes = await asyncio.gather(*uploads, return_exceptions=True)
    accepted = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    assert len(accepted) == 1
    document_id = accepted[0][0].document_id
    refused = [outcome for outcome in outcomes if not isinstance(outcome, tuple)]
    assert all(isinstance(error, DocumentExists) and error.document_id == document_id for error in refused)
    assert await archive.scalar("SELECT count(*) FROM documents") == 1
    assert await archive.scalar("SELECT count(*) FROM jobs") == 1
    assert await archive.scalar("SELECT count(*) FROM outbox") == 1


async def test_fifty_parallel_uploads_with_one_request_id_return_one_document(
    catalog: PostgresDocumentCatalog, archive: Archive
) -> None:
    uploads = [catalog.accept(ANA, archive.new(request_id="again")) for _ in range(50)]
    outcomes = await asyncio.gather(*uploads)
    assert len({document.document_id for document, _, _ in outcomes}) == 1
    assert [accepted for _, _, accepted in outcomes].count(True) == 1


async def test_the_bytes_of_a_document_are_found_by_those_who_see_it(
    catalog: PostgresDocumentCatalog, archive: Archive, pool: PostgresPool
) -> None:
    originals = PostgresDocumentOriginals(pool)
    new = archive.new(ANA, access=AccessList("ana", ("research",), tenant_wide=False))
    document, _, _ = await catalog.accept(ANA, new)
    assert await originals.locate(ANA, document.document_id) == (document, new.blob.key)
    for principal, document_id in ((BEN, document.document_id), (EVE, document.document_id), (ANA, "no-id")):
        with pytest.raises(DocumentNotFound):
            await originals.locate(principal, document_id)
    await catalog.delete(ANA, document.document_id)
    with pytest.raises(DocumentNotFound):
        await originals.locate(ANA, document.document_id)


async def test_a_request_id_is_its_users_own(catalog: PostgresDocumentCatalog, archive: Archive) -> None:
    first, _, _ = await catalog.accept(ANA, archive.new(ANA, request_id="r"))
    for principal in (BEN, EVE):
        other, _, accepted = await catalog.accept(principal, archive.new(principal, request_id="r"))
        assert accepted and other.document_id != first.document_id


async def test_the_same_bytes_of_another_tenant_are_not_in_the_way(
    catalog: PostgresDocumentCatalog, archive: Archive
) -> None:
    await catalog.accept(ANA, archive.new(ANA, content="x"))
    _, _, accepted = await catalog.accept(EVE, archive.new(EVE, content="x"))
    assert accepted


async def test_the_same_bytes_of_an_invisible_document_are_neither_told_of_nor_in_the_way(
    catalog: PostgresDocumentCatalog, archive: Archive
) -> None:
    private = AccessList("ana", ("research",), tenant_wide=False)
    hidden, _, _ = await catalog.accept(ANA, archive.new(ANA, content="x", access=private))
    own, _, accepted = await catalog.accept(BEN, archive.new(BEN, content="x"))
    assert accepted and own.document_id != hidden.document_id
    # Now ana sees both, and is told of the older one.
    with pytest.raises(DocumentExists) as refusal:
        await catalog.accept(ANA, archive.new(ANA, content="x"))
    assert refusal.value.document_id == hidden.document_id


async def test_deleted_bytes_can_be_uploaded_again(catalog: PostgresDocumentCatalog, archive: Archive) -> None:
    document, _ = await archive.accept(content="x", request_id="r")
    await catalog.delete(ANA, document.document_id)
    again, _, accepted = await catalog.accept(ANA, archive.new(content="x", request_id="r"))
    assert accepted and again.document_id != document.document_id


@pytest.mark.parametrize(
    ("access", "ben_sees"),
    [
        (AccessList("ana", (), tenant_wide=True), True),
        (AccessList("ana", ("sales", "law"), tenant_wide=False), True),
        (AccessList("ana", ("law",), tenant_wide=False), False),
        (AccessList("ana", (), tenant_wide=False), False),
    ],
)
async def test_access_is_the_domains_rule(
    catalog: PostgresDocumentCatalog, archive: Archive, access: AccessList, ben_sees: bool
) -> None:
    document, job = await archive.accept(access=access)
    assert access.admits(BEN) is ben_sees
    for principal, sees in ((ANA, True), (BEN, ben_sees), (EVE, False)):
        listed = await catalog.page(principal, 10, "", None, ())
        assert [found.document_id for found in listed.documents] == ([document.document_id] if sees else [])
        if sees:
            assert await catalog.get(principal, document.document_id) == document
            assert await catalog.job(principal, job.job_id) == job
        else:
            with pytest.raises(DocumentNotFound):
                await catalog.get(principal, document.document_id)
            with pytest.raises(JobNotFound):
                await catalog.job(principal, job.job_id)


@pytest.mark.parametrize("malformed", ["", "x", "1; DROP TABLE jobs", "\x00", "{0190163d-8694-739b-aea5-966c26f8ad91}"])
async def test_a_malformed_id_is_not_found(catalog: PostgresDocumentCatalog, malformed: str) -> None:
    with pytest.raises(DocumentNotFound):
        await catalog.get(ANA, malformed)
    with pytest.raises(DocumentNotFound):
        await catalog.delete(ANA, malformed)
    with pytest.raises(JobNotFound):
        await catalog.job(ANA, malformed)


async def test_pages_are_newest_first_and_complete(catalog: PostgresDocumentCatalog, archive: Archive) -> None:
    made = [(await archive.accept(tags=("even",) if i % 2 == 0 else ("odd",)))[0].document_id for i in range(7)]
    listed, token = [], ""
    for _ in range(3):
        page = await catalog.page(ANA, 3, token, None, ())
        listed += [document.document_id for document in page.documents]
        token = page.next_page_token
    assert listed == made[::-1]
    assert token == ""
    odd = await catalog.page(ANA, 3, "", DocumentState.PROCESSING, ("odd",))
    assert [document.document_id for document in odd.documents] == made[5::-2]
    assert (await catalog.page(ANA, 3, "", DocumentState.READY, ())).documents == ()


async def test_a_page_token_belongs_to_its_parameters(catalog: PostgresDocumentCatalog, archive: Archive) -> None:
    for _ in range(2):
        await archive.accept()
    token = (await catalog.page(ANA, 1, "", None, ())).next_page_token
    assert (await catalog.page(ANA, 1, token, None, ())).documents
    for principal, state, tags in ((BEN, None, ()), (ANA, DocumentState.READY, ()), (ANA, None, ("a",))):
        with pytest.raises(InvalidPageToken):
            await catalog.page(principal, 1, token, state, tags)
    for forged in ("x", "é", token[:-4], token + "AAAA"):
        with pytest.raises(InvalidPageToken):
            await catalog.page(ANA, 1, forged, None, ())


async def test_only_the_owner_deletes_and_may_repeat_it(catalog: PostgresDocumentCatalog, archive: Archive) -> None:
    document, job = await archive.accept()
    with pytest.raises(DocumentNotFound):
        await catalog.delete(BEN, document.document_id)
    deletion = await catalog.delete(ANA, document.document_id)
    await archive.ready()
    assert await catalog.delete(ANA, document.document_id) == deletion
    with pytest.raises(DocumentNotFound):
        await catalog.get(ANA, document.document_id)
    cancelled = await catalog.job(ANA, job.job_id)
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.failure is not None and cancelled.failure.reason == "DocumentDeleted"


async def test_nothing_of_a_deleted_documents_content_stays(
    catalog: PostgresDocumentCatalog, archive: Archive, pool: PostgresPool
) -> None:
    document, _ = await archive.ready(name="payroll of ana", tags=("secret tag",))
    await archive.ready(name="another")
    await catalog.delete(ANA, document.document_id)
    async with pool.spanning() as connection:
        cursor = await connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        tables = [row["table_name"] for row in await cursor.fetchall()]
        rows = []
        for table in tables:
            cursor = await connection.execute(f"SELECT t::text AS row FROM {table} t".encode())
            rows += [row["row"] for row in await cursor.fetchall()]
    assert not [row for row in rows if "payroll" in row or "secret tag" in row or document.sha256 in row]
    assert [row for row in rows if "another" in row]
    assert await archive.scalar("SELECT count(*) FROM embeddings") == 2


async def test_references_to_blobs(catalog: PostgresDocumentCatalog, archive: Archive, pool: PostgresPool) -> None:
    kept = archive.new()
    await catalog.accept(ANA, kept)
    deleted = archive.new()
    document, _, _ = await catalog.accept(ANA, deleted)
    deletion = await catalog.delete(ANA, document.document_id)
    assert deletion.blob_keys == (deleted.blob.key,)
    keys = [kept.blob.key, deleted.blob.key, "stranger"]
    references = PostgresBlobReferences(pool, await database_id(pool))
    assert await references.unreferenced(keys) == [deleted.blob.key, "stranger"]
