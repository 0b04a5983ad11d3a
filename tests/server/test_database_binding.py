"""A data directory serves one database only: beside another one its blobs would be swept away."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.adapters.database_binding import BINDING_FILE, bind
from server.adapters.postgres.database_identity import database_id
from server.adapters.postgres.migrating import migrate
from server.adapters.postgres.pool import PostgresPool
from server.domain.errors import DependencyUnavailable, WrongDatabase


def test_a_directory_belongs_to_the_first(tmp_path: Path) -> None:
    directory = tmp_path / "var"
    for _ in range(2):
        bind(directory, "a")
    with pytest.raises(WrongDatabase, match="var belongs to the database a, and the connected one is b"):
        bind(directory, "b")
    bind(directory, "a")
    assert [path.name for path in directory.iterdir()] == [BINDING_FILE]


def test_of_many_at_once_one_database_wins(tmp_path: Path) -> None:
    def attempt(number: int) -> int | None:
        try:
            bind(tmp_path, str(number % 2))
        except WrongDatabase:
            return None
        return number % 2

    with ThreadPoolExecutor(8) as threads:
        winners = set(threads.map(attempt, range(64)))
    assert len(winners - {None}) == 1 and None in winners


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DependencyUnavailable, match="file"):
        bind(tmp_path / "file", "a")


async def test_an_identity_stays(pool: PostgresPool, postgres_dsn: str) -> None:
    async with PostgresPool(postgres_dsn) as other:
        await migrate(other)
        assert await database_id(other) == await database_id(other) != await database_id(pool)


@pytest.mark.parametrize("command", ["serve", "worker"])
async def test_nothing_starts_beside_another_database(
    command: str, postgres_dsn: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    bind(tmp_path, "another")
    addresses = {
        "PINAKES_POSTGRES__DSN": postgres_dsn,
        "PINAKES_NATS__URL": "nats://127.0.0.1:1",
        "PINAKES_TRITON__ADDRESS": "127.0.0.1:1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", command, "--data-dir", str(tmp_path)),
        env=environment | addresses,
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in errors.decode()
    [sentence] = [line for line in errors.decode().splitlines() if "belongs to the database another" in line]
    assert "connect to the right database or choose another data directory" in sentence
    assert [path.name for path in tmp_path.iterdir()] == [BINDING_FILE]
