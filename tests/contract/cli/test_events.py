"""`pinakes events`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from pinakes.v1 import event_service_pb2 as events
from tests.contract import scripted_server as server
from tests.contract.cli.runner import Pinakes
from tests.contract.scripted_server import Script


def told(number: int, **body: Any) -> events.SubscribeResponse:
    happened = events.Event(event_id=f"e{number}", time=Timestamp(seconds=1_767_323_045), **body)
    return events.SubscribeResponse(event=happened, resume_token=f"t{number}")


async def test_events_go_on_where_they_were(pinakes: Pinakes, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinakes.cli.events._PAUSE_S", 0.0)
    uploaded = events.DocumentUploaded(document_id="d", revision=2, job_id="j")
    alert = events.SystemAlert(kind=events.ALERT_KIND_INDEX_DAMAGED, subject="g", problem="[b]a file[/b]")
    refused = server.fails(grpc.StatusCode.PERMISSION_DENIED, "no more")
    script.on(
        "Subscribe",
        server.streams(
            events.SubscribeResponse(resume_token="t0"), told(1, document_uploaded=uploaded), then=server.unavailable()
        ),
        server.streams(
            then=server.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watches", server.reason("OVERLOADED"))
        ),
        server.streams(told(2, system_alert=alert), then=refused),
    )
    result = await pinakes("events", "--since", "2026-01-02", "--only", "document_uploaded", "--only", "system_alert")
    assert result.stdout.splitlines() == [
        "2026-01-02 03:04:05 document_uploaded document_id=d revision=2 job_id=j",
        "2026-01-02 03:04:05 system_alert kind=index_damaged subject=g problem=[b]a file[/b]",
    ]
    first, *_, last = (call.request for call in script.seen("Subscribe"))
    assert first.start_time.ToDatetime(tzinfo=UTC) == datetime(2026, 1, 2, tzinfo=UTC)
    assert list(first.types) == [events.EVENT_TYPE_DOCUMENT_UPLOADED, events.EVENT_TYPE_SYSTEM_ALERT]
    assert last.resume_token == "t1"
    assert (result.exit_code, "no more" in result.stderr) == (1, True)


async def test_events_as_json(pinakes: Pinakes, script: Script) -> None:
    deleted = events.DocumentDeleted(document_id="d")
    refused = server.fails(grpc.StatusCode.PERMISSION_DENIED, "no more")
    several = told(1, document_deleted=deleted)
    several.further.add(event=told(2, document_deleted=deleted).event, resume_token="t2")
    several.further.add(resume_token="t3")
    script.on("Subscribe", server.streams(several, told(4), then=refused))
    lines = [json.loads(line) for line in (await pinakes("events", "--json")).stdout.splitlines()]
    assert [(line["type"], line["body"], line["resume_token"]) for line in lines] == [
        ("document_deleted", {"document_id": "d"}, "t1"),
        ("document_deleted", {"document_id": "d"}, "t2"),
        ("unknown", None, "t4"),
    ]
    assert script.seen("Subscribe")[0].request.several
