"""The commands that say who one is, and that keep users and keys."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner, Result

from pinakes.cli import connection
from pinakes.cli.main import app
from pinakes.v1 import auth_service_pb2 as wire
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script

Pinakes = Callable[..., Awaitable[Result]]
SECRET = "pinakes.0123456789abcdef." + "s" * 43


@pytest.fixture
def pinakes(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pinakes:
    """Runs a command in an empty directory, by a user who has signed in nowhere."""
    for name in ("PINAKES_API_KEY", "PINAKES_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("typer.get_app_dir", lambda name: str(tmp_path / "config"))

    async def run(*arguments: str, server: str = address) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["--server", server, *arguments])

    return run


def tokens(number: int) -> wire.Tokens:
    made = wire.Tokens(access_token=f"access-{number}", refresh_token=f"refresh-{number}")
    made.access_expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=900))
    made.refresh_expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    return made


def carried(script: Script, method: str) -> list[Any]:
    return [seen.metadata.get("authorization") for seen in script.seen(method)]


async def test_who_signs_in_stays_signed_in_until_signing_out(pinakes: Pinakes, script: Script, tmp_path: Path) -> None:
    script.on("Login", server.returns(wire.LoginResponse(tokens=tokens(1))))
    script.on("WhoAmI", server.returns(wire.WhoAmIResponse(tenant="acme", user="ana", role=wire.ROLE_USER)))
    script.on("Logout", server.returns(wire.LogoutResponse()))
    password = tmp_path / "password"
    password.write_text("a long password\n")
    done = await pinakes("login", "ana", "--tenant", "acme", "--password-file", str(password))
    assert done.exit_code == 0 and "a long password" not in done.output
    sent = script.seen("Login")[0].request
    assert (sent.tenant, sent.user, sent.password) == ("acme", "ana", "a long password")
    assert stat.S_IMODE((tmp_path / "config" / "sessions.json").stat().st_mode) == 0o600
    assert "ana of acme: user" in (await pinakes("whoami")).output
    assert (await pinakes("logout")).exit_code == 0
    assert carried(script, "WhoAmI") + carried(script, "Logout") == ["Bearer access-1"] * 2
    assert (await pinakes("logout")).output == "not signed in\n"
    assert (await pinakes("whoami", "--json")).exit_code == 0
    assert carried(script, "WhoAmI")[-1] is None


async def test_who_signs_in_beside_a_key_is_told_that_the_key_goes_before(
    pinakes: Pinakes, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.on("Login", server.returns(wire.LoginResponse(tokens=tokens(1))))
    script.on("WhoAmI", server.returns(wire.WhoAmIResponse(tenant="acme", user="admin", role=wire.ROLE_ADMIN)))
    password, key = tmp_path / "password", tmp_path / "admin.key"
    password.write_text("a long password\n")
    key.write_text(SECRET)
    monkeypatch.setenv("PINAKES_API_KEY_FILE", str(key))
    done = await pinakes("login", "ana", "--password-file", str(password))
    assert done.exit_code == 0 and "PINAKES_API_KEY_FILE" in done.stderr
    await pinakes("whoami")
    assert carried(script, "WhoAmI") == [f"Bearer {SECRET}"]


async def test_the_key_of_the_stack_of_this_directory_is_found(
    pinakes: Pinakes, script: Script, tmp_path: Path, address: str
) -> None:
    script.on("WhoAmI", server.returns(wire.WhoAmIResponse()))
    (tmp_path / "var" / "run").mkdir(parents=True)
    (tmp_path / connection.LOCAL_KEY_FILE).write_text(f"{SECRET}\n")
    # Not for another server than the one that it is of.
    await pinakes("whoami")
    (tmp_path / connection.ENDPOINTS_FILE).write_text(json.dumps({"server": address}))
    await pinakes("whoami")
    named = tmp_path / "named.key"
    named.write_text("named")
    await pinakes("--api-key-file", str(named), "whoami")
    assert carried(script, "WhoAmI") == [None, f"Bearer {SECRET}", "Bearer named"]


async def test_users_are_made_listed_and_changed(pinakes: Pinakes, script: Script, tmp_path: Path) -> None:
    user = wire.User(user="ben", role=wire.ROLE_VIEWER, groups=["sales"], disabled=True)
    script.on("CreateUser", server.returns(wire.CreateUserResponse(user=user)))
    script.on("ListUsers", server.returns(wire.ListUsersResponse(users=[user])))
    script.on("UpdateUser", server.returns(wire.UpdateUserResponse(user=user)))
    script.on("Revoke", server.returns(wire.RevokeResponse()))
    password = tmp_path / "password"
    password.write_text("a long password")
    made = await pinakes(
        "users", "create", "ben", "--role", "viewer", "--group", "sales", "--password-file", str(password)
    )
    assert made.output == "ben: viewer\n"
    assert script.seen("CreateUser")[0].request.role == wire.ROLE_VIEWER
    assert "disabled" in (await pinakes("users", "list")).output
    assert json.loads((await pinakes("users", "list", "--json")).output)["groups"] == ["sales"]
    assert (await pinakes("users", "update", "ben", "--no-groups", "--enable")).exit_code == 0
    sent = script.seen("UpdateUser")[0].request
    assert sent.HasField("groups") and not sent.groups.groups
    assert sent.HasField("disabled") and not sent.disabled and sent.role == wire.ROLE_UNSPECIFIED
    assert (await pinakes("users", "end-sessions", "ben")).exit_code == 0
    assert script.seen("Revoke")[0].request.user == "ben"


async def test_a_key_is_printed_once_or_written_for_its_owner(pinakes: Pinakes, script: Script, tmp_path: Path) -> None:
    key = wire.ApiKey(key_id="k1", name="robot", scopes=["search"])
    script.on("CreateApiKey", server.returns(wire.CreateApiKeyResponse(key=key, secret=SECRET)))
    script.on("ListApiKeys", server.returns(wire.ListApiKeysResponse(keys=[key])))
    script.on("RevokeApiKey", server.returns(wire.RevokeApiKeyResponse(key=key)))
    assert (await pinakes("keys", "create", "robot", "--scope", "search")).output == f"{SECRET}\n"
    out = tmp_path / "robot.key"
    done = await pinakes("keys", "create", "robot", "--scope", "search", "--days", "30", "--out", str(out))
    assert SECRET not in done.output and out.read_text() == f"{SECRET}\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert script.seen("CreateApiKey")[1].request.lifetime.ToTimedelta() == timedelta(days=30)
    assert "never" in (await pinakes("keys", "list")).output
    assert (await pinakes("keys", "revoke", "k1")).output == "k1: revoked\n"


async def test_who_is_not_known_is_told_what_to_do(pinakes: Pinakes, script: Script) -> None:
    refused = server.fails(grpc.StatusCode.UNAUTHENTICATED, "not known", server.reason("UNAUTHENTICATED"))
    script.on("WhoAmI", refused)
    done = await pinakes("whoami")
    assert done.exit_code == 1
    assert "pinakes login" in done.stderr and "--api-key-file" in done.stderr
    named = await pinakes("--api-key-file", __file__, "whoami", server="example.org:1")
    assert named.exit_code == 1 and "in the clear" in named.stderr and "Traceback" not in named.stderr
