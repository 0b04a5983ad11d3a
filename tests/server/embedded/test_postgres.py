"""The embedded PostgreSQL."""

from __future__ import annotations

import signal
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


def test_a_commit_survives_kill_9_and_a_deep_path(tmp_path: Path, environment: dict[str, str]) -> None:
    data = tmp_path / ("deep-" * 20) / "data"
    server = EmbeddedPostgres(data, environment)
    server.prepare()
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


def test_a_pid_file_of_a_foreign_process_does_not_stop_it(tmp_path: Path, environment: dict[str, str]) -> None:
    server = EmbeddedPostgres(tmp_path / "data", environment)
    server.prepare()
    (tmp_path / "data" / "cluster" / "postmaster.pid").write_text("1\n")
    with running(server, tmp_path / "log"):
        server.check()


def test_a_killed_initialization_is_repeated(tmp_path: Path, environment: dict[str, str]) -> None:
    half = tmp_path / "data" / "initdb-abc"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    EmbeddedPostgres(tmp_path / "data", environment).prepare()
    assert not half.exists()
    assert (tmp_path / "data" / "cluster" / "PG_VERSION").exists()


def test_it_stops_while_a_session_is_open(tmp_path: Path, environment: dict[str, str]) -> None:
    server = EmbeddedPostgres(tmp_path / "data", environment)
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


def test_it_ends_with_the_process_that_started_it(tmp_path: Path, environment: dict[str, str]) -> None:
    launch = EmbeddedPostgres(tmp_path / "data", environment).launch()
    assert launch.orphan_signal is signal.SIGINT
