"""`pinakes dead-letters`."""

from __future__ import annotations

import json

from pinakes.v1 import document_service_pb2 as documents
from tests.contract import scripted_server as server
from tests.contract.cli.runner import Pinakes
from tests.contract.cli.wire import READING, UNREADABLE, job
from tests.contract.scripted_server import Script


async def test_dead_letters_are_listed_replayed_and_discarded(pinakes: Pinakes, script: Script) -> None:
    failure = documents.Failure(reason=UNREADABLE, message="page 2 is broken")
    dead = job("FAILED", attempt=3, stage=READING, trace_id="call-1", failure=failure).job
    dead.end_time.FromSeconds(0)
    letter = documents.DeadLetter(job=dead, document_name="[a].pdf")
    script.on("ListDeadLetters", server.returns(documents.ListDeadLettersResponse(dead_letters=[letter])))
    result = await pinakes("dead-letters", "list", "--reason", "unreadable_document", "--since", "2026-01-31")
    assert result.exit_code == 0, result.output
    row = result.output.splitlines()[1]
    for shown in ("j-1", "[a].pdf", "1970-01-01 00:00:00", "3", "extract", "page 2 is broken", "call-1"):
        assert shown in row
    request = script.seen("ListDeadLetters")[0].request
    assert (request.reason, request.failed.not_before.seconds) == (UNREADABLE, 1769817600)
    assert json.loads((await pinakes("dead-letters", "list", "--json")).stdout)["document_name"] == "[a].pdf"
    script.on("ReplayDeadLetter", server.returns(documents.ReplayDeadLetterResponse(job=dead)))
    script.on("DiscardDeadLetter", server.returns(documents.DiscardDeadLetterResponse()))
    assert (await pinakes("dead-letters", "replay", "j-1", "j-2")).output == "replayed j-1\nreplayed j-2\n"
    assert (await pinakes("dead-letters", "discard", "j-3")).output == "discarded j-3\n"
    assert [call.request.job_id for call in script.seen("ReplayDeadLetter")] == ["j-1", "j-2"]
    assert [call.request.job_id for call in script.seen("DiscardDeadLetter")] == ["j-3"]


async def test_a_reason_that_is_none_is_not_asked_for(pinakes: Pinakes, script: Script) -> None:
    result = await pinakes("dead-letters", "list", "--reason", "bad luck")
    assert result.exit_code == 2
    assert "--reason" in result.stderr
    assert script.calls == []
