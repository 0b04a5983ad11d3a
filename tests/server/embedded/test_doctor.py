"""The doctor finds what is wrong, and names the command that mends it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from server.embedded.console import findings_as_json
from server.embedded.doctor import Finding, Verdict, examine, healthy
from server.embedded.process import free_port
from server.embedded.stack import StackOptions


def findings(options: StackOptions) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(options)}


@pytest.fixture
def options(tmp_path: Path) -> StackOptions:
    """Embedded everything, a free address, no models."""
    return StackOptions(tmp_path / "var", tmp_path / "cache", {}, address=f"127.0.0.1:{free_port()}")


def test_a_good_machine_lacks_only_the_models(options: StackOptions) -> None:
    found = findings(options)
    failed = {subject: finding.fix for subject, finding in found.items() if finding.verdict is Verdict.FAIL}
    assert failed == {"models": "make setup"}
    assert {"python", "platform", "triton", "libpython", "postgresql", "nats", "shared memory"} <= found.keys()


def test_it_changes_nothing(options: StackOptions) -> None:
    findings(options)
    assert not options.data.exists()
    assert not options.cache.exists()


def test_an_address_in_use_is_a_failure(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = findings(StackOptions(tmp_path, tmp_path, {}, address=address))
    assert found["address"].verdict is Verdict.FAIL
    assert address in found["address"].message
    assert found["address"].fix


@pytest.mark.stack
def test_external_parts_are_asked(postgres_dsn: str, nats_url: str, tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    found = findings(
        StackOptions(
            tmp_path,
            tmp_path,
            {},
            address=nowhere,
            postgres_dsn=postgres_dsn,
            nats_url=nats_url,
            triton_address=nowhere,
        )
    )
    assert {name: found[name].verdict for name in ("postgres", "nats", "triton")} == {
        "postgres": Verdict.OK,
        "nats": Verdict.OK,
        "triton": Verdict.FAIL,
    }
    assert "models" not in found


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    text, fine = findings_as_json(
        examine(
            StackOptions(
                tmp_path,
                tmp_path,
                {},
                postgres_dsn="host=127.0.0.1 port=1 user=u password=hush dbname=d",
                nats_url="nats://hush@127.0.0.1:1",
                triton_address="127.0.0.1:1",
            )
        )
    )
    assert not fine
    assert "hush" not in text
    rows = json.loads(text)
    assert {row["subject"] for row in rows if row["verdict"] == "fail"} >= {"postgres", "nats", "triton"}
    assert all(row["fix"] for row in rows if row["verdict"] == "fail")


def test_a_warning_is_no_failure() -> None:
    assert healthy([Finding("disk", Verdict.WARN, "little", "free some")])
    assert not healthy([Finding("disk", Verdict.FAIL, "none", "free some")])
