"""Deadlines, attempts, cancellation and uploads, as the server sees them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import grpc
import pytest

from pinakes import AsyncClient, Client, ClientOptions, Delta, JobState, RetryPolicy, errors
from pinakes.uploads import PART_BYTES
from pinakes.v1 import answer_service_pb2, document_service_pb2, event_service_pb2, search_service_pb2
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script

FOUND = search_service_pb2.SearchResponse(index_position="7")
STORED = document_service_pb2.UploadDocumentResponse(
    document=document_service_pb2.Document(document_id="d-1"), job=document_service_pb2.Job(job_id="j-1")
)


def delta(text: str) -> answer_service_pb2.AnswerResponse:
    return answer_service_pb2.AnswerResponse(answer_id="a", delta=answer_service_pb2.Delta(text=text))


COMPLETION = answer_service_pb2.AnswerResponse(
    answer_id="a",
    completion=answer_service_pb2.Completion(status=answer_service_pb2.ANSWER_STATUS_ANSWERED),
)


def job_is(state: str) -> document_service_pb2.WatchJobResponse:
    job = document_service_pb2.Job(job_id="j-1", state=document_service_pb2.JobState.Value(f"JOB_STATE_{state}"))
    if state == "SUCCEEDED":
        job.success.consistency_token = "9"
    if state == "FAILED":
        job.failure.message = "the file is broken"
    return document_service_pb2.WatchJobResponse(job=job)


class TestRetries:
    async def test_a_call_is_tried_until_it_succeeds(self, client: AsyncClient, script: Script) -> None:
        script.on("Search", server.unavailable(), server.unavailable(), server.returns(FOUND))
        assert (await client.search("q")).index_position == "7"
        assert len(script.seen("Search")) == 3

    async def test_attempts_are_bounded(self, client: AsyncClient, script: Script) -> None:
        script.on("Search", server.unavailable())
        with pytest.raises(errors.DependencyUnavailable):
            await client.search("q")
        assert len(script.seen("Search")) == 3

    @pytest.mark.parametrize(
        ("code", "name", "attempts"),
        [
            (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE", 3),
            (grpc.StatusCode.UNAVAILABLE, "INDEX_BEHIND", 3),
            (grpc.StatusCode.UNAVAILABLE, "", 3),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", 3),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "DOCUMENT_TOO_LARGE", 1),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "", 1),
            (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", 1),
            (grpc.StatusCode.DEADLINE_EXCEEDED, "STAGE_DEADLINE", 1),
            (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_INSTALLED", 1),
            (grpc.StatusCode.INTERNAL, "INTERNAL", 1),
        ],
    )
    async def test_the_reason_decides(
        self, client: AsyncClient, script: Script, code: grpc.StatusCode, name: str, attempts: int
    ) -> None:
        script.on("Search", server.fails(code, "no", *([server.reason(name)] if name else [])))
        with pytest.raises(errors.PinakesError) as raised:
            await client.search("q")
        assert (raised.value.reason, len(script.seen("Search"))) == (name, attempts)

    async def test_the_reason_of_a_stranger_decides_nothing(self, client: AsyncClient, script: Script) -> None:
        stranger = server.reason("OVERLOADED", domain="a-proxy.example")
        script.on("Search", server.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "no", stranger))
        with pytest.raises(errors.PinakesError) as raised:
            await client.search("q")
        assert (type(raised.value), len(script.seen("Search"))) == (errors.PinakesError, 1)

    async def test_a_retry_that_would_come_too_late_is_not_made(self, client: AsyncClient, script: Script) -> None:
        script.on("Search", server.unavailable(retry_after_s=60))
        with pytest.raises(errors.DependencyUnavailable) as raised:
            await client.search("q", timeout_s=30)
        assert (raised.value.retry_after_s, len(script.seen("Search"))) == (60, 1)

    async def test_a_server_that_is_not_there(self) -> None:
        options = ClientOptions(retry=RetryPolicy(attempts=2, initial_backoff_s=0.001))
        async with AsyncClient("127.0.0.1:1", options=options) as client:
            with pytest.raises(errors.Unavailable) as raised:
                await client.search("q")
        assert raised.value.reason == ""

    async def test_a_sync_stream_gives_the_events_of_a_message_one_by_one(
        self, sync_client: Client, script: Script
    ) -> None:
        several = event_service_pb2.SubscribeResponse(resume_token="t0")
        for number in range(1, 4):
            several.further.add(resume_token=f"t{number}")
        script.on("Subscribe", server.streams(several, event_service_pb2.SubscribeResponse(resume_token="t4")))
        told = await asyncio.to_thread(lambda: [each.resume_token for each in sync_client.events.subscribe()])
        assert told == ["t0", "t1", "t2", "t3", "t4"]

    async def test_a_stream_is_tried_again_before_its_first_event_only(
        self, client: AsyncClient, script: Script
    ) -> None:
        broken = server.streams(delta("half"), then=server.unavailable())
        script.on("Answer", server.streams(then=server.unavailable()), broken)
        events = []
        with pytest.raises(errors.DependencyUnavailable):
            async for event in client.answer("q"):
                events.append(event)  # noqa: PERF401 - what came before the error counts
        assert [event.text for event in events if isinstance(event, Delta)] == ["half"]
        assert len(script.seen("Answer")) == 2

    async def test_waiting_for_a_job_outlasts_lost_connections(self, client: AsyncClient, script: Script) -> None:
        lost = server.streams(job_is("RUNNING"), then=server.unavailable())
        script.on("WatchJob", *[lost] * 7, server.streams(job_is("RUNNING"), job_is("SUCCEEDED")))
        states: list[JobState] = []
        job = await client.documents.wait("j-1", on_change=lambda job: states.append(job.state))
        assert job.success and job.success.consistency_token == "9"
        assert states == [JobState.RUNNING] * 8 + [JobState.SUCCEEDED]

    async def test_waiting_for_a_job_that_fails(self, client: AsyncClient, script: Script) -> None:
        script.on("WatchJob", server.streams(job_is("FAILED")))
        with pytest.raises(errors.IngestionFailed, match="the file is broken") as raised:
            await client.documents.wait("j-1")
        assert raised.value.job.state is JobState.FAILED


class TestDeadlines:
    async def test_the_server_sees_the_callers_deadline(self, client: AsyncClient, script: Script) -> None:
        script.on("Search", server.returns(FOUND))
        await client.search("q", timeout_s=4)
        await client.search("q")
        asked, default = (call.time_remaining_s for call in script.seen("Search"))
        assert 0 < asked < 4.5
        assert 4.5 < default < 11

    async def test_a_retry_has_only_what_is_left(self, client: AsyncClient, script: Script) -> None:
        async def slow(request: Any, context: Any) -> None:
            await asyncio.sleep(0.2)
            await server.unavailable()(request, context)

        script.on("Search", slow, server.returns(FOUND))
        await client.search("q", timeout_s=5)
        first, second = (call.time_remaining_s for call in script.seen("Search"))
        assert second < first - 0.1

    async def test_a_passed_deadline_is_an_error_of_ours(self, client: AsyncClient, script: Script) -> None:
        script.on("Answer", server.hangs())
        with pytest.raises(errors.DeadlineExceeded):
            await client.answer_text("q", timeout_s=1)
        (call,) = script.seen("Answer")
        await asyncio.wait_for(call.ended.wait(), 60)

    async def test_metadata_goes_with_every_call(self, address: str, script: Script) -> None:
        script.on("Search", server.returns(FOUND))
        async with AsyncClient(address, options=ClientOptions(metadata=(("x-who", "me"),))) as client:
            await client.search("q")
        assert script.seen("Search")[0].metadata["x-who"] == "me"


class TestCancellation:
    async def test_leaving_the_block_cancels_the_call(self, client: AsyncClient, script: Script) -> None:
        script.on("Answer", server.hangs(delta("a"), delta("b")))
        async with client.answer("q") as events:
            async for _ in events:
                break
        (call,) = script.seen("Answer")
        await asyncio.wait_for(call.ended.wait(), 5)
        assert call.cancelled

    async def test_leaving_the_loop_cancels_the_call(self, client: AsyncClient, script: Script) -> None:
        script.on("Answer", server.hangs(delta("a"), delta("b")))
        async for _ in client.answer("q"):
            break
        (call,) = script.seen("Answer")
        await asyncio.wait_for(call.ended.wait(), 5)
        assert call.cancelled

    async def test_cancelling_the_task_cancels_the_call(self, client: AsyncClient, script: Script) -> None:
        script.on("Answer", server.hangs(delta("a")))
        task = asyncio.ensure_future(client.answer_text("q"))
        await asyncio.wait_for(script.until_called("Answer"), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (call,) = script.seen("Answer")
        await asyncio.wait_for(call.ended.wait(), 5)
        assert call.cancelled

    async def test_a_closed_stream_has_ended(self, client: AsyncClient, script: Script) -> None:
        script.on("Answer", server.streams(delta("a"), delta("b"), COMPLETION))
        events = client.answer("q")
        await anext(events)
        await events.aclose()
        assert [event async for event in events] == []

    async def test_a_sync_stream_cancels_too(self, sync_client: Client, script: Script) -> None:
        script.on("Answer", server.hangs(delta("a"), delta("b")))

        def read_one() -> None:
            for _ in sync_client.answer("q"):
                break

        await asyncio.to_thread(read_one)
        (call,) = script.seen("Answer")
        await asyncio.wait_for(call.ended.wait(), 5)
        assert call.cancelled


class Received:
    """What uploads brought: the header and the parts of each attempt."""

    def __init__(self) -> None:
        self.headers: list[document_service_pb2.UploadHeader] = []
        self.parts: list[list[bytes]] = []

    async def store(self, requests: AsyncIterator[Any], context: Any) -> Any:
        await self._take(requests)
        return STORED

    async def lose(self, requests: AsyncIterator[Any], context: Any) -> None:
        await self._take(requests)
        await server.unavailable()(requests, context)

    async def _take(self, requests: AsyncIterator[Any]) -> None:
        parts: list[bytes] = []
        self.parts.append(parts)
        async for request in requests:
            if request.WhichOneof("part") == "header":
                assert not parts, "the header comes first"
                self.headers.append(request.header)
            else:
                parts.append(request.data)


CONTENT = bytes(range(256)) * (PART_BYTES // 256) * 2 + b"the rest"


class OneWay(io.BytesIO):
    def seekable(self) -> bool:
        return False


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("the disk is gone")


class TestUploads:
    @pytest.mark.parametrize("kind", ["path", "bytes", "file"])
    async def test_bytes_arrive_in_order_in_parts(
        self, client: AsyncClient, script: Script, tmp_path: Path, kind: str
    ) -> None:
        path = tmp_path / "report.pdf"
        path.write_bytes(CONTENT)
        received = Received()
        script.on("UploadDocument", received.store)
        with path.open("rb") as file:
            given: Path | bytes | BinaryIO = {"path": path, "bytes": CONTENT, "file": file}[kind]  # type: ignore[assignment]
            upload = await client.documents.upload(given, name="n", tags=["a"], allowed_groups=["g"])
        assert upload.document.document_id == "d-1"
        (header,) = received.headers
        assert (header.name, list(header.tags), list(header.allowed_groups)) == ("n", ["a"], ["g"])
        assert header.request_id
        (parts,) = received.parts
        assert [len(part) for part in parts] == [PART_BYTES, PART_BYTES, 8]
        assert b"".join(parts) == CONTENT

    @pytest.mark.parametrize("sync", [False, True])
    async def test_a_repeated_upload_is_the_same_upload(
        self, client: AsyncClient, sync_client: Client, script: Script, sync: bool
    ) -> None:
        received = Received()
        script.on("UploadDocument", received.lose, received.store)
        file = io.BytesIO(b"skipped" + CONTENT)
        file.seek(7)
        if sync:
            await asyncio.to_thread(sync_client.documents.upload, file, name="n")
        else:
            await client.documents.upload(file, name="n")
        first, second = received.headers
        assert first == second
        assert [b"".join(parts) for parts in received.parts] == [CONTENT, CONTENT]
        assert not file.closed

    async def test_what_cannot_be_rewound_is_tried_once(self, client: AsyncClient, script: Script) -> None:
        received = Received()
        script.on("UploadDocument", received.lose)
        with pytest.raises(errors.Unavailable):
            await client.documents.upload(OneWay(CONTENT), name="n")
        assert len(received.parts) == 1

    @pytest.mark.parametrize("sync", [False, True])
    async def test_a_read_error_is_told_as_it_is(
        self, client: AsyncClient, sync_client: Client, script: Script, sync: bool
    ) -> None:
        script.on("UploadDocument", Received().store)
        with pytest.raises(OSError, match="the disk is gone"):
            if sync:
                await asyncio.to_thread(sync_client.documents.upload, Broken(CONTENT), name="n")
            else:
                await client.documents.upload(Broken(CONTENT), name="n")

    @pytest.mark.parametrize("sync", [False, True])
    async def test_an_early_refusal_stops_the_upload(
        self, client: AsyncClient, sync_client: Client, script: Script, sync: bool
    ) -> None:
        details = server.reason("DOCUMENT_TOO_LARGE", limit_bytes="10")
        script.on("UploadDocument", server.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large", details))
        file = io.BytesIO(CONTENT * 200)
        with pytest.raises(errors.DocumentTooLarge) as raised:
            if sync:
                await asyncio.to_thread(sync_client.documents.upload, file, name="n")
            else:
                await client.documents.upload(file, name="n")
        assert raised.value.limit_bytes == 10
        stopped_at = file.tell()
        await asyncio.sleep(0.05)
        assert file.tell() == stopped_at < len(CONTENT) * 200

    async def test_bytes_need_a_name_and_files_must_exist(self, client: AsyncClient, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="needs a name"):
            await client.documents.upload(b"x")
        with pytest.raises(FileNotFoundError):
            await client.documents.upload(tmp_path / "none.pdf")


async def test_a_list_is_fetched_page_by_page(client: AsyncClient, script: Script) -> None:
    def page(ids: list[str], token: str) -> server.Behaviour:
        documents = [document_service_pb2.Document(document_id=id_) for id_ in ids]
        response = document_service_pb2.ListDocumentsResponse(documents=documents, next_page_token=token)
        return server.returns(response)

    script.on("ListDocuments", page(["a", "b"], "t1"), page([], "t2"), page(["c"], ""))
    listed = [document.document_id async for document in client.documents.list(tags=["x"], page_size=2)]
    assert listed == ["a", "b", "c"]
    requests = [call.request for call in script.seen("ListDocuments")]
    assert [request.page_token for request in requests] == ["", "t1", "t2"]
    assert all((request.page_size, request.tags) == (2, ["x"]) for request in requests)


async def test_an_answer_is_put_together(client: AsyncClient, script: Script) -> None:
    script.on("Answer", server.streams(delta("One. "), delta("Two."), COMPLETION))
    answer = await client.answer_text("q", max_tokens=5)
    assert (answer.answer_id, answer.text, answer.status) == ("a", "One. Two.", "answered")
    assert script.seen("Answer")[0].request.max_tokens == 5


async def test_an_answer_without_an_end_is_an_error(client: AsyncClient, script: Script) -> None:
    script.on("Answer", server.streams(delta("One. ")))
    with pytest.raises(errors.PinakesError, match="without a completion"):
        await client.answer_text("q")
