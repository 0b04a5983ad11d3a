"""The session of `pinakes login`: kept in a file that nobody else can read, and refreshed when it has to be."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from pinakes.credentials import Tokens
from pinakes.errors import LoginRefused
from pinakes.options import ClientOptions
from pinakes.signing import log_in_again
from pinakes.tls import Tls

_FILE = "sessions.json"


class SavedLogins:
    """One session for each server. Commands that run at the same time take turns: a refresh token is good for once."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(typer.get_app_dir("pinakes"))

    def save(self, address: str, tokens: Tokens) -> None:
        """Raises OSError."""
        with self._locked() as sessions:
            sessions[address] = asdict(tokens)

    def forget(self, address: str) -> None:
        """Raises OSError."""
        with self._locked() as sessions:
            sessions.pop(address, None)

    def has(self, address: str) -> bool:
        return address in _read(self._folder / _FILE)

    def access_token(self, address: str, tls: Tls | None, options: ClientOptions) -> str | None:
        """None without a session, or when it has ended. Raises OSError, PinakesError."""
        if not self.has(address):
            return None
        with self._locked() as sessions:
            tokens = _tokens(sessions.get(address))
            if tokens is None:
                return None
            if not tokens.fresh():
                try:
                    tokens = log_in_again(address, tokens.refresh_token, tls, options)
                except LoginRefused:
                    del sessions[address]
                    return None
                sessions[address] = asdict(tokens)
            return tokens.access_token

    @contextmanager
    def _locked(self) -> Iterator[dict[str, Any]]:
        """The sessions, which are written back where they have changed."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / _FILE
        lock = os.open(self._folder / f"{_FILE}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            sessions = _read(file)
            before = json.dumps(sessions)
            try:
                yield sessions
            finally:
                after = json.dumps(sessions, default=_text)
                if after != before:
                    draft = file.with_suffix(".new")
                    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                        out.write(after)
                    draft.replace(file)
        finally:
            os.close(lock)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _tokens(kept: Any) -> Tokens | None:
    """None for what is no session, and for one that has ended."""
    try:
        tokens = Tokens(
            access_token=kept["access_token"],
            access_expire_time=datetime.fromisoformat(kept["access_expire_time"]),
            refresh_token=kept["refresh_token"],
            refresh_expire_time=datetime.fromisoformat(kept["refresh_expire_time"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
    return tokens if tokens.refresh_expire_time > datetime.now(UTC) else None


def _text(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
