"""What calls carry, and where it is never sent."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from pinakes import AsyncClient, Client, ClientOptions, Login, errors
from pinakes.cli.saved_login import SavedLogins
from pinakes.credentials import Tokens, is_local
from pinakes.tls import Tls
from pinakes.v1 import auth_service_pb2 as wire
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script

KEY = "pinakes.0123456789abcdef." + "s" * 43


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PINAKES_API_KEY", "PINAKES_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def tokens(number: int, lasts_s: float) -> wire.Tokens:
    made = wire.Tokens(access_token=f"access-{number}", refresh_token=f"refresh-{number}")
    made.access_expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=lasts_s))
    made.refresh_expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    return made


def carrying(seen: list[str]) -> Callable[[Any, Any], Any]:
    """Notes what came as authorization."""

    async def behave(request: Any, context: Any) -> wire.WhoAmIResponse:
        seen.append(dict(context.invocation_metadata()).get("authorization", ""))
        return wire.WhoAmIResponse()

    return behave


async def test_a_key_goes_with_every_call(address: str, script: Script) -> None:
    seen: list[str] = []
    script.on("WhoAmI", carrying(seen))
    async with AsyncClient(address, api_key=KEY) as client:
        await client.auth.who_am_i()
    with Client(address, api_key=KEY) as sync_client:
        await asyncio.to_thread(sync_client.auth.who_am_i)
    assert seen == [f"Bearer {KEY}"] * 2


async def test_the_environment_says_it_where_the_program_does_not(
    address: str, script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[str] = []
    script.on("WhoAmI", carrying(seen))
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    monkeypatch.setenv("PINAKES_API_KEY_FILE", str(file))
    async with AsyncClient(address) as client:
        await client.auth.who_am_i()
    monkeypatch.setenv("PINAKES_API_KEY", "of-the-variable")
    async with AsyncClient(address) as client:
        await client.auth.who_am_i()
    async with AsyncClient(address, token="said") as client:
        await client.auth.who_am_i()
    assert seen == [f"Bearer {KEY}", "Bearer of-the-variable", "Bearer said"]


async def test_a_login_signs_in_once_and_refreshes(address: str, script: Script) -> None:
    seen: list[str] = []
    script.on("WhoAmI", carrying(seen))
    script.on("Login", server.returns(wire.LoginResponse(tokens=tokens(1, 1))))
    script.on("Refresh", server.returns(wire.RefreshResponse(tokens=tokens(2, 900))))
    async with AsyncClient(address, login=Login("ana", "a long password")) as client:
        await asyncio.gather(*(client.auth.who_am_i() for _ in range(5)))
        await client.auth.who_am_i()
    assert [len(script.seen(method)) for method in ("Login", "Refresh")] == [1, 1]
    assert script.seen("Refresh")[0].request.refresh_token == "refresh-1"
    assert set(seen) == {"Bearer access-1", "Bearer access-2"} and seen[-1] == "Bearer access-2"


async def test_a_session_that_has_ended_is_begun_anew(address: str, script: Script) -> None:
    script.on("WhoAmI", carrying([]))
    script.on("Login", server.returns(wire.LoginResponse(tokens=tokens(1, 1))))
    refused = server.fails(grpc.StatusCode.UNAUTHENTICATED, "refused", server.reason("LOGIN_REFUSED"))
    script.on("Refresh", refused)
    async with AsyncClient(address, login=Login("ana", "a long password")) as client:
        for _ in range(2):
            await client.auth.who_am_i()
    # A refresh token may be used up without a response: it is sent once.
    assert [len(script.seen(method)) for method in ("Login", "Refresh")] == [2, 1]


@pytest.mark.parametrize(
    "address", ["example.org:7700", "10.0.0.1:7700", "dns:///example.org:7700", "[2001:db8::1]:7700"]
)
@pytest.mark.parametrize("secret", [{"api_key": KEY}, {"token": "t"}, {"login": Login("ana", "a long password")}])
def test_no_secret_goes_in_the_clear_to_another_machine(address: str, secret: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="in the clear") as refused:
        Client(address, **secret)
    assert KEY not in str(refused.value)
    Client(address, tls=Tls(), **secret).close()
    Client(address, options=ClientOptions(secrets_in_the_clear=True), **secret).close()
    Client(address).close()


def test_what_is_this_machine() -> None:
    assert all(
        map(is_local, ("127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:/run/x", "ipv4:127.0.0.1:1"))
    )
    assert not any(map(is_local, ("127.0.0.1.example.org:1", "localhost.example.org:1", "0.0.0.0:1", "", ":1")))


def test_several_credentials_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="one of"):
        Client(api_key=KEY, token="t")


def test_secrets_are_not_shown() -> None:
    shown = repr(Login("ana", "a long password")) + repr(_kept(900))
    assert "a long password" not in shown and "access-1" not in shown and "refresh-1" not in shown


def _kept(lasts_s: float) -> Tokens:
    now = datetime.now(UTC)
    return Tokens("access-1", now + timedelta(seconds=lasts_s), "refresh-1", now + timedelta(days=1))


async def test_commands_share_a_session_and_one_of_them_refreshes(address: str, script: Script, tmp_path: Path) -> None:
    folder = tmp_path / "config"
    SavedLogins(folder).save(address, _kept(1))
    script.on("Refresh", server.returns(wire.RefreshResponse(tokens=tokens(2, 900))))

    def use() -> str | None:
        return SavedLogins(folder).access_token(address, None, ClientOptions())

    assert await asyncio.gather(*(asyncio.to_thread(use) for _ in range(4))) == ["access-2"] * 4
    assert len(script.seen("Refresh")) == 1
    assert stat.S_IMODE((folder / "sessions.json").stat().st_mode) == 0o600
    assert SavedLogins(folder).access_token("127.0.0.1:1", None, ClientOptions()) is None


async def test_a_saved_session_that_has_ended_is_forgotten(address: str, script: Script, tmp_path: Path) -> None:
    saved = SavedLogins(tmp_path)
    saved.save(address, _kept(1))
    script.on("Refresh", server.fails(grpc.StatusCode.UNAUTHENTICATED, "no", server.reason("LOGIN_REFUSED")))
    assert await asyncio.to_thread(saved.access_token, address, None, ClientOptions()) is None
    assert not saved.has(address)


async def test_who_is_not_known_is_told_so(address: str, script: Script) -> None:
    script.on("WhoAmI", server.fails(grpc.StatusCode.UNAUTHENTICATED, "no", server.reason("CREDENTIALS_EXPIRED")))
    async with AsyncClient(address) as client:
        with pytest.raises(errors.CredentialsExpired):
            await client.auth.who_am_i()
    assert len(script.seen("WhoAmI")) == 1
