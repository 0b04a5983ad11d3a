"""What is refused leaves nothing; what is accepted stays."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.adapters.postgres.blob_references import PostgresBlobReferences
from server.adapters.postgres.database_identity import database_id
from server.application.document_ports import NewDocument
from server.application.sweep_blobs import SweepBlobs, SweepOptions
from server.application.upload_document import UploadHeader, UploadOptions
from server.domain.deadline import Deadline
from server.domain.documents import Document, DocumentState, Job, JobState
from server.domain.errors import (
    DependencyUnavailable,
    DocumentExists,
    DocumentTooLarge,
    EncryptedDocument,
    InvalidField,
    Overloaded,
    PinakesError,
    StageDeadline,
    UnreadableDocument,
)
from server.domain.principals import AccessList, Principal
from tests.server.ingestion.conftest import ANA, PATIENCE_S, Workshop, parts_of, stopped


def blobs_of(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


async def test_an_upload_is_a_document_a_job_and_a_blob(workshop: Workshop, tmp_path: Path) -> None:
    header = UploadHeader("report.txt", tags=("b", "a", "b"), allowed_groups=("sales",))
    document, job = await workshop.upload.run(ANA, header, parts_of("page 1\fpage 2"), Deadline.after(PATIENCE_S))
    assert (document.state, job.state) == (DocumentState.PROCESSING, JobState.PENDING)
    assert (document.name, document.tags, document.size_bytes) == ("report.txt", ("a", "b"), 13)
    assert document.access == AccessList("ana", ("sales",), tenant_wide=False)
    assert document.job_id == job.job_id
    [blob] = blobs_of(tmp_path)
    async with workshop.blobs.open(ANA.tenant, blob.name) as path:
        assert path.read_text() == "page 1\fpage 2"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", UnreadableDocument),
        ("bad bytes", UnreadableDocument),
        ("encrypted bytes", EncryptedDocument),
        ("x" * 10_001, DocumentTooLarge),
    ],
)
async def test_what_cannot_be_read_leaves_nothing(
    workshop: Workshop, tmp_path: Path, text: str, error: type[PinakesError]
) -> None:
    with pytest.raises(error):
        await workshop.take_in(text)
    assert blobs_of(tmp_path) == []
    assert await workshop.row("SELECT count(*) FROM documents") == (0,)


async def test_a_duplicate_leaves_one_blob(workshop: Workshop, tmp_path: Path) -> None:
    document, _ = await workshop.take_in("the same")
    with pytest.raises(DocumentExists) as refusal:
        await workshop.take_in("the same", name="another name")
    assert refusal.value.document_id == document.document_id
    assert len(blobs_of(tmp_path)) == 1


async def test_a_repeated_request_returns_the_first_call(workshop: Workshop, tmp_path: Path) -> None:
    first = await workshop.take_in("bytes", request_id="r")
    assert await workshop.take_in("bytes", request_id="r") == first
    assert len(blobs_of(tmp_path)) == 1


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (UploadHeader(""), "header.name"),
        (UploadHeader(" "), "header.name"),
        (UploadHeader("x" * 513), "header.name"),
        (UploadHeader("a\0b"), "header.name"),
        (UploadHeader("a", request_id="r" * 129), "header.request_id"),
        (UploadHeader("a", tags=("t",) * 33), "header.tags"),
        (UploadHeader("a", tags=("ok", "")), "header.tags[1]"),
        (UploadHeader("a", tags=("t" * 65,)), "header.tags[0]"),
        (UploadHeader("a", allowed_groups=("\ud800",)), "header.allowed_groups[0]"),
    ],
)
async def test_a_field_that_breaks_its_rule_is_named(workshop: Workshop, header: UploadHeader, field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        await workshop.upload.run(ANA, header, parts_of("x"), Deadline.after(PATIENCE_S))
    assert refusal.value.field == field


async def test_more_uploads_at_a_time_than_allowed_are_refused(workshop: Workshop) -> None:
    upload = workshop.uploader(UploadOptions(max_parallel=2))
    gate = asyncio.Event()

    async def waiting(text: str) -> AsyncIterator[bytes]:
        yield text.encode()
        await gate.wait()

    def start(text: str) -> asyncio.Task[tuple[Document, Job]]:
        return asyncio.create_task(upload.run(ANA, UploadHeader("name"), waiting(text), Deadline.after(PATIENCE_S)))

    running = [start("one"), start("two")]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await start("three")
    gate.set()
    await asyncio.gather(*running)
    await start("three")


async def test_a_silent_caller_loses_its_place(workshop: Workshop, tmp_path: Path) -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    upload = workshop.uploader(UploadOptions(max_silence_s=0.1, max_parallel=1))
    for _ in range(2):
        with pytest.raises(StageDeadline):
            await upload.run(ANA, UploadHeader("name"), silent(), Deadline.after(PATIENCE_S))
    with pytest.raises(StageDeadline):
        await workshop.upload.run(ANA, UploadHeader("name"), silent(), Deadline.after(0.1))
    assert blobs_of(tmp_path) == []


async def test_a_blob_stays_while_it_is_unknown_whether_its_document_was_accepted(
    workshop: Workshop, tmp_path: Path
) -> None:
    accept = workshop.catalog.accept

    async def accepted_but_not_told(principal: Principal, new: NewDocument) -> tuple[Document, Job, bool]:
        await accept(principal, new)
        raise DependencyUnavailable("PostgreSQL", "the connection broke during the commit")

    workshop.catalog.accept = accepted_but_not_told  # type: ignore[method-assign]
    with pytest.raises(DependencyUnavailable):
        await workshop.take_in("page")
    assert len(blobs_of(tmp_path)) == 1
    assert await workshop.row("SELECT state FROM documents") == ("processing",)


async def test_the_sweep_removes_what_no_document_refers_to(workshop: Workshop, tmp_path: Path) -> None:
    await workshop.take_in("kept")
    [kept] = blobs_of(tmp_path)
    stray = await workshop.blobs.put(ANA.tenant, parts_of("stray"), 100)
    deleted, _ = await workshop.take_in("deleted, but the process died before it deleted the blob")
    await workshop.catalog.delete(ANA, deleted.document_id)
    references = PostgresBlobReferences(workshop.pool, await database_id(workshop.pool))
    assert await SweepBlobs(workshop.blobs, references, SweepOptions()).sweep() == 0, "all are young"
    others = PostgresBlobReferences(workshop.pool, str(uuid.uuid4()))
    assert await SweepBlobs(workshop.blobs, others, SweepOptions(grace_s=0.0)).sweep() == 0, "not this database's"
    assert await SweepBlobs(workshop.blobs, references, SweepOptions(grace_s=0.0, batch=2)).sweep() == 2
    assert blobs_of(tmp_path) == [kept]
    assert stray.key not in str(blobs_of(tmp_path))


async def test_the_first_sweep_comes_after_a_grace_period(workshop: Workshop) -> None:
    swept = asyncio.Event()

    async def older_than(age_s: float) -> list[str]:
        swept.set()
        return []

    workshop.blobs.older_than = older_than  # type: ignore[method-assign]
    references = PostgresBlobReferences(workshop.pool, await database_id(workshop.pool))
    early = asyncio.create_task(SweepBlobs(workshop.blobs, references, SweepOptions(grace_s=3_600.0)).run())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not swept.is_set()
    due = asyncio.create_task(SweepBlobs(workshop.blobs, references, SweepOptions(grace_s=0.0)).run())
    async with asyncio.timeout(PATIENCE_S):
        await swept.wait()
    await stopped(early)
    await stopped(due)


async def test_a_deletion_erases_the_blob_and_can_be_repeated(workshop: Workshop, tmp_path: Path) -> None:
    document, _ = await workshop.take_in("page")
    position = await workshop.delete.run(ANA, document.document_id)
    assert blobs_of(tmp_path) == []
    assert await workshop.delete.run(ANA, document.document_id) == position
