"""Pinakes without its SDK: what a caller in any language does, with nothing but gRPC and the generated stubs.

    python stubs_only.py HOST:PORT report.pdf "What does the report say about rivers?" KEY_FILE

Every call carries the API key of the file as metadata.

Uploads a document, follows its ingestion, searches, streams an answer, cancels one half-way, and reads the details of
an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from pinakes.v1 import answer_service_pb2 as answers
from pinakes.v1 import answer_service_pb2_grpc, document_service_pb2_grpc, search_service_pb2_grpc
from pinakes.v1 import document_service_pb2 as documents
from pinakes.v1 import search_service_pb2 as searches

PART_BYTES = 256 * 1024


class Caller(NamedTuple):
    """A connection, and what says who calls. Over another network than this machine's own, take a secure channel."""

    channel: grpc.Channel
    metadata: tuple[tuple[str, str], ...]


def upload_parts(path: Path) -> Iterator[documents.UploadDocumentRequest]:
    """The header first, then the bytes in order."""
    header = documents.UploadHeader(name=path.name, request_id=f"stubs-only-{path.name}-{path.stat().st_mtime_ns}")
    yield documents.UploadDocumentRequest(header=header)
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            yield documents.UploadDocumentRequest(data=part)


def ingest(caller: Caller, path: Path) -> documents.Job:
    """Uploads the document and watches its job to the end."""
    stub = document_service_pb2_grpc.DocumentServiceStub(caller.channel)
    uploaded = stub.UploadDocument(upload_parts(path), timeout=300, metadata=caller.metadata)
    print(f"uploaded {uploaded.document.name} as {uploaded.document.document_id}")
    job = uploaded.job
    for response in stub.WatchJob(documents.WatchJobRequest(job_id=job.job_id), timeout=600, metadata=caller.metadata):
        job = response.job
        stage = documents.IngestionStage.Name(job.stage).removeprefix("INGESTION_STAGE_").lower()
        print(f"  {stage}: {job.pages_done} of {job.pages_total} pages")
    if job.state != documents.JOB_STATE_SUCCEEDED:
        raise SystemExit(f"the ingestion failed: {job.failure.message}")
    return job


def search(caller: Caller, query: str, consistency_token: str) -> None:
    """The token makes sure that the search sees what was just ingested."""
    stub = search_service_pb2_grpc.SearchServiceStub(caller.channel)
    request = searches.SearchRequest(query=query, limit=3, consistency_token=consistency_token)
    for ranked in stub.Search(request, timeout=30, metadata=caller.metadata).passages:
        pages = [region.page for region in ranked.passage.regions]
        print(f"  {ranked.score:.3f} {ranked.passage.document_name} {pages} {ranked.passage.text[:60]!r}")


def answer(caller: Caller, question: str, consistency_token: str) -> str:
    """Prints the text as it comes, and where each sentence comes from."""
    stub = answer_service_pb2_grpc.AnswerServiceStub(caller.channel)
    request = answers.AnswerRequest(question=question, consistency_token=consistency_token)
    text = ""
    for response in stub.Answer(request, timeout=120, metadata=caller.metadata):
        match response.WhichOneof("event"):
            case "delta":
                text += response.delta.text
            case "citation":
                cited = response.citation
                boxes = [box for region in cited.regions for box in region.boxes]
                print(
                    f"  {text[cited.start : cited.end]!r} <- {cited.document_name}: {cited.quote!r}, {len(boxes)} boxes"
                )
            case "completion":
                print(f"  {answers.AnswerStatus.Name(response.completion.status)}: {text}")
                for timing in response.completion.timings:
                    print(f"  {timing.stage}: {timing.duration.ToNanoseconds() / 1e6:.1f} ms")
    return text


def cancel_half_way(caller: Caller, question: str) -> None:
    """Cancelling the call stops the generation on the server."""
    stub = answer_service_pb2_grpc.AnswerServiceStub(caller.channel)
    call = stub.Answer(answers.AnswerRequest(question=question), timeout=120, metadata=caller.metadata)
    try:
        for response in call:
            if response.WhichOneof("event") == "delta":
                call.cancel()
    except grpc.RpcError as error:
        print(f"  {error.code().name}")


def read_an_error(caller: Caller) -> None:
    """Decide on the reason in ErrorInfo, never on the message; wait as RetryInfo says before another try."""
    stub = search_service_pb2_grpc.SearchServiceStub(caller.channel)
    try:
        stub.Search(searches.SearchRequest(query=""), timeout=30, metadata=caller.metadata)
    except grpc.RpcError as error:
        print(f"  {error.code().name}: {error.details()}")
        status = rpc_status.from_call(cast(grpc.Call, error))  # what grpc raises is the failed call itself
        for packed in status.details if status else ():
            info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            retry = error_details_pb2.RetryInfo()
            if packed.Unpack(info):
                print(f"  reason {info.reason} of {info.domain}")
            elif packed.Unpack(bad_request):
                for violation in bad_request.field_violations:
                    print(f"  field {violation.field}: {violation.description}")
            elif packed.Unpack(retry):
                print(f"  retry after {retry.retry_delay.ToMilliseconds()} ms")


def main(address: str, path: Path, question: str, key_file: Path) -> None:
    key = key_file.read_text().strip()
    with grpc.insecure_channel(address) as channel:
        caller = Caller(channel, (("authorization", f"Bearer {key}"),))
        job = ingest(caller, path)
        print("search")
        search(caller, question, job.success.consistency_token)
        print("answer")
        answer(caller, question, job.success.consistency_token)
        print("cancel")
        cancel_half_way(caller, question)
        print("error")
        read_an_error(caller)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
