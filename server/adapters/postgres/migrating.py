"""Brings the schema up to date."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from server.adapters.postgres.pool import PostgresPool
from server.domain.errors import DependencyUnavailable

_DIRECTORY = Path(__file__).with_name("migrations")
_NAME = re.compile(r"(\d{4})_\w+\.sql")
# Any number, the same for every version of this program.
_LOCK = 0x70_69_6E_61_6B_65_73

_log = structlog.get_logger()


class SchemaMismatch(DependencyUnavailable):
    """The database was migrated by something else than these files; starting would damage it."""

    def __init__(self, problem: str) -> None:
        super().__init__("the database", f"{problem}; start the version of Pinakes that it belongs to")


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    statements: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.statements.encode()).hexdigest()


def shipped_migrations(directory: Path = _DIRECTORY) -> list[Migration]:
    """The numbered SQL files, in order. Raises SchemaMismatch for a gap or a name out of order."""
    migrations: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != len(migrations) + 1:
            raise SchemaMismatch(f"{path.name} is not number {len(migrations) + 1:04}")
        migrations.append(Migration(int(match[1]), path.stem, path.read_text(encoding="utf-8")))
    return migrations


async def migrate(pool: PostgresPool, migrations: Sequence[Migration] | None = None) -> int:
    """Applies what is missing, all or nothing; returns how many. Any number of processes may call it at once.

    Raises SchemaMismatch when an applied migration is not the shipped one, DependencyUnavailable.
    """
    shipped = shipped_migrations() if migrations is None else list(migrations)
    async with pool.as_login() as connection:
        # A migration may take its time, and so may the one that is waited for.
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        await connection.execute(
            """CREATE TABLE IF NOT EXISTS schema_migrations (
                   number     integer     PRIMARY KEY,
                   name       text        NOT NULL,
                   sha256     text        NOT NULL,
                   apply_time timestamptz NOT NULL DEFAULT now()
               )"""
        )
        cursor = await connection.execute("SELECT number, name, sha256 FROM schema_migrations ORDER BY number")
        applied = await cursor.fetchall()
        if len(applied) > len(shipped):
            raise SchemaMismatch(f"the database is newer: it holds {applied[-1]['name']}")
        for row, migration in zip(applied, shipped, strict=False):
            if (row["number"], row["sha256"]) != (migration.number, migration.sha256):
                raise SchemaMismatch(f"{migration.name} was changed after it had been applied")
        for migration in shipped[len(applied) :]:
            await connection.execute(migration.statements.encode())
            await connection.execute(
                "INSERT INTO schema_migrations (number, name, sha256) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.sha256),
            )
            _log.info("schema_migrated", migration=migration.name)
    return len(shipped) - len(applied)
