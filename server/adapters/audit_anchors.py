"""Signed heads of the audit log, in a file: what the database is compared with."""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from server.application.audit_ports import AuditSigner
from server.domain.audit import AuditClass, ChainId, Purpose, SignedStatement, Statement, canonical

_log = structlog.get_logger()

_KEPT = 256


class FileAuditAnchors:
    """A line for each; the newest `_KEPT` of each chain are known. Lines that were not signed by a trusted key do not
    count.

    Each is logged, too (`audit_anchor`): whoever collects the logs elsewhere has anchors that nobody on this machine
    can remove.
    """

    def __init__(self, file: Path, known: Sequence[SignedStatement] = ()) -> None:
        self._file = file
        self._known: defaultdict[ChainId, deque[Statement]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._noted: dict[ChainId, SignedStatement] = {}
        for signed in known:
            self._known[signed.statement.chain].append(signed.statement)

    @classmethod
    def open(cls, file: Path, signer: AuditSigner) -> FileAuditAnchors:
        """Blocks. Raises OSError."""
        lines = file.read_text().splitlines() if file.exists() else []
        found = [signed for signed in map(_parsed, lines) if signed is not None and signer.trusts(signed)]
        if len(found) < len(lines):
            # The last one, if the machine went down while it was written.
            _log.warning("audit_anchors_not_trusted", file=str(file), lines=len(lines) - len(found))
        anchors = cls(file, sorted(found, key=lambda signed: signed.statement.sequence))
        kept = {statement for known in anchors._known.values() for statement in known}
        if len(kept) < len(found):
            anchors._write([signed for signed in found if signed.statement in kept], afresh=True)
        return anchors

    def note(self, head: SignedStatement) -> None:
        chain = head.statement.chain
        self._noted[chain] = head

    def of(self, chain: ChainId) -> Sequence[Statement]:
        return tuple(self._known.get(chain, ()))

    async def keep(self) -> int:
        noted, self._noted = self._noted, {}
        heads = list(noted.values())
        if not heads:
            return 0
        try:
            await asyncio.to_thread(self._write, heads, afresh=False)
        except OSError:
            self._noted = noted | self._noted
            raise
        for head in heads:
            self._known[head.statement.chain].append(head.statement)
            _log.info("audit_anchor", **{f"anchored_{name}": value for name, value in head.members.items()})
        return len(heads)

    def _write(self, heads: Sequence[SignedStatement], *, afresh: bool) -> None:
        """Adds them, or replaces the file by them."""
        target = self._file.with_suffix(".draft") if afresh else self._file
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with target.open("wb" if afresh else "ab") as out:
            # A line that the machine did not finish ends here.
            start = b"\n" if not afresh and out.tell() > 0 else b""
            out.write(start + b"\n".join(canonical(head.members) for head in heads))
            out.flush()
            os.fsync(out.fileno())
        if afresh:
            target.replace(self._file)


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
