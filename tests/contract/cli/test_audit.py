"""`pinakes audit`, against the scripted server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner, Result

from pinakes.cli.main import app
from pinakes.v1 import audit_service_pb2 as wire
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script

Pinakes = Callable[..., Awaitable[Result]]

ENTRY = wire.AuditEntry(
    audit_class=wire.AUDIT_CLASS_AUDIT,
    sequence=7,
    time=Timestamp(seconds=1_790_000_000),
    actor_kind=wire.AUDIT_ACTOR_KIND_USER,
    actor_id="ana",
    action="DocumentService/DeleteDocument",
    object_kind="document",
    object_id="d1",
    result="OK",
)
HOLDS = wire.AuditReport(audit_class=wire.AUDIT_CLASS_AUDIT, first_sequence=1, last_sequence=9)
BROKEN = wire.AuditReport(
    audit_class=wire.AUDIT_CLASS_ACCESS,
    first_sequence=1,
    last_sequence=4,
    broken=wire.AuditBreak(sequence=4, reason=wire.AUDIT_BREAK_REASON_CHANGED),
)
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = PRIVATE.public_key().public_bytes_raw().hex()


@pytest.fixture
async def pinakes(address: str) -> Pinakes:
    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["--server", address, "audit", *arguments])

    return run


def canonical(members: object) -> str:
    return json.dumps(members, sort_keys=True, separators=(",", ":"))


def empty_export() -> list[str]:
    """Made by the format's description, not by the server's code."""
    header = {
        "kind": "pinakes.audit.export",
        "format": 1,
        "tenant": "acme",
        "class": "audit",
        "previous_sequence": 3,
        "previous_hash": "ab" * 32,
        "public_keys": {"k1": PUBLIC},
    }
    statement = {
        "purpose": "exported",
        "tenant": "acme",
        "class": "audit",
        "sequence": 3,
        "hash": "ab" * 32,
        "time_us": 5,
    }
    signature = PRIVATE.sign(b"pinakes.audit.statement.v1\0" + canonical(statement).encode()).hex()
    end = {"kind": "pinakes.audit.end", "statement": {**statement, "key_id": "k1", "signature": signature}}
    return [canonical(header), canonical(end)]


async def test_entries_are_listed_as_they_are_asked_for(pinakes: Pinakes, script: Script) -> None:
    script.on("QueryAuditLog", server.returns(wire.QueryAuditLogResponse(entries=[ENTRY] * 3)))
    shown = await pinakes(
        "list", "--class", "audit", "--object", "document:d1", "--since", "2026-01-02", "--limit", "2"
    )
    assert shown.stdout.count("DocumentService/DeleteDocument") == 2
    [asked] = [seen.request for seen in script.seen("QueryAuditLog")]
    assert (asked.audit_class, asked.object_kind, asked.object_id) == (wire.AUDIT_CLASS_AUDIT, "document", "d1")
    assert asked.not_before.ToDatetime().isoformat() == "2026-01-02T00:00:00"
    told = json.loads((await pinakes("list", "--json", "--limit", "1")).stdout)
    assert (told["sequence"], told["actor_id"], told["result"]) == (7, "ana", "OK")


async def test_a_broken_chain_is_told_and_fails(pinakes: Pinakes, script: Script) -> None:
    progress = wire.AuditProgress(audit_class=wire.AUDIT_CLASS_AUDIT, sequence=3, last_sequence=9)
    events = [wire.VerifyAuditLogResponse(progress=progress), wire.VerifyAuditLogResponse(report=HOLDS)]
    script.on("VerifyAuditLog", server.streams(*events))
    holds = await pinakes("verify")
    assert holds.exit_code == 0 and "audit: holds, entries 1 to 9" in holds.stdout
    script.on("VerifyAuditLog", server.streams(*events, wire.VerifyAuditLogResponse(report=BROKEN)))
    broken = await pinakes("verify", "--class", "access", "--first-sequence", "2")
    assert broken.exit_code == 1 and "access: broken at entry 4: changed" in broken.stdout
    asked = script.seen("VerifyAuditLog")[-1].request
    assert (asked.audit_class, asked.first_sequence) == (wire.AUDIT_CLASS_ACCESS, 2)


async def test_an_export_is_written_and_verified_without_the_server(
    pinakes: Pinakes, script: Script, tmp_path: Path
) -> None:
    lines = empty_export()
    script.on("ExportAuditLog", server.streams(*(wire.ExportAuditLogResponse(lines=[line]) for line in lines)))
    file = tmp_path / "audit.jsonl"
    assert (await pinakes("export", str(file), "--class", "access")).exit_code == 0
    assert script.seen("ExportAuditLog")[0].request.audit_class == wire.AUDIT_CLASS_ACCESS
    assert file.read_text() == "".join(line + "\n" for line in lines)
    unsure = await pinakes("verify", str(file))
    assert unsure.exit_code == 0 and PUBLIC in unsure.stdout.replace("\n", "")
    sure = await pinakes("verify", str(file), "--key", PUBLIC)
    assert sure.exit_code == 0 and "acme/audit: holds, no entries" in sure.stdout and PUBLIC not in sure.stdout
    assert (await pinakes("verify", str(file), "--key", "00" * 32)).exit_code == 1
    file.write_text(lines[0] + "\n")
    cut = await pinakes("verify", str(file))
    assert cut.exit_code == 1 and "the end is missing" in cut.stderr
