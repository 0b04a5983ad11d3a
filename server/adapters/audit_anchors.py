"""Signed heads of the audit log, in a file: what the database is compared with."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from server.adapters.durable_files import locked
from server.application.audit_ports import AuditSigner
from server.domain.audit import AuditClass, ChainId, Purpose, SignedStatement, Statement, canonical

_log = structlog.get_logger()

_KEPT = 64
_SPACING_US = 3_600_000_000
_LONGEST_FILE = 10_000
_LOGGED_EVERY_S = 60.0


class FileAuditAnchors:
    """A line for each. Of each chain the newest is known, and older ones about an hour apart; the others go when the
    file has grown too long. Lines that were not signed by a trusted key do not count.

    Several processes may use a file: each knows the lines of the others since it last opened it or wrote it afresh.
    The newest of each chain is logged each minute, too (`audit_anchor`): whoever collects the logs elsewhere has
    anchors that nobody on this machine can remove.
    """

    def __init__(self, file: Path, signer: AuditSigner, longest_file: int = _LONGEST_FILE) -> None:
        """Knows nothing yet: see `open`."""
        self._file = file
        self._signer = signer
        self._longest = longest_file
        self._lines = 0
        self._known = _Known()
        self._noted: dict[ChainId, SignedStatement] = {}
        self._unlogged: dict[ChainId, SignedStatement] = {}
        self._log_at = time.monotonic() + _LOGGED_EVERY_S

    @classmethod
    def open(cls, file: Path, signer: AuditSigner, longest_file: int = _LONGEST_FILE) -> FileAuditAnchors:
        """Blocks. Raises OSError."""
        anchors = cls(file, signer, longest_file)
        if file.exists():
            with locked(anchors._lock):
                found = anchors._load()
                if len(anchors._known.kept()) < found:
                    anchors._write(anchors._known.kept())
        return anchors

    def note(self, head: SignedStatement) -> None:
        self._noted[head.statement.chain] = head

    def of(self, chain: ChainId) -> Sequence[Statement]:
        return tuple(signed.statement for signed in self._known.of(chain))

    async def keep(self) -> int:
        noted, self._noted = self._noted, {}
        if noted:
            try:
                await asyncio.to_thread(self._append, list(noted.values()))
            except OSError:
                self._noted = noted | self._noted
                raise
            for head in noted.values():
                self._known.remember(head)
            self._unlogged |= noted
            if self._lines > max(self._longest, 2 * len(self._known.kept())):
                await asyncio.to_thread(self._write_afresh)
        if time.monotonic() >= self._log_at:
            self._log_at = time.monotonic() + _LOGGED_EVERY_S
            unlogged, self._unlogged = self._unlogged, {}
            for head in unlogged.values():
                _log.info("audit_anchor", **{f"anchored_{name}": value for name, value in head.members.items()})
        return len(noted)

    @property
    def _lock(self) -> Path:
        return self._file.with_suffix(".lock")

    def _append(self, heads: Sequence[SignedStatement]) -> None:
        with locked(self._lock), self._file.open("ab") as out:
            # A line that the machine did not finish ends here.
            out.write(b"\n" + _lines_of(heads))
            out.flush()
            os.fsync(out.fileno())
        self._lines += len(heads)

    def _write_afresh(self) -> None:
        """With what it holds and is worth keeping alone."""
        with locked(self._lock):
            self._load()
            self._write(self._known.kept())

    def _load(self) -> int:
        """Knows what the file holds, also by others; how many lines count."""
        lines = [line for line in self._file.read_text().splitlines() if line]
        found = [signed for signed in map(_parsed, lines) if signed is not None and self._signer.trusts(signed)]
        if len(found) < len(lines):
            # The last one, if the machine went down while it was written.
            _log.warning("audit_anchors_not_trusted", file=str(self._file), lines=len(lines) - len(found))
        known = _Known()
        for signed in sorted(found, key=lambda signed: signed.statement.sequence):
            known.remember(signed)
        self._known, self._lines = known, len(lines)
        return len(found)

    def _write(self, kept: Sequence[SignedStatement]) -> None:
        draft = self._file.with_suffix(".draft")
        with draft.open("wb") as out:
            out.write(_lines_of(kept))
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self._file)
        self._lines = len(kept)


class _Known:
    """Of each chain the newest, and older ones about an hour apart."""

    def __init__(self) -> None:
        self._chains: defaultdict[ChainId, deque[SignedStatement]] = defaultdict(lambda: deque(maxlen=_KEPT))

    def of(self, chain: ChainId) -> Sequence[SignedStatement]:
        return tuple(self._chains.get(chain, ()))

    def kept(self) -> list[SignedStatement]:
        return [signed for known in self._chains.values() for signed in known]

    def remember(self, signed: SignedStatement) -> None:
        known = self._chains[signed.statement.chain]
        if len(known) > 1 and known[-1].statement.time_us - known[-2].statement.time_us < _SPACING_US:
            known.pop()
        known.append(signed)


def _lines_of(heads: Sequence[SignedStatement]) -> bytes:
    return b"\n".join(canonical(head.members) for head in heads)


def _parsed(line: str) -> SignedStatement | None:
    try:
        members: Mapping[str, Any] = json.loads(line)
        chain = ChainId(members["tenant"], AuditClass(members["class"]))
        statement = Statement(
            Purpose(members["purpose"]),
            chain,
            members["sequence"],
            bytes.fromhex(members["hash"]),
            members["time_us"],
        )
        signed = SignedStatement(statement, members["key_id"], bytes.fromhex(members["signature"]))
    except (ValueError, KeyError, TypeError):
        return None
    return signed if signed.members == members else None
