"""The embedded PostgreSQL."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest

from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import ChildProcess, running

pytestmark = pytest.mark.stack


def _fill(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept VALUES (7)")


def _kept(dsn: str) -> list[tuple[int]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT number FROM kept").fetchall()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """An initialized data directory that never ran, made over what a killed initialization left. Copy it."""
    data = tmp_path_factory.mktemp("cluster") / "data"
    half = data / "initdb-abc"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    EmbeddedPostgres(data, environment).prepare()
    assert not half.exists()
    return data


@pytest.fixture
def data(cluster: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cluster, tmp_path / ("deep-" * 20) / "data"))


def test_a_commit_survives_kill_9(data: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    server = EmbeddedPostgres(data, environment)
    with running(server, tmp_path / "log") as process:
        _fill(server.dsn)
        process.kill()
    restarted = EmbeddedPostgres(data, environment)
    with running(restarted, tmp_path / "log"):
        assert _kept(restarted.dsn) == [(7,)]
    assert not restarted.socket_directory.exists()


def test_it_keeps_fsync_on_and_listens_on_no_port(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        settings = {
            name: connection.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
        }
    assert settings == {
        "fsync": ("on",),
        "synchronous_commit": ("on",),
        "full_page_writes": ("on",),
        "listen_addresses": ("",),
    }


def test_a_pid_file_of_a_foreign_process_does_not_stop_it(
    data: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    server = EmbeddedPostgres(data, environment)
    (data / "cluster" / "postmaster.pid").write_text("1\n")
    with running(server, tmp_path / "log"):
        server.check()


def test_it_stops_while_a_session_is_open(data: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    server = EmbeddedPostgres(data, environment)
    server.prepare()
    process = ChildProcess("postgres", server.launch(), tmp_path / "log")
    try:
        while True:
            try:
                connection = psycopg.connect(server.dsn)
                break
            except psycopg.OperationalError:
                assert process.exit_status is None
        assert process.stop(grace_s=30)
        assert process.exit_status == 0
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    finally:
        process.stop(grace_s=0)
