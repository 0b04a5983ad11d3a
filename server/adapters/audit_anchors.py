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

    The newest of each chain is logged each minute, too (`audit_anchor`): whoever collects the logs elsewhere has
    anchors that nobody on this machine can remove.
    """

    def __init__(self, file: Path, longest_file: int = _LONGEST_FILE) -> None:
        self._file = file
        self._longest = longest_file
        self._lines = 0
        self._known: defaultdict[ChainId, deque[SignedStatement]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._noted: dict[ChainId, SignedStatement] = {}
        self._unlogged: dict[ChainId, SignedStatement] = {}
        self._log_at = time.monotonic() + _LOGGED_EVERY_S

    @classmethod
    def open(cls, file: Path, signer: AuditSigner, longest_file: int = _LONGEST_FILE) -> FileAuditAnchors:
        """Blocks. Raises OSError."""
        lines = [line for line in file.read_text().splitlines() if line] if file.exists() else []
        found = [signed for signed in map(_parsed, lines) if signed is not None and signer.trusts(signed)]
        if len(found) < len(lines):
            # The last one, if the machine went down while it was written.
            _log.warning("audit_anchors_not_trusted", file=str(file), lines=len(lines) - len(found))
        anchors = cls(file, longest_file)
        for signed in sorted(found, key=lambda signed: signed.statement.sequence):
            anchors._remember(signed)
        if len(anchors._kept()) < len(found):
            anchors._write_afresh()
        else:
            anchors._lines = len(lines)
        return anchors

    def note(self, head: SignedStatement) -> None:
        self._noted[head.statement.chain] = head

    def of(self, chain: ChainId) -> Sequence[Statement]:
        return tuple(signed.statement for signed in self._known.get(chain, ()))

    async def keep(self) -> int:
        noted, self._noted = self._noted, {}
        if noted:
            try:
                await asyncio.to_thread(self._append, list(noted.values()))
            except OSError:
                self._noted = noted | self._noted
                raise
            for head in noted.values():
                self._remember(head)
            self._unlogged |= noted
            if self._lines > max(self._longest, 2 * len(self._kept())):
                await asyncio.to_thread(self._write_afresh)
        if time.monotonic() >= self._log_at:
            self._log_at = time.monotonic() + _LOGGED_EVERY_S
            unlogged, self._unlogged = self._unlogged, {}
            for head in unlogged.values():
                _log.info("audit_anchor", **{f"anchored_{name}": value for name, value in head.members.items()})
        return len(noted)

    def _remember(self, signed: SignedStatement) -> None:
        known = self._known[signed.statement.chain]
        if len(known) > 1 and known[-1].statement.time_us - known[-2].statement.time_us < _SPACING_US:
            known.pop()
        known.append(signed)

    def _kept(self) -> list[SignedStatement]:
        return [signed for known in self._known.values() for signed in known]

    def _append(self, heads: Sequence[SignedStatement]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._file.open("ab") as out:
            # A line that the machine did not finish ends here.
            out.write(b"\n" + _lines_of(heads))
            out.flush()
            os.fsync(out.fileno())
        self._lines += len(heads)

    def _write_afresh(self) -> None:
        """With what is known alone."""
        kept = self._kept()
        draft = self._file.with_suffix(".draft")
        with draft.open("wb") as out:
            out.write(_lines_of(kept))
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self._file)
        self._lines = len(kept)


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
