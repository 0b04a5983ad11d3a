"""Ties a directory to a database: what lies in it means nothing, or the wrong thing, beside another one."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from server.adapters.durable_files import flush_folder
from server.adapters.file_failures import unusable
from server.domain.errors import WrongDatabase

BINDING_FILE = "database"


def bind(directory: Path, database_id: str) -> None:
    """Records, in a file, that the directory belongs to the database; later calls compare.

    Any number of processes may call it at once. Blocks. Raises WrongDatabase if it belongs to another one,
    DependencyUnavailable if the directory cannot be used.
    """
    file = directory / BINDING_FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            _record(file, database_id)
        recorded = file.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise unusable("a directory of the server", exc, directory) from exc
    if recorded != database_id:
        raise WrongDatabase(str(directory), recorded, database_id)


def _record(file: Path, database_id: str) -> None:
    """The file appears whole and durable, by the first of those who try."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f"{file.name}.", encoding="utf-8") as draft:
        draft.write(f"{database_id}\n")
        draft.flush()
        os.fsync(draft.fileno())
        with suppress(FileExistsError):
            os.link(draft.name, file)
    flush_folder(file.parent)
