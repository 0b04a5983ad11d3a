"""Every method as everybody: what the table says, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf import descriptor_pool

from pinakes.v1 import auth_service_pb2 as wire
from server.adapters.signing_keys import signing_key
from server.domain.permissions import METHODS, Access, Permission, Role, permissions_of
from tests.server.identity.conftest import PASSWORD, Begin, Replica, issuer_options

REFUSED, DENIED, IN = "UNAUTHENTICATED", "PERMISSION_DENIED", "in"
ROLES = {
    Role.VIEWER: wire.ROLE_VIEWER,
    Role.USER: wire.ROLE_USER,
    Role.POWER_USER: wire.ROLE_POWER_USER,
    Role.ADMIN: wire.ROLE_ADMIN,
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of calls write a line each."""
    with structlog.testing.capture_logs():
        yield


@dataclass(frozen=True)
class Known:
    """A caller that is known, and what it may do."""

    name: str
    bearer: str
    permissions: frozenset[Permission]


async def outcome(replica: Replica, method: str, bearer: str | None) -> str:
    """How a call of any kind, with an empty request, ends: let in, or with a status."""
    service, name = method.split("/")
    described: Any = descriptor_pool.Default()
    kind = described.FindServiceByName(service).methods_by_name[name]
    make: Any = getattr(
        replica.channel,
        f"{'stream' if kind.client_streaming else 'unary'}_{'stream' if kind.server_streaming else 'unary'}",
    )
    metadata = () if bearer is None else (("authorization", f"Bearer {bearer}"),)
    request: Any = iter([b""]) if kind.client_streaming else b""
    call = make(f"/{method}")(request, timeout=60, metadata=grpc.aio.Metadata(*metadata))
    try:
        await (call.read() if kind.server_streaming else call)
    except grpc.aio.AioRpcError as error:
        code = error.code().name
        # AuthService is the real one, and finds much to say about empty requests.
        if code in ("INVALID_ARGUMENT", "NOT_FOUND") or "LOGIN_REFUSED" in str(error.trailing_metadata()):
            return IN
        return code
    finally:
        call.cancel()
    return IN


def expected(method: str, permissions: frozenset[Permission] | None) -> str:
    """`permissions`: None of who is not known."""
    needed = METHODS[method]
    if needed is Access.PUBLIC:
        return IN
    if permissions is None:
        return REFUSED
    return IN if needed is Access.SIGNED_IN or needed in permissions else DENIED


async def holes(replica: Replica, bearer: str | None, permissions: frozenset[Permission] | None) -> list[str]:
    """Where the outcome is another one than the table's."""
    # What ends the caller's own session comes last.
    methods = sorted(METHODS, key=lambda method: method.endswith("/Logout"))
    found = await asyncio.gather(*(outcome(replica, method, bearer) for method in methods[:-1]))
    found.append(await outcome(replica, methods[-1], bearer))
    return [
        f"{method}: {got}" for method, got in zip(methods, found, strict=True) if got != expected(method, permissions)
    ]


async def signed_in(replica: Replica, user: str, tenant: str) -> wire.Tokens:
    request = wire.LoginRequest(tenant=tenant, user=user, password=PASSWORD)
    response = await replica.call("AuthService/Login", request)
    tokens: wire.Tokens = response.tokens
    return tokens


async def make_user(replica: Replica, user: str, role: Role, tenant: str = "") -> None:
    request = wire.CreateUserRequest(user=user, password=PASSWORD, role=ROLES[role], tenant=tenant)
    await replica.call("AuthService/CreateUser", request, replica.admin)


async def make_key(replica: Replica, scopes: Iterable[Permission], tenant: str = "") -> wire.CreateApiKeyResponse:
    request = wire.CreateApiKeyRequest(name="tests", scopes=sorted(scopes), tenant=tenant)
    response: wire.CreateApiKeyResponse = await replica.call("AuthService/CreateApiKey", request, replica.admin)
    return response


async def test_every_role_in_every_tenant_may_what_the_table_says(replica: Replica) -> None:
    everybody = [Known("the first key", replica.admin, frozenset(Permission))]
    for tenant, operator in (("default", True), ("rival", False)):
        for role in ROLES:
            await make_user(replica, role.value, role, tenant)
            token = (await signed_in(replica, role.value, tenant)).access_token
            everybody.append(Known(f"{role} of {tenant}", token, permissions_of(role, operator=operator)))
    found = {known.name: await holes(replica, known.bearer, known.permissions) for known in everybody}
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize("tenant", ["default", "rival"])
async def test_each_scope_opens_its_methods_alone(replica: Replica, tenant: str) -> None:
    found = {}
    for scope in Permission:
        made = await make_key(replica, {scope}, tenant)
        granted = permissions_of(Role.SERVICE, {scope}, operator=tenant == "default")
        found[scope] = await holes(replica, made.secret, granted)
    assert {scope: each for scope, each in found.items() if each} == {}


async def test_who_is_not_known_gets_in_nowhere_but_where_all_may(begin: Begin, tmp_path: Path) -> None:
    provider = Ed25519PrivateKey.generate()
    rsa = generate_private_key(65_537, 2_048)
    jwks = tmp_path / "jwks.json"
    keys = [
        jwt.algorithms.OKPAlgorithm.to_jwk(provider.public_key(), as_dict=True) | {"kid": "ed", "use": "sig"},
        jwt.algorithms.RSAAlgorithm.to_jwk(rsa.public_key(), as_dict=True) | {"kid": "rsa", "use": "sig"},
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "oct", "alg": "HS256"},
    ]
    jwks.write_text(json.dumps({"keys": keys}))
    theirs_alone = issuer_options(jwks, tenant="default")
    replica: Replica = await begin(issuers=(theirs_alone, replace(theirs_alone, issuer="https://many.test", tenant="")))
    await make_user(replica, "ana", Role.ADMIN)
    tokens = await signed_in(replica, "ana", "default")
    own = signing_key(replica.data / "identity", 1e9)
    claims: dict[str, Any] = jwt.decode(tokens.access_token, options={"verify_signature": False})
    head = {"kid": own.kid, "typ": "at+jwt"}
    raw = own.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    now = int(time.time())
    theirs = {
        "iss": "https://idp.test", "aud": "pinakes-tests", "sub": "eve", "jti": "j", "iat": now, "nbf": now,
        "exp": now + 600, "tenant": "default", "role": "admin",
    }  # fmt: skip

    def own_token(key: Any = own.private, algorithm: str = "EdDSA", head: dict[str, Any] = head, **more: Any) -> str:
        return _signed(claims | more, key, algorithm, head)

    def their_token(key: Any = provider, algorithm: str = "EdDSA", kid: str | None = "ed", **more: Any) -> str:
        return _signed({k: v for k, v in (theirs | more).items() if v is not None}, key, algorithm, {"kid": kid})

    def of_many(**more: Any) -> str:
        return their_token(iss="https://many.test", **more)

    # What they are changed from is let in: so it is the change that is refused.
    for good in (own_token(), their_token(), their_token(rsa, "RS256", "rsa", jti="k"), of_many(tenant="acme")):
        assert await outcome(replica, "pinakes.v1.SearchService/Search", good) == IN
    key = await make_key(replica, Permission)
    revoked = await make_key(replica, Permission)
    await replica.call("AuthService/RevokeApiKey", wire.RevokeApiKeyRequest(key_id=revoked.key.key_id), replica.admin)
    ended = await signed_in(replica, "ana", "default")
    await replica.call("AuthService/Logout", wire.LogoutRequest(), ended.access_token)
    await make_user(replica, "ben", Role.ADMIN)
    disabled = await signed_in(replica, "ben", "default")
    change = wire.UpdateUserRequest(user="ben", disabled=True)
    await replica.call("AuthService/UpdateUser", change, replica.admin)
    refused = wire.IssuedToken(issuer="https://idp.test", token_id="refused")
    refused.expire_time.FromSeconds(now + 600)
    await replica.call("AuthService/Revoke", wire.RevokeRequest(token=refused), replica.admin)
    strangers: dict[str, str | None] = {
        "no credential": None,
        "an empty one": "",
        "garbage": "garbage",
        "a wrong secret": key.secret[:-2] + ("AA" if key.secret[-2:] != "AA" else "BB"),
        "a key of nobody": "pinakes.0000000000000000." + key.secret.rpartition(".")[2],
        "a key without a secret": key.secret.rpartition(".")[0],
        "a revoked key": revoked.secret,
        "a refresh token": tokens.refresh_token,
        "a session that has ended": ended.access_token,
        "a user who is disabled": disabled.access_token,
        "expired": own_token(exp=now - 60, nbf=now - 900, iat=now - 900),
        "not yet valid": own_token(nbf=now + 600),
        "for somebody else": own_token(aud="somebody"),
        "of another installation": own_token(iss="pinakes:other"),
        "a wrong key": own_token(Ed25519PrivateKey.generate()),
        "a key that is unknown": own_token(Ed25519PrivateKey.generate(), head=head | {"kid": "unknown"}),
        "no signature": own_token("", "none"),
        "the public key as a secret": own_token(raw, "HS256"),
        "another type of token": own_token(head=head | {"typ": "JWT"}),
        "a critical header": own_token(head=head | {"crit": ["x"], "x": 1}),
        "without an end": own_token(exp=None),
        "a session of nobody": own_token(sid="00000000-0000-0000-0000-000000000000"),
        "a session that is none": own_token(sid="x"),
        "theirs, expired": their_token(exp=now - 60, nbf=now - 900, iat=now - 900),
        "theirs, for somebody else": their_token(aud="somebody"),
        "theirs, without jti": their_token(jti=None),
        "theirs, without a role": their_token(role=None),
        "theirs, with a role of ours that users have not": their_token(role="service"),
        "theirs, as a service": their_token(sub="service:index"),
        "theirs, without a tenant": of_many(tenant=None),
        "theirs, of the operator's tenant": of_many(tenant="default"),
        "theirs, by a wrong key": their_token(Ed25519PrivateKey.generate()),
        "theirs, no signature": their_token("", "none"),
        "theirs, the RSA key as a secret": their_token(pem, "HS256", "rsa"),
        "theirs, by a shared secret of the JWKS": their_token(b"secret-secret-secret-secret-secret", "HS256", "oct"),
        "theirs, revoked": their_token(jti="refused"),
        "theirs, signed by us": _signed(theirs, own.private, "EdDSA", head),
        "ours, signed by them": _signed(claims, provider, "EdDSA", {"kid": "ed", "typ": "at+jwt"}),
        "of nobody we know": their_token(iss="https://elsewhere.test"),
    }
    found = {name: await holes(replica, bearer, None) for name, bearer in strangers.items()}
    assert {name: each for name, each in found.items() if each} == {}


def _signed(claims: dict[str, Any], key: Any, algorithm: str, head: dict[str, Any]) -> str:
    """Also what no library would sign."""
    claims = {name: value for name, value in claims.items() if value is not None}
    if algorithm in ("EdDSA", "RS256") and "crit" not in head:
        return jwt.encode(claims, key, algorithm, head)

    def part(value: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    body = part({**head, "alg": algorithm}) + b"." + part(claims)
    match algorithm:
        case "none":
            signature = b""
        case "HS256":
            signature = hmac.new(key, body, hashlib.sha256).digest()
        case _:
            signature = key.sign(body)
    return (body + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
