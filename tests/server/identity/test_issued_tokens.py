"""Keys of identity providers: read in the background, again for a key that is new, and given up when they are gone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from server.adapters.issued_tokens import IssuerOptions, IssuerTokens
from server.domain.errors import DependencyUnavailable, PinakesError, Unauthenticated
from server.domain.identities import IssuedToken
from server.domain.permissions import Role
from tests.server.identity.conftest import issuer_options


class Provider:
    """A JWKS in a file, and the keys to sign with."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.keys: dict[str, Ed25519PrivateKey] = {}

    def publish(self, *kids: str) -> None:
        for kid in kids:
            self.keys.setdefault(kid, Ed25519PrivateKey.generate())
        shown = [jwt.algorithms.OKPAlgorithm.to_jwk(self.keys[k].public_key(), as_dict=True) | {"kid": k} for k in kids]
        self.file.write_text(json.dumps({"keys": shown}))

    def token(self, kid: str, **claims: Any) -> str:
        now = int(time.time())
        told = {
            "iss": "https://idp.test", "aud": "pinakes-tests", "sub": "ana", "jti": "1", "iat": now, "nbf": now,
            "exp": now + 600, "tenant": "acme", "role": "user", "groups": ["sales"], **claims,
        }  # fmt: skip
        return jwt.encode(told, self.keys[kid], "EdDSA", {"kid": kid})


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path / "jwks.json")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def verifier(provider: Provider, clock: Clock, **options: Any) -> IssuerTokens:
    return IssuerTokens(issuer_options(provider.file, **options), "default", clock)


async def test_what_the_claims_say_is_who_calls(provider: Provider, clock: Clock) -> None:
    provider.publish("one")
    found = await verifier(provider, clock).verify(provider.token("one"))
    assert (found.tenant, found.user, found.groups, found.role) == ("acme", "ana", ("sales",), Role.USER)
    fixed = verifier(provider, clock, tenant="default", user_claim="email", default_role=Role.VIEWER)
    found = await fixed.verify(provider.token("one", email="ana@acme.test", role=None))
    assert (found.tenant, found.user, found.role) == ("default", "ana@acme.test", Role.VIEWER)


async def test_a_provider_of_many_tenants_names_nobody_of_the_operators(provider: Provider, clock: Clock) -> None:
    provider.publish("one")
    tokens = verifier(provider, clock)
    with pytest.raises(Unauthenticated):
        await tokens.verify(provider.token("one", tenant="default"))
    assert (await tokens.verify(provider.token("one", tenant="rival"))).tenant == "rival"


@pytest.mark.parametrize("role", [["user", "admin"], ["user", "user"], [], "root", 7, {"user": True}])
async def test_a_role_that_is_not_clear_is_none(provider: Provider, clock: Clock, role: object) -> None:
    provider.publish("one")
    assert (await verifier(provider, clock).verify(provider.token("one", role=role))).role is None


async def test_a_new_key_is_looked_for_but_not_all_the_time(provider: Provider, clock: Clock) -> None:
    provider.publish("one")
    tokens = verifier(provider, clock, look_at_most_s=30.0)
    await tokens.verify(provider.token("one"))
    provider.publish("one", "two")
    with pytest.raises(Unauthenticated):
        await tokens.verify(provider.token("two"))
    clock.now += 31
    assert (await tokens.verify(provider.token("two"))).user == "ana"
    assert tokens.keys_version == 0


async def test_a_key_that_has_gone_is_told_of(provider: Provider, clock: Clock) -> None:
    provider.publish("one", "two")
    tokens = verifier(provider, clock)
    await tokens.verify(provider.token("one"))
    provider.publish("two")
    clock.now += 31
    # Somebody asks for a key that is not there: all are read again.
    provider.keys["three"] = Ed25519PrivateKey.generate()
    with pytest.raises(Unauthenticated):
        await tokens.verify(provider.token("three"))
    assert tokens.keys_version == 1
    with pytest.raises(Unauthenticated):
        await tokens.verify(provider.token("one"))


async def test_keys_that_cannot_be_read_again_are_used_for_a_day(provider: Provider, clock: Clock) -> None:
    provider.publish("one")
    tokens = verifier(provider, clock)
    await tokens.verify(provider.token("one"))
    for broken in ("{", "[]", '{"keys": []}', '{"keys": 3}'):
        provider.file.write_text(broken)
        clock.now += 3_600
        provider.keys["other"] = Ed25519PrivateKey.generate()
        with pytest.raises(Unauthenticated):
            await tokens.verify(provider.token("other"))
        assert (await tokens.verify(provider.token("one"))).user == "ana"
    provider.file.unlink()
    clock.now += 86_400
    with pytest.raises(DependencyUnavailable):
        await tokens.verify(provider.token("one"))


async def test_without_keys_nobody_is_let_in(provider: Provider, clock: Clock) -> None:
    provider.keys["one"] = Ed25519PrivateKey.generate()
    with pytest.raises(DependencyUnavailable):
        await verifier(provider, clock).verify(provider.token("one"))


async def test_an_rsa_key_that_is_too_short_is_none(provider: Provider, clock: Clock) -> None:
    short = generate_private_key(65_537, 1_024)
    key = jwt.algorithms.RSAAlgorithm.to_jwk(short.public_key(), as_dict=True) | {"kid": "short"}
    provider.publish("one")
    shown = json.loads(provider.file.read_text())
    provider.file.write_text(json.dumps({"keys": [*shown["keys"], key]}))
    tokens = verifier(provider, clock)
    await tokens.verify(provider.token("one"))
    claims = jwt.decode(provider.token("one"), options={"verify_signature": False})
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        forged = jwt.encode(claims, short, "RS256", {"kid": "short"})
    with pytest.raises(Unauthenticated):
        await tokens.verify(forged)


async def test_an_algorithm_that_is_not_wanted_is_refused(provider: Provider, clock: Clock) -> None:
    provider.publish("one")
    with pytest.raises(Unauthenticated):
        await verifier(provider, clock, algorithms=("RS256",)).verify(provider.token("one"))


@pytest.fixture
async def served(provider: Provider) -> AsyncIterator[tuple[str, list[str]]]:
    """The JWKS over HTTP, on the loopback address, and what was asked for."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode().split()[1])
        while (await reader.readline()).strip():
            pass
        body = provider.file.read_bytes()
        if asked[-1] == "/moved":
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /jwks\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", asked
    server.close()
    await server.wait_closed()


async def test_keys_are_fetched_once_for_many(
    provider: Provider, clock: Clock, served: tuple[str, Sequence[str]]
) -> None:
    url, asked = served
    provider.publish("one")
    options = IssuerOptions(issuer="https://idp.test", audience="pinakes-tests", jwks=f"{url}/jwks")
    tokens = IssuerTokens(options, "default", clock)
    found = await asyncio.gather(*(tokens.verify(provider.token("one", jti=str(n))) for n in range(8)))
    assert len({each.token_id for each in found}) == 8
    assert asked == ["/jwks"]


async def test_a_redirection_is_not_followed(
    provider: Provider, clock: Clock, served: tuple[str, Sequence[str]]
) -> None:
    url, asked = served
    provider.publish("one")
    options = IssuerOptions(issuer="https://idp.test", audience="pinakes-tests", jwks=f"{url}/moved")
    with pytest.raises(DependencyUnavailable):
        await IssuerTokens(options, "default", clock).verify(provider.token("one"))
    assert asked == ["/moved"]


async def test_a_secret_for_development_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s" * 31)
    options = IssuerOptions(issuer="https://idp.test", audience="pinakes-tests", development_secret_file=file)
    with pytest.raises(DependencyUnavailable, match="32 bytes"):
        IssuerTokens(options, "default")
    file.write_text("s" * 32)
    now = int(time.time())
    claims = {
        "iss": "https://idp.test", "aud": "pinakes-tests", "sub": "ana", "jti": "1", "iat": now, "nbf": now,
        "exp": now + 600, "tenant": "acme", "role": "user",
    }  # fmt: skip

    async def verified(secret: str) -> IssuedToken | PinakesError:
        try:
            return await IssuerTokens(options, "default").verify(jwt.encode(claims, secret, "HS256"))
        except PinakesError as error:
            return error

    assert isinstance(await verified("s" * 32), IssuedToken)
    assert isinstance(await verified("t" * 32), Unauthenticated)
