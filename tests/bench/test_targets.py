"""Load goes to this machine only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.targets import Endpoints, RefusedTarget


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.7:7700",
        "192.0.2.1:7700",
        "0.0.0.0:7700",
        "example.org:7700",
        "localhost:7700",
        "127.0.0.1.example.org:7700",
        "127.0.0.1@192.0.2.1:7700",
        "dns:///example.org:7700",
        "ipv4:192.0.2.1:7700",
        "127.0.0.1:7700,192.0.2.1:7700",
        "unix:/tmp/socket",
        "[::1]:7700",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:٧",
        "",
    ],
)
def test_other_targets_are_refused(address: str) -> None:
    with pytest.raises(RefusedTarget):
        Endpoints(address)
    with pytest.raises(RefusedTarget):
        Endpoints("127.0.0.1:7700", address)
    with pytest.raises(RefusedTarget):
        Endpoints("127.0.0.1:7700", None, f"nats://secret@{address}")


def test_loopback_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    nats = "nats://secret@127.0.0.1:4222"
    file.write_text(json.dumps({"server": "127.0.0.1:7700", "triton": "127.0.0.1:8001", "nats": nats}))
    endpoints = Endpoints.read(file)
    assert endpoints == Endpoints("127.0.0.1:7700", "127.0.0.1:8001", nats)
    assert "secret" not in repr(endpoints)


def test_endpoints_of_another_machine_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps({"server": "127.0.0.1:7700", "triton": "triton.internal:8001"}))
    with pytest.raises(RefusedTarget, match=r"triton\.internal"):
        Endpoints.read(file)
