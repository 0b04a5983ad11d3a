"""The embedded NATS."""

from __future__ import annotations

import socket
import urllib.parse
import uuid
from pathlib import Path

import nats
import pytest

from server.embedded.nats import EmbeddedNats
from server.embedded.process import running

pytestmark = pytest.mark.stack


async def test_an_acknowledged_message_survives_kill_9(tmp_path: Path, environment: dict[str, str]) -> None:
    server = EmbeddedNats(tmp_path / "data", environment)
    with running(server, tmp_path / "log") as process:
        connection = await nats.connect(server.url, allow_reconnect=False)
        stream = connection.jetstream()
        await stream.add_stream(name="kept", subjects=["kept"])
        await stream.publish("kept", b"seven")
        await connection.close()
        process.kill()
    restarted = EmbeddedNats(tmp_path / "data", environment)
    with running(restarted, tmp_path / "log"):
        connection = await nats.connect(restarted.url)
        message = await connection.jetstream().get_msg("kept", 1)
        await connection.close()
    assert message.data == b"seven"


def test_every_message_is_synced(tmp_path: Path, environment: dict[str, str]) -> None:
    server = EmbeddedNats(tmp_path / "data", environment)
    server.prepare()
    configuration = tmp_path / "data" / "nats.conf"
    assert '"sync_interval": "1s"' in configuration.read_text()
    assert configuration.stat().st_mode & 0o077 == 0


def test_nobody_enters_without_the_token(nats_url: str) -> None:
    address = urllib.parse.urlsplit(nats_url)
    assert address.hostname
    with socket.create_connection((address.hostname, address.port or 0), timeout=10) as connection:
        connection.sendall(b'CONNECT {"verbose": false, "auth_token": "wrong"}\r\nPING\r\n')
        with connection.makefile("rb") as answers:
            assert answers.readline().startswith(b"INFO ")
            assert b"Authorization Violation" in answers.readline()


async def test_the_fixture_has_jetstream(nats_url: str) -> None:
    name = f"mine-{uuid.uuid4().hex}"
    connection = await nats.connect(nats_url)
    stream = connection.jetstream()
    await stream.add_stream(name=name, subjects=[name])
    assert (await stream.publish(name, b"kept")).seq == 1
    await connection.close()
