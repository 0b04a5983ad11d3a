"""Real servers for the tests, each started once per run, on first use, and stopped at its end.

A test that asks for one of these fixtures is marked by it: `stack` for a real process, also `models` for Triton.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import platformdirs
import psycopg
import pytest
from hypothesis import settings
from xdist.remote import Producer

from server.adapters.postgres.migrating import migrate
from server.adapters.postgres.pool import PostgresOptions, PostgresPool
from server.embedded.nats import EmbeddedNats
from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import running
from server.embedded.triton import EmbeddedTriton, TritonOptions
from tests.sharing import SharingServers
from tests.whole_stack import IMPATIENT, WholeStack
from triton_models.preparation import prepare
from triton_models.rendering import render

# No test asserts a time: an example may take as long as a busy machine lets it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_DATABASE = "server_tests"
_EMPTY = """
    TRUNCATE documents, jobs, outbox, stage_results, pages, chunks, embeddings, chunk_log, model_aliases, event_outbox,
        replacements, tenant_turns, answers, answer_sources, answer_citations,
        conversations, tenants, quotas, tenant_usage, token_usage, request_windows, users, sessions, refresh_tokens,
        api_keys,
        refused_tokens, login_attempts, signing_keys
        RESTART IDENTITY;
    TRUNCATE data_keys, blob_sealing;
    UPDATE chunk_log_head SET position = 0;
    UPDATE claim_turns SET turn = 0;
"""

_MARKS = {
    "postgres_server": ("stack",),
    "nats_url": ("stack",),
    "triton_url": ("stack", "models"),
    "stack": ("stack", "models"),
}


def pytest_itemcollected(item: pytest.Item) -> None:
    for fixture, marks in _MARKS.items():
        if fixture in getattr(item, "fixturenames", ()):
            for mark in marks:
                item.add_marker(mark)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that processes that share the tests end together: the whole stack, then what
    needs the models, then the rest."""
    items.sort(key=lambda item: item.get_closest_marker("models") is None)
    items.sort(key=lambda item: "stack" not in getattr(item, "fixturenames", ()))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharingServers | None:
    return SharingServers(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """What the processes that tests start inherit."""
    return dict(os.environ)  # noqa: TID251 - tests have no settings


@pytest.fixture(scope="session")
def postgres_server(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL for all tests. Use `postgres_dsn`, unless the test is about the server itself."""
    folder = tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(folder / "data", environment)
    with running(server, folder / "postgres.log"):
        yield server


@pytest.fixture
def postgres_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A conninfo of an empty database of its own."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        yield postgres_server.dsn_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def migrated_dsn(postgres_server: EmbeddedPostgres) -> str:
    """A database with our schema, for one test at a time; take `pool`."""
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_DATABASE} TEMPLATE template0".encode())
    dsn = postgres_server.dsn_of(_DATABASE)

    async def prepare() -> None:
        async with PostgresPool(dsn) as pool:
            await migrate(pool)

    asyncio.run(prepare())
    return dsn


@pytest.fixture
async def pool(migrated_dsn: str) -> AsyncIterator[PostgresPool]:
    """A migrated database without a row."""
    async with PostgresPool(migrated_dsn, PostgresOptions(max_connections=8)) as opened:
        async with opened.as_login() as connection:
            await connection.execute(_EMPTY.encode())
        yield opened


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[str]:
    """A JetStream for all tests: each uses names of its own for streams and subjects."""
    folder = tmp_path_factory.mktemp("nats")
    server = EmbeddedNats(folder / "data", environment)
    with running(server, folder / "nats.log"):
        yield server.url


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """Where prepared models are kept between runs."""
    return platformdirs.user_cache_path("pinakes")


@pytest.fixture(scope="session")
def triton_url(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], model_cache: Path
) -> Iterator[str]:
    """host:port of a Triton with all models of the catalogue, prepared first if they are not."""
    folder = tmp_path_factory.mktemp("triton")
    repository = folder / "repository"
    render("cpu", prepare(model_cache), repository, cores=os.cpu_count() or 1)
    # Nobody waits for models to be freed.
    server = EmbeddedTriton(repository, folder / "data", environment, TritonOptions(exit_grace_s=1))
    with running(server, folder / "triton.log"):
        yield server.address


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    """All of Pinakes, as `pinakes up` runs it."""
    whole = WholeStack(tmp_path_factory.mktemp("stack") / "data", IMPATIENT)
    whole.start()
    yield whole
    assert whole.stop() == 0
