"""Tells in time when the server's certificate has to be looked after."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from server.application.announcing import Announcer
from server.application.background import repeat
from server.domain.events import AlertKind, SystemAlert


@dataclass(frozen=True, slots=True)
class CertificateState:
    """The certificate that is shown to callers: its SHA-256 in hex, and until when it is valid. `problem` is what keeps
    newer files from being used; empty: nothing."""

    fingerprint: str
    expires: datetime
    problem: str


class CertificateFiles(Protocol):
    def look(self) -> CertificateState:
        """Reads the files if they have changed."""


@dataclass(frozen=True, slots=True)
class WatchCertificateOptions:
    """The files are looked at `every_s`, besides at each new connection. An alert comes `expiry_days` before the end of
    the certificate."""

    every_s: float = 30.0
    expiry_days: float = 14.0


class WatchCertificate:
    """An alert for each new problem, once: when it is still there at the next look, since a certificate and its key are
    replaced one after the other."""

    def __init__(self, files: CertificateFiles, announcer: Announcer, options: WatchCertificateOptions) -> None:
        self._files = files
        self._announcer = announcer
        self._options = options
        self._before = ""
        self._told = ""

    async def run(self) -> None:
        """Until cancelled."""
        await repeat("watch_certificate", self._step)

    async def look(self) -> None:
        state = await asyncio.to_thread(self._files.look)
        problem = state.problem or self._soon(state)
        if problem and problem == self._before and problem != self._told:
            await self._announcer.tell(SystemAlert(AlertKind.CERTIFICATE, state.fingerprint, problem))
            self._told = problem
        if not problem:
            self._told = ""
        self._before = problem

    async def _step(self) -> None:
        await self.look()
        await asyncio.sleep(self._options.every_s)

    def _soon(self, state: CertificateState) -> str:
        left = state.expires - datetime.now(UTC)
        if left > timedelta(days=self._options.expiry_days):
            return ""
        return f"the certificate is valid until {state.expires:%Y-%m-%d %H:%M} UTC only"
