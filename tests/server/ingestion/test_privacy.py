"""What becomes of personal data while a document is ingested, on real PostgreSQL."""

from __future__ import annotations

from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.job_control import PostgresJobControl
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.adapters.postgres.sensitive_pages import PostgresSensitivePages
from server.domain.documents import Box, DocumentState, JobState, SensitivePart
from server.domain.passages import Passage
from server.domain.privacy import PiiKind, PrivacyAction
from tests.server.ingestion.conftest import ANA, Workshop
from tests.server.ingestion.test_ingestion import not_told, state

TEXT = "Call the harbour office at 212-555-0143.\fscan:Or write to office@example.org today."


async def passages(workshop: Workshop) -> list[Passage]:
    entries = await PostgresChangeLog(workshop.pool).read(0, 100, workshop.embedder.fingerprint)
    store = PostgresPassageStore(workshop.pool)
    found = await store.passages(ANA, [entry.chunk_id for entry in entries], entries[-1].position)
    return list(found.values())


async def test_where_personal_data_stands_is_kept_whatever_the_policy(workshop: Workshop) -> None:
    document, job = await workshop.take_in(TEXT)
    await workshop.ingestion().run(job.job_id, not_told)
    ready = await workshop.catalog.get(ANA, document.document_id)
    pages = PostgresSensitivePages(workshop.pool)
    assert await pages.parts(ready, 1) == (SensitivePart(PiiKind.PHONE, Box(1.0, 2.0, 3.0, 4.0)),)
    assert await pages.parts(ready, 2) == (SensitivePart(PiiKind.EMAIL, Box(5.0, 5.0, 50.0, 15.0)),)
    assert await pages.parts(ready, 3) is None
    text = " ".join(passage.text for passage in await passages(workshop))
    assert "212-555-0143" in text and "office@example.org" in text
    await workshop.row("UPDATE pages SET sensitive = NULL WHERE number = 1 RETURNING 1")
    assert await pages.parts(ready, 1) is None, "as in rows of older versions"


async def test_what_is_masked_at_ingestion_is_neither_stored_nor_embedded(workshop: Workshop) -> None:
    workshop.policies.set({PiiKind.PHONE: PrivacyAction.MASK_AT_INGESTION})
    document, job = await workshop.take_in(TEXT)
    await workshop.ingestion().run(job.job_id, not_told)
    assert (await workshop.catalog.get(ANA, document.document_id)).state is DocumentState.READY
    [passage] = [each for each in await passages(workshop) if "[phone]" in each.text]
    [mark] = passage.masked
    assert passage.text[mark.start : mark.end] == "[phone]"
    assert not any("0143" in text for text in workshop.embedder.embedded)
    for table, column in (("chunks", "text"), ("stage_results", "convert_from(result, 'LATIN1')")):
        assert await workshop.row(f"SELECT count(*) FROM {table} WHERE {column} LIKE '%%0143%%'") == (0,), table


async def test_a_blocked_document_fails_with_a_reason_and_leaves_no_text(workshop: Workshop) -> None:
    workshop.policies.set({PiiKind.EMAIL: PrivacyAction.BLOCK, PiiKind.PHONE: PrivacyAction.BLOCK})
    document, job = await workshop.take_in(TEXT)
    await workshop.ingestion().run(job.job_id, not_told)
    ended = await state(workshop, job)
    assert (ended.state, ended.attempt) == (JobState.FAILED, 1)
    assert ended.failure is not None
    assert ended.failure.reason == "PersonalDataBlocked"
    assert "1 of email, 1 of phone" in ended.failure.message
    assert (await workshop.catalog.get(ANA, document.document_id)).state is DocumentState.FAILED
    assert await workshop.row("SELECT count(*) FROM stage_results") == (0,)
    assert await workshop.row("SELECT count(*) FROM chunks") == (0,)
    assert workshop.embedder.embedded == {}
    workshop.policies.set({})
    await PostgresJobControl(workshop.pool).replay(ANA, job.job_id)
    await workshop.ingestion().run(job.job_id, not_told)
    assert (await state(workshop, job)).state is JobState.SUCCEEDED
