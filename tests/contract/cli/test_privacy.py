"""`pinakes privacy`, and `client.privacy`, against the scripted server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pinakes import AsyncClient
from pinakes.cli.main import app
from pinakes.privacy import PrivacyAction
from pinakes.results import MaskedSpan, PiiKind
from pinakes.v1 import passage_pb2
from pinakes.v1 import privacy_service_pb2 as wire
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script

Pinakes = Callable[..., Awaitable[Result]]

POLICY = wire.PrivacyPolicy(
    rules=[
        wire.PrivacyRule(kind=passage_pb2.PII_KIND_EMAIL, action=wire.PRIVACY_ACTION_BLOCK),
        wire.PrivacyRule(kind=passage_pb2.PII_KIND_PHONE, action=wire.PRIVACY_ACTION_OFF),
    ],
    version=3,
    updated_by="ana",
)
SCANNED = wire.ScanTextResponse(
    findings=[wire.PiiFinding(range=passage_pb2.TextRange(start=8, end=21), kind=passage_pb2.PII_KIND_EMAIL)],
    masked_text="Dear A,\n[email]\n",
)


@pytest.fixture
async def pinakes(address: str) -> Pinakes:
    async def run(*arguments: str, **more: Any) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["--server", address, "privacy", *arguments], **more)

    return run


async def test_a_policy_is_shown(pinakes: Pinakes, script: Script) -> None:
    script.on("GetPolicy", server.returns(wire.GetPolicyResponse(policy=POLICY)))
    lines = (await pinakes("get")).stdout.split("\n")
    assert [line.split() for line in lines[1:3]] == [["email", "block"], ["phone", "off"]]
    told = json.loads((await pinakes("get", "--json")).stdout)
    assert (told["actions"], told["version"], told["updated_by"]) == ({"email": "block", "phone": "off"}, 3, "ana")


async def test_rules_are_sent_as_they_are_said(pinakes: Pinakes, script: Script) -> None:
    script.on("SetPolicy", server.returns(wire.SetPolicyResponse(policy=POLICY)))
    assert (await pinakes("set", "all=mask_in_answers", "email=block")).exit_code == 0
    [seen] = script.seen("SetPolicy")
    sent = {rule.kind: rule.action for rule in seen.request.rules}
    assert len(sent) == len(seen.request.rules) == len(PiiKind) - 1
    assert sent.pop(passage_pb2.PII_KIND_EMAIL) == wire.PRIVACY_ACTION_BLOCK
    assert set(sent.values()) == {wire.PRIVACY_ACTION_MASK_IN_ANSWERS}
    for wrong in ("email", "email=hide", "name=off", "unspecified=off"):
        assert (await pinakes("set", wrong)).exit_code == 2
    assert len(script.seen("SetPolicy")) == 1


async def test_a_scan_tells_places_and_never_the_data(pinakes: Pinakes, script: Script, tmp_path: Path) -> None:
    script.on("ScanText", server.returns(SCANNED))
    file = tmp_path / "letter.txt"
    file.write_text("Dear A,\na@example.org\n", "utf-8")
    assert (await pinakes("scan", str(file))).stdout == "2:1 email\n"
    assert (await pinakes("scan", str(file), "--masked")).stdout == SCANNED.masked_text
    assert json.loads((await pinakes("scan", "-", "--json", input="x")).stdout)["findings"][0]["kind"] == "email"
    assert [seen.request.text for seen in script.seen("ScanText")] == [*[file.read_text("utf-8")] * 2, "x"]
    file.write_bytes(b"\xff\xfe\x00")
    assert (await pinakes("scan", str(file))).exit_code == 2


async def test_the_client_speaks_of_kinds_and_actions(client: AsyncClient, script: Script) -> None:
    script.on("SetPolicy", server.returns(wire.SetPolicyResponse(policy=POLICY)))
    policy = await client.privacy.set_policy({PiiKind.EMAIL: PrivacyAction.BLOCK})
    assert policy.actions[PiiKind.EMAIL] is PrivacyAction.BLOCK
    assert (policy.version, policy.update_time) == (3, None)
    script.on("ScanText", server.returns(SCANNED))
    assert (await client.privacy.scan("x")).findings == (MaskedSpan(8, 21, PiiKind.EMAIL),)
