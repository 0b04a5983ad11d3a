"""`pinakes documents`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from pinakes.v1 import document_service_pb2 as documents
from tests.contract import scripted_server as server
from tests.contract.cli.runner import Pinakes
from tests.contract.cli.wire import BROKEN, DONE, job
from tests.contract.scripted_server import Script


@pytest.fixture
def stored() -> documents.Document:
    uploaded = Timestamp()
    uploaded.FromDatetime(datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    return documents.Document(
        document_id="d-1", name="[a].pdf", state=documents.DOCUMENT_STATE_READY, job_id="j-1", create_time=uploaded
    )


async def test_list(pinakes: Pinakes, script: Script, stored: documents.Document) -> None:
    script.on("ListDocuments", server.returns(documents.ListDocumentsResponse(documents=[stored])))
    result = await pinakes("documents", "list", "--state", "ready")
    assert "d-1  [a].pdf  ready" in result.output
    assert "2026-01-02 03:04" in result.output
    assert script.seen("ListDocuments")[0].request.state == documents.DOCUMENT_STATE_READY
    listed = json.loads((await pinakes("documents", "list", "--json")).stdout)
    assert listed["create_time"] == "2026-01-02T03:04:00+00:00"


async def test_get_and_watch(pinakes: Pinakes, script: Script, stored: documents.Document) -> None:
    script.on("GetDocument", server.returns(documents.GetDocumentResponse(document=stored)))
    script.on("WatchJob", DONE)
    assert "[a].pdf" in (await pinakes("documents", "get", "d-1")).output
    result = await pinakes("documents", "watch", "d-1")
    assert result.output.splitlines() == ["extract: 0 of 2 pages", "succeeded"]
    script.on("WatchJob", BROKEN)
    result = await pinakes("documents", "watch", "d-1")
    assert (result.exit_code, result.stderr) == (1, "pinakes: page 2 is broken (UNREADABLE_DOCUMENT)\n")


async def test_delete(pinakes: Pinakes, script: Script) -> None:
    script.on(
        "DeleteDocument",
        server.returns(documents.DeleteDocumentResponse()),
        server.fails(grpc.StatusCode.NOT_FOUND, "document d-2 does not exist", server.reason("DOCUMENT_NOT_FOUND")),
    )
    result = await pinakes("documents", "delete", "d-1", "d-2")
    assert (result.exit_code, result.stdout) == (1, "deleted d-1\n")
    assert result.stderr == "pinakes: document d-2 does not exist (DOCUMENT_NOT_FOUND)\n"


async def test_pages_and_thumbnails_are_saved(pinakes: Pinakes, script: Script, tmp_path: Path) -> None:
    view = documents.GetPageImageResponse(image=b"page", media_type="image/jpeg", width=300, height=200, scale=2.0)
    script.on("GetPageImage", server.returns(view))
    out = tmp_path / "out.jpg"
    arguments = ("documents", "page", "d-1", "2", "--out", str(out), "--scale", "2", "--box", "1,2,3,4.5")
    assert "300 x 200 pixels" in (await pinakes(*arguments)).output
    request = script.seen("GetPageImage")[0].request
    assert (request.document_id, request.page, request.scale) == ("d-1", 2, 2.0)
    assert [(box.x0, box.y0, box.x1, box.y1) for box in request.boxes] == [(1, 2, 3, 4.5)]
    assert out.read_bytes() == b"page"
    script.on("GetThumbnail", server.returns(documents.GetThumbnailResponse(image=b"small", media_type="image/jpeg")))
    await pinakes("documents", "thumbnail", "d-1", "-o", str(out))
    assert out.read_bytes() == b"small"
    refused = await pinakes("documents", "page", "d-1", "1", "-o", str(out), "--box", "1,2,3")
    assert refused.exit_code == 2


async def test_documents_are_cancelled_and_reindexed(pinakes: Pinakes, script: Script) -> None:
    found = documents.GetDocumentResponse(document=documents.Document(document_id="d-1", job_id="j-1"))
    script.on("GetDocument", server.returns(found))
    script.on("CancelJob", server.returns(documents.CancelJobResponse(job=job("CANCELLED").job)))
    assert (await pinakes("documents", "cancel", "d-1")).output == "j-1: cancelled\n"
    assert script.seen("CancelJob")[0].request.job_id == "j-1"
    again = documents.ReindexDocumentResponse(job=job("PENDING", revision=2).job)
    script.on("ReindexDocument", server.returns(again))
    assert (await pinakes("documents", "reindex", "d-1")).output == "d-1: revision 2, job j-1\n"
    await pinakes("documents", "reindex", "--extract", "d-1")
    stages = [call.request.first_stage for call in script.seen("ReindexDocument")]
    assert stages == [documents.INGESTION_STAGE_CHUNK, documents.INGESTION_STAGE_EXTRACT]
