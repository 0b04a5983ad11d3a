"""Who callers are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.adapters.admin_key_file import ensure_first_key
from server.adapters.argon2_hashes import Argon2Hashes
from server.adapters.issued_tokens import AnyTokens, IssuerTokens
from server.adapters.own_tokens import OwnTokens
from server.adapters.postgres.api_keys import PostgresApiKeys, PostgresRefusedTokens
from server.adapters.postgres.identity_changes import PostgresIdentityChanges
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.users import PostgresLoginCounter, PostgresSessions, PostgresUsers
from server.adapters.postgres.verification_keys import PostgresVerificationKeys
from server.application.identify_callers import IdentifyCallers
from server.application.identity_rules import GrantRules
from server.application.identity_states import IdentityStates
from server.application.look_after_keys import LookAfterKeys
from server.application.look_after_users import LookAfterUsers
from server.application.sign_in import SignIn
from server.domain.permissions import Role, permissions_of
from server.domain.principals import Principal
from server.settings import Settings
from server.transport.auth_servicer import AuthServicer
from server.transport.authentication import Callers, Everybody, Gate
from server.transport.identity import CallerIdentity


@dataclass(frozen=True, slots=True)
class IdentityParts:
    """`gate` stands before every call."""

    gate: Gate
    servicer: AuthServicer


@asynccontextmanager
async def identity_parts(settings: Settings, pool: PostgresPool, database_id: str) -> AsyncIterator[IdentityParts]:
    """Knows callers while the context lasts. Raises DependencyUnavailable, also where a file with a key cannot be
    used."""
    own, local = settings.identity, settings.principal
    hasher = await asyncio.to_thread(Argon2Hashes, own.hashing)
    secrets = await asyncio.to_thread(Argon2Hashes, own.key_hashing)
    changes = PostgresIdentityChanges(settings.postgres.dsn.get_secret_value(), own.changes)
    states = IdentityStates(changes, own.states)
    keys, sessions, refused = PostgresApiKeys(pool), PostgresSessions(pool), PostgresRefusedTokens(pool)
    tokens = OwnTokens(
        PostgresVerificationKeys(pool), settings.data_dir / "identity", f"pinakes:{database_id}", own.tokens, changes
    )
    issuers = [IssuerTokens(each, own.callers.operator_tenant) for each in own.issuers]
    known = IdentifyCallers(keys, sessions, refused, states, AnyTokens(tokens, issuers), secrets, own.callers)
    rules = GrantRules(own.callers.operator_tenant)
    users = PostgresUsers(pool)
    sign_in = SignIn(users, sessions, refused, PostgresLoginCounter(pool), hasher, tokens, states, rules, own.sign_in)
    callers: Callers = known
    if not own.required:
        permissions = permissions_of(Role.ADMIN, operator=local.tenant == own.callers.operator_tenant)
        callers = Everybody(Principal(local.tenant, local.user, frozenset(local.groups), Role.ADMIN, permissions))
    gate = Gate(callers)
    servicer = AuthServicer(
        CallerIdentity(),
        sign_in,
        LookAfterUsers(users, hasher, states, rules),
        LookAfterKeys(keys, secrets, states, rules, own.keys),
    )
    await ensure_first_key(settings.data_dir, keys, secrets, local.tenant, local.user, local.groups)
    await tokens.start()
    works = [changes.run(), known.run(), tokens.run(), gate.run(), *(each.run() for each in issuers)]
    running = [asyncio.create_task(work) for work in works]
    try:
        yield IdentityParts(gate, servicer)
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        hasher.close()
        secrets.close()
