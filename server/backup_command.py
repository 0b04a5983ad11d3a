"""`pinakes backup`: copies of everything that cannot be made again, encrypted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from server.adapters.backups import BackupFailed, Backups, Manifest, PostgresPrograms
from server.adapters.file_master_keys import FileMasterKeys
from server.command_options import ConfigOption, DataOption, fail, settings_of
from server.embedded.data_directory import DataDirectory
from server.embedded.errors import EmbeddedError
from server.embedded.postgres import EmbeddedPostgres, postgres_program
from server.embedded.process import running
from server.settings import Settings, stack_options

backup = typer.Typer(
    help="Makes, verifies and restores backups of the database and the documents. The key folder needs its own.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]


@backup.command()
def create(folder: Folder, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Makes a backup, also while the server works."""
    settings = settings_of(config, data_dir)
    with _database(settings) as dsn:
        blobs = settings.data_dir / "blobs"
        made = _run(_backups(settings).create(dsn, blobs, folder.absolute()))
    _tell(f"{folder}: {_size(made)}")
    _tell(f"The keys are not in it. Back up {_key_folder(settings)} to another place, and anew after deleting tenants.")


@backup.command()
def verify(folder: Folder, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Reads a whole backup: that nothing is missing or changed, and that the master key opens it."""
    found = _run(_backups(settings_of(config, data_dir)).verify(folder.absolute()))
    _tell(f"{folder}: {_size(found)}, made {found.create_time}; nothing is missing or changed")


@backup.command()
def restore(folder: Folder, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Restores a backup into an empty data directory and database; the key folder must be in its place. The index is
    made anew when the server starts."""
    settings = settings_of(config, data_dir)
    with _database(settings, stopped=True) as dsn:
        found = _run(_backups(settings).restore(folder.absolute(), dsn, settings.data_dir / "blobs"))
    _tell(f"restored {_size(found)} of {found.create_time}; start with: pinakes up")


def _backups(settings: Settings) -> Backups:
    masters = FileMasterKeys(_key_folder(settings))
    return Backups(masters, PostgresPrograms(postgres_program("pg_dump"), postgres_program("pg_restore")))


def _key_folder(settings: Settings) -> Path:
    return settings.encryption.key_folder or settings.data_dir / "keys"


@contextmanager
def _database(settings: Settings, *, stopped: bool = False) -> Iterator[str]:
    """The owner's dsn. PostgreSQL of our own is started for as long as this takes, unless the stack runs, which it must
    not when it has to be `stopped`."""
    own = settings.postgres
    external = own.owner_dsn.get_secret_value() or own.dsn.get_secret_value()
    if external:
        yield external
        return
    directory = DataDirectory(settings.data_dir.absolute())
    server = EmbeddedPostgres(directory.path / "postgres", stack_options(settings).environment, own.embedded)
    if not stopped and directory.owner() is not None:
        yield server.dsn
        return
    try:
        with directory.owned():
            directory.logs.mkdir(parents=True, exist_ok=True)
            with running(server, directory.logs / "postgres-backup.log"):
                yield server.dsn
    except EmbeddedError as error:
        fail(str(error))


def _run(work: Coroutine[Any, Any, Manifest]) -> Manifest:
    try:
        return asyncio.run(work)
    except BackupFailed as error:
        fail(str(error))


def _size(manifest: Manifest) -> str:
    return f"{len(manifest.files):,} files, {manifest.size / 1e6:,.1f} MB"


_tell: Callable[[str], None] = typer.echo
