"""Keys that servers verify access tokens with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.adapters.own_tokens import OwnTokenOptions, OwnTokens
from server.adapters.postgres.identity_changes import PostgresIdentityChanges
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.verification_keys import PostgresVerificationKeys
from server.domain.errors import Unauthenticated


class Told(PostgresIdentityChanges):
    """Tells what the test says."""

    def tell(self, kind: str, name: str) -> None:
        self._tell(kind, name)


class GoneMeanwhile(PostgresVerificationKeys):
    """All keys are taken away while they are read, once."""

    def __init__(self, pool: PostgresPool, changes: Told) -> None:
        super().__init__(pool)
        self._own_pool = pool
        self._changes = changes
        self.goes = False

    async def valid(self) -> Mapping[str, bytes]:
        found = await super().valid()
        if self.goes:
            self.goes = False
            async with self._own_pool.transaction() as connection:
                await connection.execute("DELETE FROM signing_keys")
            for kid in found:
                self._changes.tell("signing_key", kid)
        return found


async def test_a_key_that_goes_while_keys_are_read_is_not_kept(
    pool: PostgresPool, migrated_dsn: str, tmp_path: Path
) -> None:
    changes = Told(migrated_dsn)
    keys = GoneMeanwhile(pool, changes)
    tokens = OwnTokens(keys, tmp_path, "pinakes:tests", OwnTokenOptions(), changes)
    await tokens.start()
    token = tokens.issue("ana", "a-session", datetime.now(UTC) + timedelta(minutes=5))
    assert (await tokens.verify(token)).session_id == "a-session"
    keys.goes = True
    changes.tell("signing_key", "another")
    with pytest.raises(Unauthenticated):
        await tokens.verify(token)
