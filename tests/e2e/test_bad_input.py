"""Bad input gets a clear status and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from pinakes import AsyncClient
from pinakes.errors import (
    DeadLetterNotFound,
    DocumentExists,
    DocumentNotFound,
    InvalidField,
    JobNotFound,
    ModelNotInstalled,
    PinakesError,
    UnreadableDocument,
    UnsupportedFormat,
)
from tests.whole_stack import SAMPLES, WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]

UNKNOWN = "0190a6c4-1111-7000-8000-000000000000"
Call = Callable[[AsyncClient], Awaitable[object]]


async def listed(client: AsyncClient) -> set[str]:
    return {document.document_id async for document in client.documents.list()}


def blobs(stack: WholeStack) -> set[str]:
    return {path.name for path in (stack.data / "blobs").rglob("*") if path.is_file()}


def upload(data: bytes, name: str) -> Call:
    return lambda client: client.documents.upload(data, name=name)


def replacing(document_id: str) -> Call:
    return lambda client: client.documents.upload(b"new text", name="n", replaced_document_id=document_id)


async def watched(client: AsyncClient) -> None:
    async for _ in client.documents.watch(UNKNOWN):
        pass


REFUSALS: list[tuple[str, Call, type[PinakesError], str]] = [
    ("zero bytes", upload(b"", "empty.pdf"), UnreadableDocument, "INVALID_ARGUMENT"),
    (
        "a program named .pdf",
        upload(b"\x7fELF" + bytes(range(256)) * 8, "x.pdf"),
        UnsupportedFormat,
        "INVALID_ARGUMENT",
    ),
    (
        "a truncated PDF",
        upload((SAMPLES / "staff-handbook.pdf").read_bytes()[:2_000], "cut.pdf"),
        UnreadableDocument,
        "INVALID_ARGUMENT",
    ),
    ("no name", upload(b"text", " "), InvalidField, "INVALID_ARGUMENT"),
    ("a long query", lambda client: client.search("x" * 10_001), InvalidField, "INVALID_ARGUMENT"),
    ("an empty question", lambda client: client.answer_text(" "), InvalidField, "INVALID_ARGUMENT"),
    ("an unknown document", lambda client: client.documents.get(UNKNOWN), DocumentNotFound, "NOT_FOUND"),
    ("a malformed id", lambda client: client.documents.get("no-id"), DocumentNotFound, "NOT_FOUND"),
    ("deleting nothing", lambda client: client.documents.delete(UNKNOWN), DocumentNotFound, "NOT_FOUND"),
    ("reindexing nothing", lambda client: client.documents.reindex(UNKNOWN), DocumentNotFound, "NOT_FOUND"),
    ("replacing nothing", replacing(UNKNOWN), DocumentNotFound, "NOT_FOUND"),
    ("cancelling nothing", lambda client: client.documents.cancel(UNKNOWN), JobNotFound, "NOT_FOUND"),
    ("replaying nothing", lambda client: client.documents.replay(UNKNOWN), DeadLetterNotFound, "NOT_FOUND"),
    ("discarding nothing", lambda client: client.documents.discard(UNKNOWN), DeadLetterNotFound, "NOT_FOUND"),
    ("watching nothing", watched, JobNotFound, "NOT_FOUND"),
    ("no reranker", lambda client: client.rerank("q", ["text"]), ModelNotInstalled, "FAILED_PRECONDITION"),
    ("no image", lambda client: client.recognize_text(b"no image"), UnreadableDocument, "INVALID_ARGUMENT"),
]


@pytest.mark.parametrize(("call", "error", "code"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
async def test_bad_input_is_refused_and_changes_nothing(
    stack: WholeStack, call: Call, error: type[PinakesError], code: str
) -> None:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        before, stored = await listed(client), blobs(stack)
        with pytest.raises(error) as refusal:
            await call(client)
        assert refusal.value.code == code
        assert refusal.value.reason
        assert await listed(client) == before
    assert blobs(stack) <= stored, "the bytes of a refused upload stay nowhere"


async def test_the_same_bytes_are_stored_once(stack: WholeStack) -> None:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        first = await client.documents.upload(b"# The only copy\n\nIt is here.", name="one.md")
        with pytest.raises(DocumentExists) as refusal:
            await client.documents.upload(b"# The only copy\n\nIt is here.", name="two.md")
        assert refusal.value.code == "ALREADY_EXISTS"
        assert refusal.value.document_id == first.document.document_id
        await client.documents.wait(first.job, timeout_s=120)
        token = await client.documents.delete(first.document.document_id)
        results = await client.search("the only copy is here", consistency_token=token)
        found = {ranked.passage.document_id for ranked in results.passages}
        assert first.document.document_id not in found
        with pytest.raises(DocumentNotFound):
            await client.documents.get(first.document.document_id)
